package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"stretcher/internal/text/failure"
)

// newCompletion is stretcher completion, which prints a shell's script. The
// script asks this program what can stand where, by a hidden command of
// cobra's. That reads the history and writes nothing.
func newCompletion(a *app) *cobra.Command {
	c := newCommand(&cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "print a script that completes commands in a shell",
		Long: `Prints a script that completes commands, flags, dests and run ids in a shell.
bash needs the package bash-completion.`,
		Example: `stretcher completion bash > /etc/bash_completion.d/stretcher
stretcher completion zsh > /usr/local/share/zsh/site-functions/_stretcher
stretcher completion fish > ~/.config/fish/completions/stretcher.fish`,
		ValidArgs: shells(),
	})
	c.RunE = a.runs(func(_ context.Context, args []string) (int, error) {
		if len(args) != 1 || !slices.Contains(shells(), args[0]) {
			return ExitUsage, failure.Usage("completion expects %s", strings.Join(shells(), ", "))
		}
		err := a.printCompletion(args[0])
		return Status(err), err
	})
	return c
}

func shells() []string { return []string{"bash", "zsh", "fish"} }

func (a *app) printCompletion(shell string) error {
	switch shell {
	case "bash":
		return a.root.GenBashCompletionV2(a.Stdout, true)
	case "zsh":
		return a.root.GenZshCompletion(a.Stdout)
	default:
		return a.root.GenFishCompletion(a.Stdout, true)
	}
}
