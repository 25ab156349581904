package cli

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"unicode"

	"github.com/spf13/pflag"

	"stretcher/internal/disk"
	"stretcher/internal/text/failure"
)

// secretSigns are what the text of a key file has in it, whatever its lines end
// in: its first line, a key with a password and one without, that line in
// base64, and how keys of other programs begin.
func secretSigns() []string {
	const first = "untrusted comment:"
	signs := []string{strings.ReplaceAll(first, " ", ""), "RWRTY0Iy", "RWQAAEIy", "-----BEGIN"}
	encoded := base64.RawStdEncoding.EncodeToString([]byte(first))
	return append(signs, encoded[:len(encoded)-1]) // its last digit depends on what follows
}

// isKey tells whether a value is a key itself, where the name of one is meant:
// as of --key "$(cat ci.key)". It must not be repeated.
func isKey(value string) bool {
	text := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, value)
	for _, sign := range secretSigns() {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}

// noKeys refuses flags and arguments that are keys themselves, without telling
// them.
func noKeys(flags *pflag.FlagSet, args []string) (err error) {
	flags.VisitAll(func(f *pflag.Flag) {
		kind := map[string]string{"FILE": "the name of a file", "DIR": "the name of a directory"}[f.Value.Type()]
		if err == nil && isKey(f.Value.String()) {
			if kind == "" {
				kind = "for others to read"
			}
			err = failure.Usage("--%s is %s, and was given a key itself", f.Name, kind)
		}
	})
	for i, arg := range args {
		if err == nil && isKey(arg) {
			err = failure.Usage("argument %d is a key itself, where a name is expected", i+1)
		}
	}
	return err
}

// openNamed opens a file that somebody named. A FIFO or a device is refused, and
// hangs nothing; pipes that this process was started with are not, as those of
// a shell's <(command).
func openNamed(name string) (*os.File, error) {
	if number, below := strings.CutPrefix(name, "/dev/fd/"); !below || strings.Trim(number, "0123456789") != "" {
		return disk.OpenRegular(name, os.O_RDONLY, 0)
	}
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() && info.Mode().Type() != fs.ModeNamedPipe {
		err = &fs.PathError{Op: "open", Path: name, Err: disk.ErrIrregular}
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// readAtMost reads a file that somebody named and that is no larger than it may
// be. A signal ends the wait for a pipe.
func readAtMost(ctx context.Context, name string, limit int64) ([]byte, fs.FileMode, error) {
	f, err := openNamed(name)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	data, err := within(ctx, func() ([]byte, error) { return io.ReadAll(io.LimitReader(f, limit+1)) })
	if err == nil && int64(len(data)) > limit {
		err = errLarge{fmt.Errorf("%q is larger than %d bytes", name, limit)}
	}
	return data, info.Mode(), err
}

// errLarge is the error of a file that is larger than it may be.
type errLarge struct{ error }

// roomHint adds a hint to the error of a file that a full disk does not take.
func roomHint(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return failure.Hinted("make room there", err)
	}
	return err
}

// within waits for an answer, but not beyond a signal.
func within[T any](ctx context.Context, ask func() (T, error)) (got T, err error) {
	type answer struct {
		value T
		err   error
	}
	answered := make(chan answer, 1)
	go func() {
		value, err := ask()
		answered <- answer{value, err}
	}()
	select {
	case a := <-answered:
		if ctx.Err() == nil {
			return a.value, a.err
		}
	case <-ctx.Done():
	}
	return got, context.Cause(ctx)
}
