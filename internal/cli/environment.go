package cli

import (
	"cmp"
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
		if err == nil && !f.Changed {
			err = a.setFrom(c, f)
		}
	})
	if err == nil {
		err = cmp.Or(a.noEmpty(c), noKeys(c.Flags(), c.Flags().Args()))
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

// noEmpty refuses the name of a file or directory that is empty, as that of a shell's
// variable which is not set: no default is meant.
func (a *app) noEmpty(c *cobra.Command) (err error) {
	kinds := map[string]string{"FILE": "a file", "DIR": "a directory"}
	c.Flags().VisitAll(func(f *pflag.Flag) {
		kind := kinds[f.Value.Type()]
		if err == nil && kind != "" && a.line.has(f.Name) && f.Value.String() == "" {
			err = failure.Usage("--%s expects %s", f.Name, kind)
		}
	})
	return err
}

// variable is the name of the variable that sets a flag of a command; "" = none
// does. What a deployment knows is STRETCHER_FLAG wherever it is known. What is a
// command's own has that command's words as well: two commands must not obey one
// variable, and none one that commands of a deployment are told, as
// STRETCHER_VERSION. Those may call this program.
func variable(c *cobra.Command, f *pflag.Flag) string {
	root := c.Root()
	if f == root.PersistentFlags().Lookup("version") || f.Name == "help" {
		return ""
	}
	words := []string{"stretcher"}
	if !isShared(root, f) {
		words = append(words, path(c)...)
	}
	name := strings.Join(append(words, f.Name), "_")
	return strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// isShared tells whether a flag is a deployment's, and means the same wherever it
// is known. --json, --dry-run and --version do not, nor does --timeout where it is no
// limit of a fetch, nor --force where nothing is deployed.
func isShared(root *cobra.Command, f *pflag.Flag) bool {
	if slices.Contains([]string{"json", "dry-run", "version"}, f.Name) {
		return false
	}
	if own := root.Flags().Lookup(f.Name); own != nil {
		return f.Name != "timeout" && f.Name != "force" || own.Usage == f.Usage
	}
	return root.PersistentFlags().Lookup(f.Name) != nil
}

// setFrom sets a flag by its variable, if that has a value. What the value is
// stays out of the error: a variable may hold a secret.
func (a *app) setFrom(c *cobra.Command, f *pflag.Flag) error {
	name := variable(c, f)
	if name == "" {
		return nil
	}
	value := a.Getenv(name)
	if value == "" {
		return nil
	}
	if err := c.Flags().Set(f.Name, value); err != nil {
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
