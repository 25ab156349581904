package cli

import (
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"stretcher/internal/journal/state"
	"stretcher/internal/text/failure"
)

// settle takes from the environment what the command line does not say of the
// command's flags.
func (a *app) settle(c *cobra.Command) error {
	var err error
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if err == nil && !f.Changed && inEnvironment(f) {
			err = a.setFrom(c.Flags(), f)
		}
	})
	if err == nil {
		err = noKeys(c.Flags(), c.Flags().Args())
	}
	if err != nil {
		return err
	}
	if f := c.Flags().Lookup("log-file"); f != nil && f.Value.String() == "-" {
		return failure.Hinted("standard error has the log already; a file of that name is ./-",
			failure.Usage("--log-file expects a file"))
	}
	a.host.ConfigGiven = c.Flags().Changed("config")
	a.host.StateDir, a.host.StateError = a.statePath(a.host.StateDir)
	return nil
}

// inEnvironment tells whether a flag can be set by a variable. --name, --version
// and --dest can not: commands of a deployment are told those of what is deployed
// by STRETCHER_NAME, STRETCHER_VERSION and STRETCHER_DEST, and may call this
// program.
func inEnvironment(f *pflag.Flag) bool {
	return !slices.Contains([]string{"help", "name", "version", "dest"}, f.Name)
}

// variable is the name of the variable that sets a flag.
func variable(flag string) string {
	return "STRETCHER_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// setFrom sets a flag by its variable, if that has a value. What the value is
// stays out of the error: a variable may hold a secret.
func (a *app) setFrom(flags *pflag.FlagSet, f *pflag.Flag) error {
	name := variable(f.Name)
	value := a.Getenv(name)
	if value == "" {
		return nil
	}
	if err := flags.Set(f.Name, value); err != nil {
		return failure.Usage("invalid %s in the environment: %s", name, reason(err))
	}
	return nil
}

// statePath is the state directory's path: what was given, else the default
// of the user.
func (a *app) statePath(given string) (string, error) {
	if given != "" {
		return filepath.Abs(given)
	}
	return state.Default(state.User{UID: os.Getuid(), Getenv: a.Getenv, Home: homeDir})
}

// homeDir asks the user database, for callers without HOME.
func homeDir() (string, error) {
	u, err := user.Current()
	if err != nil {
		return "", err
	}
	return u.HomeDir, nil
}
