package cli

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// checkRead: whatever the command line is, reading it loses no argument, what
// has been put in order stays as it is, and cobra finds the same command.
func checkRead(t *testing.T, args []string) {
	t.Helper()
	a := newApp(Process{}, Actions{})
	once, err := a.read(args)
	if err != nil || strings.HasPrefix(strings.Join(args, " "), "__complete") {
		return
	}
	command, given := a.line.command, positional(a)
	c, flags, err := a.root.Find(once)
	if err != nil || c != command {
		t.Fatalf("%q: cobra finds %q, not %q: %v", once, c.CommandPath(), command.CommandPath(), err)
	}
	if c.ParseFlags(flags) == nil && !slices.Equal(c.Flags().Args(), given) {
		t.Fatalf("%q: cobra has the arguments %q, not %q", once, c.Flags().Args(), given)
	}
	again, err := a.read(once)
	if err != nil || !slices.Equal(once, again) {
		t.Fatalf("%q: read as %q, and again as %q, %v", args, once, again, err)
	}
	if got := positional(a); !slices.Equal(got, given) {
		t.Fatalf("%q: arguments %q, read again %q", args, given, got)
	}
}

// positional are the arguments of the line that was read.
func positional(a *app) (args []string) {
	args = []string{}
	for _, w := range a.line.words {
		if w.isArgument() {
			args = append(args, w.text)
		}
	}
	return args
}

func FuzzRead(f *testing.F) {
	for _, line := range []string{
		"", "s3://b/k", "-timeout 30 s3://b/k", "-max-band-width=1 a -v", "--json hooks list a", "hooks -- list",
		"-- a -b --",
		"-rsync-verbose -v", "--to x rollback /srv", "-", "--", "-=", "--=", "-vh", "-v=true", "--retry", "__complete rollb",
		"__complete --to ", "help hooks run", " history", "run --retry", "---v --max-bandwidth rollback",
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) { checkRead(t, strings.Split(line, " ")) })
}

// TestReadAtRandom reads lines of words that mean something.
func TestReadAtRandom(t *testing.T) {
	words := []string{
		"", "-", "--", "-v", "-vh", "-h", "--retry", "-retry", "-retry=2", "--to", "--to=x", "-json", "--json=false",
		"hooks", "list", "run",
		"rollback", "history", "s3://b/k", "-=", "--=", "-v=true", "--max-band-width", "-max-band-width=3", "help",
		"x y", "--log", "=", "-=x",
		"-x", "--detach", "--detach=", "status", "-version=false", "--help=x", "completion", "man", "-vretry", "-h=",
		"---v", "---json", "---",
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var args []string
		for range r.IntN(6) {
			args = append(args, words[r.IntN(len(words))])
		}
		checkRead(t, args)
	}
}
