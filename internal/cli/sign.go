package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stretcher/internal/disk"
	"stretcher/internal/text/failure"
	"stretcher/internal/trust"
)

// signOptions are those of stretcher sign.
type signOptions struct {
	*app
	passwords
	key     string
	output  string
	comment string
	add     bool
}

func newSign(a *app) *cobra.Command {
	o := &signOptions{app: a, passwords: passwords{app: a}}
	c := newCommand(&cobra.Command{
		Use:   "sign FILE",
		Short: "sign a manifest by a secret key: FILE.minisig",
		Long: `Signs a file by a secret key and writes the signature beside it, to
FILE.minisig. Keys and signatures are minisign's.`,
		Example: `stretcher sign --key ci.key app.yml
stretcher sign --key ops.key --append app.yml    # a second signature`,
		RunE: a.runs(o.run),
	})
	f := c.Flags()
	f.Var(&textValue{&o.key, "FILE"}, "key", "secret key, as keygen or minisign -G makes it")
	f.Var(&textValue{&o.output, "FILE"}, "output", "where the signature goes (default: FILE.minisig)")
	f.Var(&textValue{&o.comment, "TEXT"}, "comment", "a line that is signed too (default: the time and FILE's name)")
	f.BoolVar(&o.add, "append", false, "keep the signatures by other keys that are there")
	asFile(f, "key")
	asFile(f, "output")
	o.declare(f)
	return c
}

func (o *signOptions) run(ctx context.Context, args []string) (int, error) {
	err := o.check(args)
	if err == nil {
		err = o.sign(ctx, args[0])
	}
	return Status(err), err
}

// check refuses what can't be meant, before anybody is asked for a password.
func (o *signOptions) check(args []string) error {
	switch {
	case len(args) != 1:
		return failure.Usage("sign expects one FILE, got %d arguments", len(args))
	case strings.Contains(args[0], "://"):
		return failure.Hinted("the signature goes beside the manifest, as .minisig",
			failure.Usage("sign expects a FILE of this machine, not a URL"))
	case o.key == "":
		return failure.Usage("sign expects --key FILE")
	}
	o.output = cmp.Or(o.output, trust.SignatureFile(args[0]))
	for _, name := range []string{args[0], o.key} {
		if sameFile(name, o.output) {
			return failure.Usage("the signature would replace %q", name)
		}
	}
	return nil
}

// sameFile tells whether two names lead to one file.
func sameFile(a, b string) bool {
	one, err := os.Stat(a)
	other, otherErr := os.Stat(b)
	return err == nil && otherErr == nil && os.SameFile(one, other)
}

func (o *signOptions) sign(ctx context.Context, name string) error {
	message, err := os.Open(name) // before anybody is asked for a password
	if err != nil {
		return err
	}
	defer message.Close()
	var document []byte
	if o.add {
		if document, err = readAtMost(o.output, trust.MaxSignatures); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	key, err := o.secret(ctx)
	if err != nil {
		return err
	}
	comment := cmp.Or(o.comment, trust.Comment(filepath.Base(name), time.Now()))
	signed, err := key.Sign(message, comment, document)
	if err != nil {
		return err
	}
	err = disk.ReplaceRegular(o.output, ".stretcher-signature-", 0o644, func(w io.Writer) error {
		_, err := w.Write(signed)
		return err
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(o.Stdout, "%s: signed by %s\n", o.output, key)
	return err
}

// secret is the key to sign with.
func (o *signOptions) secret(ctx context.Context) (*trust.Secret, error) {
	file, err := readAtMost(o.key, trust.MaxSecretFile)
	if err != nil {
		return nil, err
	}
	key, err := trust.ParseSecret(file, func() (string, error) { return o.get(ctx, o.key, 1) })
	if err != nil {
		return nil, fmt.Errorf("%q: %w", o.key, err)
	}
	return key, nil
}

// readAtMost reads a file that is no larger than it may be.
func readAtMost(name string, limit int) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err == nil && len(data) > limit {
		return nil, fmt.Errorf("%q is larger than %d bytes", name, limit)
	}
	return data, err
}
