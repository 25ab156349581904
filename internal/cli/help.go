package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// columns is how wide help is, at most.
const columns = 80

// printHelp prints what a command does and its flags. cobra takes no error of
// it: main does.
func (a *app) printHelp(c *cobra.Command) {
	_, a.unprinted = io.WriteString(a.Stdout, helpText(c))
}

// helpText is what help and --help print of a command.
func helpText(c *cobra.Command) string {
	var b strings.Builder
	if c.Long != "" {
		fmt.Fprintf(&b, "%s\n\n", c.Long)
	} else {
		fmt.Fprintf(&b, "%s%s.\n\n", strings.ToUpper(c.Short[:1]), c.Short[1:])
	}
	fmt.Fprintf(&b, "usage:\n  %s\n", useLine(c))
	if !c.HasParent() {
		b.WriteString("  stretcher COMMAND [flags] ...\n")
	}
	writeCommands(&b, c)
	writeFlags(&b, "flags (one dash or two)", c, c.LocalNonPersistentFlags())
	writeFlags(&b, "flags of all commands", c, c.Root().PersistentFlags())
	if c.Example != "" {
		fmt.Fprintf(&b, "\nexamples:\n%s\n", indented(c.Example))
	}
	if !c.HasParent() {
		b.WriteString("\n" + environmentText + "\n")
		writeExits(&b)
	}
	return b.String()
}

const environmentText = `environment:
  Each flag can be set by the variable that stands behind it: --log-file by
  STRETCHER_LOG_FILE, also where other commands have it. A flag that deployments
  do not have has the name of its command, too: STRETCHER_HISTORY_LIMIT. So has
  --json: STRETCHER_STATUS_JSON. The flag wins.`

// useLine is how a command is called.
func useLine(c *cobra.Command) string {
	if !c.HasParent() {
		return c.Use
	}
	if c.HasSubCommands() {
		return c.Parent().CommandPath() + " " + c.Use
	}
	name, arguments, _ := strings.Cut(c.Use, " ")
	return strings.TrimSpace(c.Parent().CommandPath() + " " + name + " [flags] " + arguments)
}

// writeCommands lists the commands below c, each with what stands below it.
func writeCommands(b *strings.Builder, c *cobra.Command) {
	var rows [][2]string
	for _, sub := range c.Commands() {
		if sub.Hidden {
			continue
		}
		if sub.HasSubCommands() {
			for _, below := range sub.Commands() {
				rows = append(rows, [2]string{sub.Name() + " " + below.Use, below.Short})
			}
			continue
		}
		rows = append(rows, [2]string{sub.Use, sub.Short})
	}
	if len(rows) == 0 {
		return
	}
	width := 0
	for _, row := range rows {
		width = max(width, len(row[0]))
	}
	b.WriteString("\ncommands:\n")
	for _, row := range rows {
		writeRow(b, width, row)
	}
}

// writeRow writes two columns, the second one wrapped.
func writeRow(b *strings.Builder, width int, row [2]string) {
	left := row[0]
	for _, text := range wrapped(row[1], columns-width-4) {
		fmt.Fprintf(b, "  %-*s  %s\n", width, left, text)
		left = ""
	}
}

// wrapped breaks a text into lines of at most width bytes, as far as its
// words allow.
func wrapped(text string, width int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return append(lines, line)
}

// writeFlags writes flags as a command has them.
func writeFlags(b *strings.Builder, title string, c *cobra.Command, f *pflag.FlagSet) {
	if f.HasAvailableFlags() {
		fmt.Fprintf(b, "\n%s:\n", title)
	}
	f.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		fmt.Fprintf(b, "  %s\n", flagUse(f))
		meaning := flagMeaning(f)
		if name := variable(c, f); name != "" {
			meaning += " [$" + name + "]"
		}
		for _, text := range wrapped(meaning, columns-8) {
			fmt.Fprintf(b, "        %s\n", text)
		}
	})
}

// flagUse is how a flag is written.
func flagUse(f *pflag.Flag) string {
	use := "--" + f.Name
	if f.Shorthand != "" {
		use = "-" + f.Shorthand + ", " + use
	}
	if f.NoOptDefVal == "" {
		use += " " + f.Value.Type()
	}
	return use
}

// flagMeaning is what a flag means, and its default.
func flagMeaning(f *pflag.Flag) string {
	if f.DefValue == "" || f.DefValue == "0" || f.DefValue == "false" {
		return f.Usage
	}
	return f.Usage + " (default " + f.DefValue + ")"
}

// indented sets each line of a text in by two columns.
func indented(text string) string { return "  " + strings.ReplaceAll(text, "\n", "\n  ") }

// writeExits lists the exit statuses.
func writeExits(b *strings.Builder) {
	b.WriteString("\nexit status:\n")
	for _, row := range ExitTable() {
		writeRow(b, len("129, 130, 143"), row)
	}
	for _, text := range wrapped(exitNote, columns-2) {
		fmt.Fprintf(b, "  %s\n", text)
	}
}

const exitNote = "Under consul watch (CONSUL_INDEX is set) it is 0 whatever happened, save for 2; " +
	"--strict-exit turns that off."
