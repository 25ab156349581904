package cli

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"stretcher/internal/text/failure"
)

// newMan writes the manual pages, one a command; make man calls it.
func newMan(a *app) *cobra.Command {
	return newCommand(&cobra.Command{
		Use:     "man DIR",
		Short:   "write manual pages into a directory",
		Example: `stretcher man dist/man`,
		Hidden:  true,
		RunE: a.runs(func(_ context.Context, args []string) (int, error) {
			if len(args) != 1 {
				return ExitUsage, failure.Usage("man expects one DIR, got %d arguments", len(args))
			}
			if args[0] == "-" {
				return ExitUsage, failure.Usage("man expects a DIR, not standard output: it writes many pages")
			}
			err := a.writePages(args[0])
			return Status(err), err
		}),
	})
}

// writePages writes the page of each command that help lists.
func (a *app) writePages(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, c := range a.commands() {
		if c.Hidden {
			continue
		}
		page := []byte(manPage(c, a.actions.Version))
		if err := os.WriteFile(filepath.Join(dir, pageName(c)+".1"), page, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// pageName is the name of a command's page: stretcher-hooks-run.
func pageName(c *cobra.Command) string {
	return strings.Join(append([]string{"stretcher"}, path(c)...), "-")
}

// roff writes a manual page in the macros of man(7).
type roff struct{ strings.Builder }

// macro writes a line of a macro with its arguments.
func (r *roff) macro(name string, args ...string) {
	r.WriteString("." + name)
	for _, arg := range args {
		r.WriteString(` "` + strings.ReplaceAll(escaped(arg), `"`, `\(dq`) + `"`)
	}
	r.WriteByte('\n')
}

// text writes lines of text. One that begins as a macro does is none.
func (r *roff) text(text string) {
	for _, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			r.WriteString(`\&`)
		}
		r.WriteString(escaped(line) + "\n")
	}
}

// literal writes lines that stay as they are.
func (r *roff) literal(text string) {
	r.macro("nf")
	r.text(text)
	r.macro("fi")
}

// escaped is text in which nothing means anything to troff. A dash is one
// that can be copied into a shell.
func escaped(text string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`, "`", `\(ga`, "'", `\(aq`, "^", `\(ha`, "~", `\(ti`).Replace(text)
}

// manPage is the manual page of a command.
func manPage(c *cobra.Command, version string) string {
	var r roff
	r.macro("TH", strings.ToUpper(pageName(c)), "1", "", "stretcher "+version, "stretcher")
	r.macro("nh") // a name that is broken can't be copied
	r.WriteString(".ad l\n")
	r.macro("SH", "NAME")
	r.text(pageName(c) + " - " + c.Short)
	r.macro("SH", "SYNOPSIS")
	r.literal(useLine(c))
	r.macro("SH", "DESCRIPTION")
	r.literal(cmp.Or(c.Long, c.Short))
	r.flags("OPTIONS", c, c.LocalNonPersistentFlags())
	r.flags("OPTIONS OF ALL COMMANDS", c, c.Root().PersistentFlags())
	if c.Example != "" {
		r.macro("SH", "EXAMPLES")
		r.literal(c.Example)
	}
	if !c.HasParent() {
		r.root()
	}
	r.macro("SH", "SEE ALSO")
	r.text(strings.Join(related(c), ", "))
	return r.String()
}

// root writes what holds for all commands.
func (r *roff) root() {
	_, text, _ := strings.Cut(environmentText, "\n")
	r.macro("SH", "ENVIRONMENT")
	r.text(strings.Join(strings.Fields(text), " "))
	r.macro("SH", "EXIT STATUS")
	for _, row := range ExitTable() {
		r.macro("TP")
		r.macro("B", row[0])
		r.text(row[1])
	}
	r.macro("PP")
	r.text(exitNote)
}

// flags writes a section of flags as a command has them.
func (r *roff) flags(title string, c *cobra.Command, f *pflag.FlagSet) {
	if f.HasAvailableFlags() {
		r.macro("SH", title)
	}
	f.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		r.macro("TP")
		r.macro("B", flagUse(f))
		r.text(flagMeaning(f))
		if name := variable(c, f); name != "" {
			r.text("[$" + name + "]")
		}
	})
}

// related are the pages of the commands above and below.
func related(c *cobra.Command) (pages []string) {
	if c.HasParent() {
		pages = append(pages, pageName(c.Parent())+"(1)")
	}
	for _, sub := range c.Commands() {
		if !sub.Hidden {
			pages = append(pages, pageName(sub)+"(1)")
		}
	}
	return pages
}
