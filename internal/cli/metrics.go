package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"stretcher/internal/disk"
	"stretcher/internal/journal/history"
	"stretcher/internal/journal/state"
	"stretcher/internal/process"
	"stretcher/internal/text/failure"
)

// metricsOptions are those of stretcher metrics.
type metricsOptions struct {
	*app
	output string
}

func newMetrics(a *app) *cobra.Command {
	o := &metricsOptions{app: a}
	c := newCommand(&cobra.Command{
		Use:   "metrics",
		Short: "how things stand with every dest, for Prometheus",
		Long: `Prints how the last run on every dest went, when, how long it took, and what
is deployed there, as OpenMetrics text, which the textfile collector of
node_exporter reads, too. It reads only.`,
		Example: `stretcher metrics
stretcher metrics --output /var/lib/prometheus/node-exporter/stretcher.prom`,
		RunE: a.runs(o.run),
	})
	f := c.Flags()
	f.Var(&textValue{&o.output, "FILE"}, "output", "write to this file, as a whole, for all to read; - is standard output")
	asFile(f, "output")
	return c
}

func (o *metricsOptions) run(ctx context.Context, args []string) (int, error) {
	if len(args) > 0 {
		return ExitUsage, failure.Usage("metrics expects no argument, got %d: it tells of all dests", len(args))
	}
	if o.output == "" && o.line.has("output") { // as of "$(something that printed nothing)"
		return ExitUsage, failure.Usage("--output expects a file")
	}
	x := history.Export{
		File: o.output, Writer: o.Stdout, Version: o.actions.Version, Alive: process.Alive,
		Turn: state.At(o.host.StateDir).Locks(), Unrecorded: state.At(o.host.StateDir).Unknown,
	}
	if o.output == "-" {
		x.File = ""
	}
	err := o.readHistory(ctx, history.Options{ReadOnly: true}, func(db *history.Store) error {
		return metricsHint(o.output, db.Export(ctx, x))
	})
	return Status(err), err
}

// metricsHint says what can be done about metrics that could not be written to a
// file.
func metricsHint(file string, err error) error {
	var at *fs.PathError
	if file == "" || !errors.As(err, &at) || at.Path != file {
		return err
	}
	err = fmt.Errorf("metrics: %w", err)
	switch {
	case errors.Is(err, disk.ErrIrregular), errors.Is(err, disk.ErrDangling): // /dev/stdout may be either
		return failure.Hinted("--output - writes to standard output", err)
	case errors.Is(err, os.ErrNotExist):
		return failure.Hinted("the directory must be there", err)
	}
	return roomHint(err)
}
