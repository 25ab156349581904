package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"stretcher/internal/journal/history"
	"stretcher/internal/text/printable"
)

// completeLimit is how many runs are looked at: a shell waits.
const completeLimit = 10_000

// completeTime ends a look into a history that others hold.
const completeTime = 2 * time.Second

// completions are what may stand at the end of the line, and directive what
// else the shell may offer.
type (
	completions = []cobra.Completion
	directive   = cobra.ShellCompDirective
)

// completeDest completes the first argument by the dests of the history.
func (a *app) completeDest(c *cobra.Command, args []string, typed string) (completions, directive) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var found completions
	for _, r := range a.recentRuns(c, "") {
		if isPlain(r.Dest) && strings.HasPrefix(r.Dest, typed) && !slices.Contains(found, r.Dest) {
			found = append(found, r.Dest)
		}
	}
	return found, cobra.ShellCompDirectiveDefault // any directory will do
}

// completeRun completes a flag by the ids of runs, on DEST where it is known.
func (a *app) completeRun(c *cobra.Command, args []string, typed string) (completions, directive) {
	dest := ""
	if len(args) > 0 {
		dest, _ = filepath.Abs(args[0])
	}
	var found completions
	for _, r := range a.recentRuns(c, dest) {
		if isPlain(r.ID) && strings.HasPrefix(r.ID, typed) {
			title := printable.Line(strings.TrimSpace(r.Name + " " + r.Version))
			what := fmt.Sprintf("%s, %s, %s", r.Started.Local().Format(time.DateTime), r.Result, title)
			found = append(found, cobra.CompletionWithDesc(r.ID, what))
		}
	}
	return found, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// isPlain tells whether a word means itself in a shell. The scripts evaluate
// what stands on the line, and a dest is what a manifest has named.
func isPlain(word string) bool {
	odd := func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("/._-+@%,", r)
	}
	return word != "" && !strings.ContainsFunc(word, odd)
}

// recentRuns are the newest runs of the history; none when it can't be read.
func (a *app) recentRuns(c *cobra.Command, dest string) (runs []history.Run) {
	if a.settle(c) != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(c.Context(), completeTime)
	defer cancel()
	_ = a.readHistory(ctx, history.Options{ReadOnly: true, Traceless: true}, func(db *history.Store) (err error) {
		runs, err = db.List(ctx, history.Filter{Dest: dest, Limit: completeLimit})
		return err
	})
	return runs
}

// completeCommands completes the words of a command.
func (a *app) completeCommands(_ *cobra.Command, args []string, typed string) (found completions, _ directive) {
	c := a.root
	for _, arg := range args {
		if c = child(c, arg); c == nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
	}
	for _, sub := range c.Commands() {
		if !sub.Hidden {
			found = append(found, cobra.CompletionWithDesc(sub.Name(), sub.Short))
		}
	}
	return startingWith(typed, found), cobra.ShellCompDirectiveNoFileComp
}

// oneOf completes by words.
func oneOf(words []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, typed string) (completions, directive) {
		return startingWith(typed, words), cobra.ShellCompDirectiveNoFileComp
	}
}

// startingWith are the completions that begin with what is typed.
func startingWith(typed string, all completions) (found completions) {
	for _, c := range all {
		if strings.HasPrefix(c, typed) {
			found = append(found, c)
		}
	}
	return found
}

// completes prepares the table for a shell's question. Commands are named
// behind flags, too, and a first word may be a file. Flags whose values are
// one of some words are completed by these.
func (a *app) completes() {
	a.root.TraverseChildren = true
	a.root.ValidArgsFunction = func(*cobra.Command, []string, string) (completions, directive) {
		return nil, cobra.ShellCompDirectiveDefault
	}
	for _, c := range a.commands() {
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if v, ok := f.Value.(*choiceValue); ok {
				completeBy(c, f.Name, oneOf(v.words))
			}
		})
	}
}

// completeBy completes a flag of c by f.
func completeBy(c *cobra.Command, flag string, f cobra.CompletionFunc) {
	if err := c.RegisterFlagCompletionFunc(flag, f); err != nil {
		panic(err) // the flag has not been declared, or twice
	}
}
