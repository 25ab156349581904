package cli

import (
	"context"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"stretcher/internal/text/failure"
	"stretcher/internal/text/printable"
)

// versionOptions are those of stretcher version.
type versionOptions struct {
	*app
	json bool
}

func newVersion(a *app) *cobra.Command {
	o := &versionOptions{app: a}
	c := newCommand(&cobra.Command{
		Use:     "version",
		Short:   "print the version",
		Example: `stretcher version --json`,
		RunE:    a.runs(o.run),
	})
	declareJSON(c.Flags(), &o.json)
	return c
}

func (o *versionOptions) run(_ context.Context, args []string) (int, error) {
	if len(args) > 0 {
		return ExitUsage, failure.Usage("version expects no arguments, got %d", len(args))
	}
	err := o.printVersion(o.json)
	return Status(err), err
}

// versionJSON is what version --json prints.
type versionJSON struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

func (a *app) printVersion(asJSON bool) error {
	if asJSON {
		v := versionJSON{a.actions.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH}
		return printable.EncodeJSON(a.Stdout, v)
	}
	_, err := fmt.Fprintf(a.Stdout, "stretcher version %s\n", a.actions.Version)
	return err
}
