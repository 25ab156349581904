package cli

import (
	"bytes"
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
	"stretcher/internal/text/printable"
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
		Use:   "sign --key KEY FILE",
		Short: "sign a manifest by a secret key: FILE.minisig",
		Long: `Signs a manifest by a secret key and writes the signature beside it, to
FILE.minisig. Keys and signatures are minisign's. Any FILE is signed that is no
larger than a manifest may be; what no host would take as one is a warning.
Only a signature is replaced: any other file stays as it is.`,
		Example: `stretcher sign --key ci.key app.yml
stretcher sign --key ops.key --append app.yml    # a second signature`,
		RunE: a.runs(o.run),
	})
	f := c.Flags()
	f.Var(&textValue{&o.key, "FILE"}, "key", "secret key, as keygen or minisign -G makes it")
	f.Var(&textValue{&o.output, "FILE"}, "output",
		"where the signature goes; - is standard output (default: FILE.minisig)")
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
	case args[0] == "-":
		return failure.Usage("sign expects a FILE, not standard input")
	case o.key == "":
		return failure.Usage("sign expects --key FILE")
	case strings.ContainsAny(o.key, "\r\n"): // whatever it is, it may be a secret
		return failure.Usage("--key is the name of a file, and was given several lines")
	case o.add && o.toStdout():
		return failure.Usage("--append adds to a file: it can't be used with --output %s", o.output)
	}
	if err := o.checkComment(args[0]); err != nil {
		return err
	}
	o.output = cmp.Or(o.output, trust.SignatureFile(args[0]))
	for _, name := range []string{args[0], o.key} {
		if sameFile(name, o.output) {
			return failure.Usage("the signature would replace %q", name)
		}
	}
	return nil
}

// checkComment refuses a comment that a signature can't have. name is the file
// that it tells of where none is given.
func (o *signOptions) checkComment(name string) error {
	switch {
	case !trust.IsComment(o.comment):
		return failure.Usage("--comment is one line of text, of at most %d bytes", trust.MaxComment)
	case o.comment == "" && !trust.IsComment(filepath.Base(name)):
		return failure.Hinted("give a comment by --comment TEXT",
			failure.Usage("the name of %q can't stand in the signature's comment", name))
	}
	return nil
}

// toStdout tells whether the signature is printed.
func (o *signOptions) toStdout() bool { return o.output == "-" || o.output == "/dev/stdout" }

// sameFile tells whether two names lead to one file.
func sameFile(a, b string) bool {
	one, err := os.Stat(a)
	other, otherErr := os.Stat(b)
	return err == nil && otherErr == nil && os.SameFile(one, other)
}

func (o *signOptions) sign(ctx context.Context, name string) error {
	message, _, err := readAtMost(ctx, name, o.actions.MaxManifest) // before anybody is asked for a password
	if errors.As(err, new(errLarge)) {
		err = failure.Hinted("what is as large as that is no manifest", failure.Usage("%w", err))
	}
	if err != nil {
		return err
	}
	before, err := o.before(ctx)
	if err != nil {
		return err
	}
	if err := o.actions.Unfit(message, name); err != nil {
		o.warn("no host that asks for signatures takes %q: %v", name, err)
	}
	key, err := o.passwords.secret(ctx, o.key)
	if err != nil {
		return err
	}
	comment := cmp.Or(o.comment, trust.Comment(filepath.Base(name), time.Now()))
	document := before
	if !o.add {
		document = nil
	}
	signed, err := key.Sign(bytes.NewReader(message), comment, document)
	if err != nil {
		return err
	}
	if err := o.write(before, signed); err != nil || o.toStdout() {
		return err
	}
	if n := key.Others(before); n > 0 && !o.add {
		o.warn("%q had %d signatures by other keys, which are gone: --append keeps them", o.output, n)
	}
	_, err = fmt.Fprintf(o.Stdout, "%s: signed by %s\n", printable.Line(o.output), key)
	return err
}

// before is the signature document that will be replaced. Any other file is not.
func (o *signOptions) before(ctx context.Context) ([]byte, error) {
	if o.toStdout() {
		return nil, nil
	}
	data, _, err := readAtMost(ctx, o.output, trust.MaxSignatures)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err == nil && len(data) > 0:
		err = trust.CheckDocument(data)
	}
	switch {
	case errors.Is(err, disk.ErrIrregular):
		return nil, failure.Usage("the signature would replace %q: %w", o.output, disk.ErrIrregular)
	case err == nil || errors.As(err, new(*fs.PathError)) || ctx.Err() != nil:
		return data, err
	}
	return nil, failure.Hinted("move it away, or write elsewhere by --output FILE",
		failure.Usage("%q is there already and no signature, and stays as it is", o.output))
}

// write writes the signature, if what it replaces is still what was there
// before.
func (o *signOptions) write(before, signed []byte) error {
	put := func(w io.Writer) error {
		_, err := w.Write(signed)
		return err
	}
	if o.toStdout() {
		return put(o.Stdout)
	}
	same := func(r io.Reader) error {
		now, err := io.ReadAll(io.LimitReader(r, trust.MaxSignatures+1))
		if err == nil && !bytes.Equal(now, before) {
			err = errors.New("it has changed in the meantime")
		}
		return err
	}
	return roomHint(disk.ReplaceIf(o.output, ".stretcher-signature-", 0o644, same, put))
}
