package cli

import (
	"maps"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"stretcher/internal/text/failure"
)

// line is the command line as it was read.
type line struct {
	command *cobra.Command
	words   []word
}

// word is an argument, or a flag with its value.
type word struct {
	text  string
	flag  string   // the flag's name; "" = an argument
	value []string // what follows the flag as its value: none or one
	lacks bool     // a value, which should follow
	after bool     // an argument behind "--"
}

// args are what the word stands for, as pflag reads it.
func (w word) args() []string { return append([]string{w.text}, w.value...) }

// has tells whether the flag is on the command line.
func (l line) has(flag string) bool {
	return slices.ContainsFunc(l.words, func(w word) bool { return w.flag == flag })
}

// read finds the command and makes of the command line what cobra reads: the
// command first, flags of v1.x with their second dash. The flags of all
// commands are known here, so that a command may stand behind its flags.
func (a *app) read(args []string) ([]string, error) {
	if len(args) > 1 && (args[0] == cobra.ShellCompRequestCmd || args[0] == cobra.ShellCompNoDescRequestCmd) {
		a.completes()
		last := len(args) - 1 // not typed in full
		a.line = a.readLine(args[1:last])
		return slices.Concat(args[:1], a.line.typed(), args[last:]), nil
	}
	a.line = a.readLine(args)
	return a.line.args(), a.checkFlags()
}

// readLine finds the command, wherever it stands behind its flags. One that means
// something of its own by a flag of all commands, as pack does by --version, is
// looked for by that meaning.
func (a *app) readLine(args []string) line {
	known := a.flags()
	for _, c := range a.commands() {
		var own map[string]*pflag.Flag
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if f.NoOptDefVal == known[f.Name].NoOptDefVal {
				return
			}
			if own == nil {
				own = maps.Clone(known)
			}
			own[f.Name] = f
		})
		if own == nil {
			continue
		}
		if l := a.find(split(args, own)); l.command == c {
			return l
		}
	}
	return a.find(split(args, known))
}

// split tells flags from arguments. Only words that stand where a flag can
// stand are taken for one, not the values of flags and nothing after "--".
func split(args []string, known map[string]*pflag.Flag) (words []word) {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			for _, rest := range args[i+1:] {
				words = append(words, word{text: rest, after: true})
			}
			break
		}
		name, value, hasValue := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if !strings.HasPrefix(arg, "-") || arg == "-" {
			words = append(words, word{text: arg})
			continue
		}
		if name == "max-band-width" { // as some of v1.x's documents spell it
			name = "max-bandwidth"
		}
		flag := known[name]
		if strings.HasPrefix(arg, "---") || name == "" {
			name = arg // no flag's name, nor like one
		}
		if flag == nil || len(name) == 1 || name == arg {
			words = append(words, word{text: arg, flag: name})
			continue
		}
		w := word{text: "--" + name, flag: name}
		if hasValue {
			w.text += "=" + value
		} else if w.lacks = flag.NoOptDefVal == "" && i+1 == len(args); flag.NoOptDefVal == "" && !w.lacks {
			i++
			w.value = args[i : i+1]
		}
		words = append(words, w)
	}
	return words
}

// find takes the words of the command out of the others.
func (a *app) find(words []word) line {
	l := line{command: a.root}
	for _, w := range words {
		if w.flag == "" && !w.after && !slices.ContainsFunc(l.words, word.isArgument) {
			if c := child(l.command, w.text); c != nil {
				l.command = c
				continue
			}
		}
		l.words = append(l.words, w)
	}
	return l
}

func (w word) isArgument() bool { return w.flag == "" }

func child(c *cobra.Command, name string) *cobra.Command {
	for _, sub := range c.Commands() {
		if sub.Name() == name {
			return sub
		}
	}
	return nil
}

// args is the line as cobra can't mistake it: the command, the flags, and the
// arguments behind "--", where none of them is taken for a command.
func (l line) args() []string {
	flags, rest := path(l.command), []string{}
	for _, w := range l.words {
		if w.isArgument() {
			rest = append(rest, w.text)
		} else {
			flags = append(flags, w.args()...)
		}
	}
	if len(rest) == 0 {
		return flags
	}
	return slices.Concat(flags, []string{"--"}, rest)
}

// typed is the line with its command first, and all else as it stands.
func (l line) typed() []string {
	out := append([]string{}, path(l.command)...)
	for i, w := range l.words {
		if w.after && (i == 0 || !l.words[i-1].after) {
			out = append(out, "--")
		}
		out = append(out, w.args()...)
	}
	return out
}

// path is the words of a command; the root command has none.
func path(c *cobra.Command) (words []string) {
	for ; c.HasParent(); c = c.Parent() {
		words = append([]string{c.Name()}, words...)
	}
	return words
}

// flags are the flags of all commands by their names. A name means the same
// wherever it is declared, but for --version.
func (a *app) flags() map[string]*pflag.Flag {
	all := map[string]*pflag.Flag{}
	for _, c := range a.commands() {
		c.Flags().VisitAll(func(f *pflag.Flag) { all[f.Name] = f })
	}
	a.root.PersistentFlags().VisitAll(func(f *pflag.Flag) { all[f.Name] = f })
	return all
}

// commands are all commands, the root command first.
func (a *app) commands() []*cobra.Command {
	all := []*cobra.Command{a.root}
	for i := 0; i < len(all); i++ {
		all = append(all, all[i].Commands()...)
	}
	return all
}

// checkFlags refuses flags that do not exist, or not for this command.
func (a *app) checkFlags() error {
	own := map[string]bool{}
	note := func(f *pflag.Flag) {
		own[f.Name] = true
		if f.Shorthand != "" {
			own[f.Shorthand] = true
		}
	}
	a.line.command.Flags().VisitAll(note)
	a.root.PersistentFlags().VisitAll(note)
	for _, w := range a.line.words {
		switch {
		case w.lacks && own[w.flag]:
			return failure.Usage("flag needs an argument: %s", w.text)
		case w.isArgument() || len(w.flag) > 1 && own[w.flag] || isShort(w.text, own):
		case a.flags()[w.flag] != nil:
			return a.belongs(w.flag)
		default:
			return a.unknownFlag(w, own)
		}
	}
	return nil
}

// isShort tells whether a word is one-letter flags alone, each of them once.
func isShort(text string, own map[string]bool) bool {
	letters, _, _ := strings.Cut(text, "=")
	letters, ok := strings.CutPrefix(letters, "-")
	for i, c := range letters {
		ok = ok && own[string(c)] && !strings.ContainsRune(letters[:i], c)
	}
	return ok && letters != ""
}

// belongs is the error of a flag that means nothing here.
func (a *app) belongs(flag string) error {
	var owners []string
	for _, c := range a.commands() {
		switch {
		case c.Hidden || c.Flags().Lookup(flag) == nil:
		case c == a.root && flag == "json":
			owners = append(owners, "--dry-run")
		case c == a.root:
			owners = append(owners, "[URL]")
		default:
			owners = append(owners, strings.Join(path(c), " "))
		}
	}
	text := owners[len(owners)-1]
	if rest := owners[:len(owners)-1]; len(rest) > 0 {
		text = strings.Join(rest, ", ") + " and " + text
	}
	return failure.Usage("--%s belongs to stretcher %s", flag, text)
}

// unknownFlag is the error of a flag that no command has.
func (a *app) unknownFlag(w word, own map[string]bool) error {
	text, _, _ := strings.Cut(w.text, "=")
	dashes := text[:len(text)-len(strings.TrimLeft(text, "-"))]
	err := failure.Usage("unknown flag: %s", text)
	var all, here []string
	for name := range a.flags() {
		all = append(all, name)
		if own[name] {
			here = append(here, name)
		}
	}
	for _, names := range [][]string{here, all} {
		if near := nearest(w.flag, names); near != "" {
			return didYouMean(dashes+near, err)
		}
	}
	return err
}

// didYouMean adds a hint at what may have been meant.
func didYouMean(what string, err error) error {
	return failure.Hinted("did you mean "+what+"? "+failure.SeeHelp, err)
}

// nearest is the name that word most probably is a mistake for, or "".
func nearest(word string, names []string) (near string) {
	slices.Sort(names)
	best := max(2, len(word)/3) + 1
	for _, name := range names {
		if d := levenshtein.Distance(word, name, nil); d < best && 2*d <= len(word) {
			best, near = d, name
		}
	}
	return near
}
