package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"stretcher/internal/text/failure"
)

// maxPassword bounds a password, in bytes.
const maxPassword = 1 << 10

// passwords are where the password of a secret key comes from.
type passwords struct {
	*app
	file string // the first line of it; "" = who started this is asked
}

// declare declares the flag of commands that need a password.
func (p *passwords) declare(f *pflag.FlagSet) {
	f.Var(&textValue{&p.file, "FILE"}, "password-file",
		"the first line is the password (default: asked for, or read from standard input)")
	asFile(f, "password-file")
}

// get is the password for something, asked for as often as said if a person
// types it. It is never empty.
func (p *passwords) get(ctx context.Context, what string, times int) (word string, err error) {
	switch {
	case p.file != "":
		word, err = p.fromFile()
	case isTerminal(p.Stdin):
		word, err = p.typed(ctx, what, times)
	default:
		word, err = within(ctx, func() (string, error) { return firstLine(p.Stdin) })
	}
	if err == nil && word == "" {
		err = errors.New("it is empty")
	}
	return word, err
}

func (p *passwords) fromFile() (string, error) {
	f, err := os.Open(p.file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return firstLine(f)
}

// firstLine reads a line without its end.
func firstLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, maxPassword+1)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	if len(line) > maxPassword {
		return "", fmt.Errorf("longer than %d bytes", maxPassword)
	}
	return line, nil
}

// typed asks a person. What is typed is not shown; after a signal the terminal
// is again as it was.
func (p *passwords) typed(ctx context.Context, what string, times int) (word string, err error) {
	fd := int(p.Stdin.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	defer func() { _ = term.Restore(fd, before) }()
	for i := range times {
		again := ""
		if i > 0 {
			again = " again"
		}
		fmt.Fprintf(p.Stderr, "password for %s%s: ", what, again)
		typed, err := within(ctx, func() (string, error) {
			b, err := term.ReadPassword(fd)
			return string(b), err
		})
		fmt.Fprintln(p.Stderr)
		switch {
		case err != nil:
			return "", err
		case i > 0 && typed != word:
			return "", failure.Usage("the passwords are not the same")
		}
		word = typed
	}
	return word, nil
}

// within waits for an answer, but not beyond a signal.
func within(ctx context.Context, ask func() (string, error)) (string, error) {
	type answer struct {
		word string
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		word, err := ask()
		got <- answer{word, err}
	}()
	select {
	case a := <-got:
		return a.word, a.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}
