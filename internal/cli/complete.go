package cli

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stretcher/internal/journal/history"
)

// completeLimit is how many runs are looked at: a shell waits.
const completeLimit = 200

// completeTime ends a look into a history that others hold.
const completeTime = 2 * time.Second

// completeDest completes the first argument by the dests of the history.
func (a *app) completeDest(c *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var found []cobra.Completion
	for _, r := range a.recentRuns(c, "") {
		if r.Dest != "" && strings.HasPrefix(r.Dest, typed) && !slices.Contains(found, r.Dest) {
			found = append(found, r.Dest)
		}
	}
	return found, cobra.ShellCompDirectiveDefault // any directory will do
}

// completeRun completes a flag by the ids of runs, on DEST where it is known.
func (a *app) completeRun(c *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	dest := ""
	if len(args) > 0 {
		dest, _ = filepath.Abs(args[0])
	}
	var found []cobra.Completion
	for _, r := range a.recentRuns(c, dest) {
		if strings.HasPrefix(r.ID, typed) {
			what := fmt.Sprintf("%s %s %s, %s", cmp.Or(r.Name, "-"), r.Version, r.Result, r.Started.Local().Format(time.DateTime))
			found = append(found, cobra.CompletionWithDesc(r.ID, what))
		}
	}
	return found, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// recentRuns are the newest runs of the history; none when it can't be read.
func (a *app) recentRuns(c *cobra.Command, dest string) (runs []history.Run) {
	if a.settle(c) != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(c.Context(), completeTime)
	defer cancel()
	_ = a.readHistory(ctx, func(db *history.Store) (err error) {
		runs, err = db.List(ctx, history.Filter{Dest: dest, Limit: completeLimit})
		return err
	})
	return runs
}

// completeCommands completes the words of a command.
func (a *app) completeCommands(_ *cobra.Command, args []string, _ string) (found []cobra.Completion, _ cobra.ShellCompDirective) {
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
	return found, cobra.ShellCompDirectiveNoFileComp
}

// completeBy completes a flag of c by f.
func completeBy(c *cobra.Command, flag string, f cobra.CompletionFunc) {
	if err := c.RegisterFlagCompletionFunc(flag, f); err != nil {
		panic(err) // the flag has not been declared, or twice
	}
}
