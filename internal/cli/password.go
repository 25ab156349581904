package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"stretcher/internal/text/failure"
	"stretcher/internal/text/printable"
	"stretcher/internal/trust"
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
		"the first line is the password (default: asked for, or read from standard input, as with -)")
	asFile(f, "password-file")
}

// get is the password for something, asked for as often as said if a person
// types it. It is never empty.
func (p *passwords) get(ctx context.Context, what string, times int) (word string, err error) {
	switch {
	case p.file != "" && p.file != "-" && p.file != "/dev/stdin":
		word, err = p.fromFile(ctx)
	case isTerminal(p.Stdin):
		word, err = p.typed(ctx, what, times)
	default:
		word, err = within(ctx, func() (string, error) { return firstLine(p.Stdin) })
	}
	if err == nil && word == "" {
		err = failure.Hinted("the first line of --password-file FILE, or of standard input, is the password", errNoPassword)
	}
	return word, err
}

// errNoPassword: where a password should be there is none.
var errNoPassword = errors.New("it is empty")

// fromFile reads the file. What was given may be the password itself, and is
// not told unless it is a file's name.
func (p *passwords) fromFile(ctx context.Context) (string, error) {
	f, err := openNamed(p.file)
	if _, noFile := os.Lstat(p.file); err != nil && noFile != nil {
		var at *fs.PathError
		if errors.As(noFile, &at) {
			noFile = at.Err
		}
		return "", failure.Hinted("it is the name of a file with the password in it",
			fmt.Errorf("--password-file is no file that is there: %w", noFile))
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	return within(ctx, func() (string, error) { return firstLine(f) })
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
		fmt.Fprintf(p.Stderr, "password for %s%s: ", printable.Line(what), again)
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

// secret is the secret key in a file.
func (p *passwords) secret(ctx context.Context, name string) (*trust.Secret, error) {
	file, mode, err := readAtMost(ctx, name, trust.MaxSecretFile)
	if err != nil {
		return nil, err
	}
	if mode.IsRegular() && mode&0o044 != 0 {
		p.warn("others may read the secret key %q: chmod 600", name)
	}
	// Not within ctx: after a signal, get makes the terminal as it was first.
	key, err := trust.ParseSecret(file, func() (string, error) { return p.get(ctx, name, 1) })
	switch {
	case ctx.Err() != nil: // to decrypt it takes seconds
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, fmt.Errorf("%q: %w", name, err)
	}
	return key, nil
}
