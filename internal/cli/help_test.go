package cli

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/pflag"
)

// TestHelp: each command has a help of at most 80 columns, with its flags and
// an example.
func TestHelp(t *testing.T) {
	a := newApp(Process{}, Actions{})
	for _, c := range a.commands() {
		words := path(c)
		got := callWith(t, nil, append(words, "--help")...)
		if got.status != ExitGood || got.stderr != "" || got.told() {
			t.Errorf("%q: status %d, said %q", words, got.status, got.stderr)
		}
		for _, line := range strings.Split(got.stdout, "\n") {
			if utf8.RuneCountInString(line) > columns {
				t.Errorf("%q: over %d columns: %s", words, columns, line)
			}
		}
		if !strings.Contains(got.stdout, "\nusage:\n  stretcher "+strings.Join(words, " ")) ||
			!strings.Contains(got.stdout, "\nexamples:\n  stretcher ") &&
				c != a.root {
			t.Errorf("%q: no usage or no examples:\n%s", words, got.stdout)
		}
		c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && !strings.Contains(got.stdout, "\n  --"+f.Name) {
				t.Errorf("%q: --%s is missing", words, f.Name)
			}
		})
		if other := callWith(t, nil, append([]string{"help"}, words...)...); other.stdout != got.stdout {
			t.Errorf("help %q is not %q --help", words, words)
		}
	}
	for _, args := range []string{"-h", "-help", "--help", "help", "--help s3://b/k", "-timeout 3 -h"} {
		c := callWith(t, nil, strings.Fields(args)...)
		if c.status != ExitGood || !strings.Contains(c.stdout, "\nexit status:\n") || !strings.Contains(c.stdout,
			"\ncommands:\n") || c.told() {
			t.Errorf("%q: status %d, printed %q", args, c.status, c.stdout)
		}
	}
}

// TestWrapped: no line is wider than it may be, and no word is lost.
func TestWrapped(t *testing.T) {
	text := "a bb ccc dddd eeeee ffffffffffff g"
	for width := 5; width < 20; width++ {
		lines := wrapped(text, width)
		if got := strings.Join(lines, " "); got != text {
			t.Errorf("%d: %q", width, got)
		}
		for _, line := range lines {
			if len(line) > width && strings.Contains(line, " ") {
				t.Errorf("%d: %q is too wide", width, line)
			}
		}
	}
}
