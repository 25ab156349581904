package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"stretcher/internal/text/failure"
)

// newHelp is stretcher help, with the words of a command or without.
func newHelp(a *app) *cobra.Command {
	c := newCommand(&cobra.Command{
		Use:   "help [COMMAND]",
		Short: "print what a command does and its flags",
		Example: `stretcher help rollback
stretcher help hooks run`,
		RunE: a.runs(func(_ context.Context, args []string) (int, error) {
			found := a.root
			for _, arg := range args {
				next := child(found, arg)
				if next == nil {
					return ExitUsage, a.unknownCommand(found, arg)
				}
				found = next
			}
			a.printHelp(found)
			return ExitGood, nil
		}),
	})
	c.ValidArgsFunction = a.completeCommands
	a.root.SetHelpCommand(c)
	return c
}

// unknownCommand is the error of a word that is no command below c.
func (a *app) unknownCommand(c *cobra.Command, word string) error {
	err := failure.Usage("%q is no command", word)
	if near := nearest(word, names(c)); near != "" {
		return didYouMean(strings.Join(append([]string{"stretcher"}, append(path(c), near)...), " "), err)
	}
	return err
}
