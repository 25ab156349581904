package cli

import (
	"bytes"
	"context"
	"strings"

	"github.com/spf13/cobra"

	"stretcher/internal/manifest/lint"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/printable"
)

// renderOptions are those of stretcher render.
type renderOptions struct {
	*app
	render RenderOptions
}

func newRender(a *app) *cobra.Command {
	o := &renderOptions{app: a}
	c := newCommand(&cobra.Command{
		Use:   "render URL|FILE|-",
		Short: "print a manifest after its templates; secrets are masked",
		Long: `Fetches a manifest as a deployment does and prints it with the values of its
templates. Values that come from the environment, those of env, and what is
secret of URLs are masked, unless --show asks for them. Whether the manifest is
right is what check tells.`,
		Example: `stretcher render app.yml
stretcher render --show s3://deploys/app.yml | yq .src`,
		RunE: a.runs(o.run),
	})
	o.render.Fetch.declareManifest(c.Flags())
	o.render.Log.declare(c.Flags())
	c.Flags().BoolVar(&o.render.Show, "show", false, "print secrets, too")
	declareUnset(c.Flags(), &o.render.Unset)
	return c
}

// shown is a text with what a terminal would obey, or hide, as escapes.
func shown(text []byte) (out []byte) {
	for line := range bytes.Lines(text) {
		out = printable.AppendLine(out, strings.TrimRight(string(line), "\r\n"))
		out = append(out, '\n')
	}
	return out
}

func (o *renderOptions) run(ctx context.Context, args []string) (_ int, err error) {
	if len(args) != 1 {
		return ExitUsage, failure.Usage("render expects one URL or file, got %d arguments", len(args))
	}
	o.render.Settings = o.settings(o.render.Settings)
	if o.render.URL, err = fileURL(args[0]); err != nil {
		return Status(err), err
	}
	text, unset, err := o.actions.Render(ctx, o.render)
	for _, name := range unset {
		o.warn("%s", lint.StandsIn(name))
	}
	if err == nil && isTerminal(o.Stdout) {
		text = shown(text)
	}
	if err == nil {
		_, err = o.Stdout.Write(text)
	}
	return Status(err), asTyped(args[0], err)
}
