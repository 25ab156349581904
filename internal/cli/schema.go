package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"stretcher/internal/policy"
	"stretcher/internal/text/failure"
)

// schemaOptions are those of stretcher schema.
type schemaOptions struct{ *app }

func newSchema(a *app) *cobra.Command {
	o := &schemaOptions{app: a}
	return newCommand(&cobra.Command{
		Use:   "schema manifest|policy",
		Short: "print the JSON Schema of manifests, or of the host policy",
		Long: `Prints the JSON Schema (draft 7) of manifests, or of the host policy, for
editors: they offer the keys, tell what each is for, and mark what is wrong.`,
		Example: `stretcher schema manifest > manifest.schema.json
stretcher schema policy > policy.schema.json`,
		ValidArgs: []string{"manifest", "policy"},
		RunE:      a.runs(o.run),
	})
}

func (o *schemaOptions) run(_ context.Context, args []string) (int, error) {
	if len(args) != 1 {
		return ExitUsage, failure.Usage("schema expects manifest or policy, got %d arguments", len(args))
	}
	schema, err := o.of(args[0])
	if err == nil {
		_, err = o.Stdout.Write(schema)
	}
	return Status(err), err
}

// of is the schema of a kind of document.
func (o *schemaOptions) of(document string) ([]byte, error) {
	switch document {
	case "manifest":
		return o.actions.Schema()
	case "policy":
		return policy.Schema()
	}
	err := failure.Usage("%q has no schema: manifest and policy have", document)
	if near := nearest(strings.ToLower(document), []string{"manifest", "policy"}); near != "" {
		err = didYouMean("stretcher schema "+near, err)
	}
	return nil, err
}
