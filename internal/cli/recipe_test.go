package cli

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// greetOptions are those of a command that only this test has.
type greetOptions struct {
	*app
	loud bool
}

func newGreet(a *app) *cobra.Command {
	o := &greetOptions{app: a}
	c := newCommand(&cobra.Command{Use: "greet NAME", Short: "say hello", Example: "stretcher greet you",
		RunE: a.runs(o.run)})
	c.Flags().BoolVar(&o.loud, "loud", false, "with an exclamation mark")
	return c
}

func (o *greetOptions) run(_ context.Context, args []string) (int, error) {
	_, err := fmt.Fprintf(o.Stdout, "hello %s%s\n", strings.Join(args, " "), map[bool]string{true: "!"}[o.loud])
	return Status(err), err
}

// TestNewCommand: a command is a constructor, its options and what it does,
// and one line in the table. The rest follows.
func TestNewCommand(t *testing.T) {
	for args, want := range map[string]string{
		"greet you":           "hello you\n",
		"-loud greet you":     "hello you!\n",
		"greet --lod you":     "hint: did you mean --loud?",
		"gret you":            "hint: did you mean stretcher greet?",
		"history --loud":      "--loud belongs to stretcher greet\n",
		"help greet":          "  --loud\n        with an exclamation mark [$STRETCHER_GREET_LOUD]\n",
		"__complete gre":      "greet\tsay hello\n",
		"__complete greet --": "--loud\twith an exclamation mark\n",
	} {
		var out bytes.Buffer
		a := newApp(Process{Args: append([]string{"stretcher"}, strings.Fields(args)...), Stdout: &out,
			Stderr: &out}, Actions{})
		a.root.AddCommand(newGreet(a))
		a.main(t.Context())
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q: printed %q, want %q", args, out.String(), want)
		}
	}
}
