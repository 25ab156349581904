package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"stretcher/internal/text/failure"
	"stretcher/internal/text/printable"
	"stretcher/internal/trust"
)

// keygenOptions are those of stretcher keygen.
type keygenOptions struct {
	*app
	passwords
	plain bool // the secret key has no password
}

func newKeygen(a *app) *cobra.Command {
	o := &keygenOptions{app: a, passwords: passwords{app: a}}
	c := newCommand(&cobra.Command{
		Use:   "keygen NAME",
		Short: "make a key to sign manifests with: NAME.key and NAME.pub",
		Long: `Makes a key to sign manifests with, in minisign's format: the secret half
NAME.key, which is encrypted by a password, and the public half NAME.pub, for
the directory that trust.keys of a host policy names. It replaces no file.`,
		Example: `stretcher keygen ci
stretcher keygen --password-file pw ci`,
		RunE: a.runs(o.run),
	})
	f := c.Flags()
	o.declare(f)
	f.BoolVar(&o.plain, "no-password", false, "do not encrypt the secret key: whoever reads it can sign")
	return c
}

func (o *keygenOptions) run(ctx context.Context, args []string) (int, error) {
	err := o.check(args)
	if err == nil {
		err = o.generate(ctx, args[0])
	}
	return Status(err), err
}

// check refuses what can't be meant, before anybody is asked for a password.
func (o *keygenOptions) check(args []string) error {
	switch {
	case len(args) != 1:
		return failure.Usage("keygen expects one NAME, got %d arguments", len(args))
	case o.plain && o.passwords.file != "":
		return failure.Usage("--no-password and --password-file can't be used together")
	case args[0] == "" || strings.HasSuffix(args[0], "/") || strings.HasPrefix(filepath.Base(args[0]), "."):
		return failure.Usage("%q is no NAME for key files", args[0]) // hosts do not read hidden ones
	case printable.Line(args[0]) != args[0]:
		return failure.Usage("%q is no NAME for key files: it has what can't be printed", args[0])
	}
	if ext := filepath.Ext(args[0]); ext == ".key" || ext == ".pub" {
		return failure.Usage("NAME is written without %s: the files are NAME.key and NAME.pub", ext)
	}
	for _, name := range []string{args[0] + ".key", args[0] + ".pub"} {
		switch _, err := os.Lstat(name); {
		case err == nil:
			return failure.Usage("%q is there already, and no key is replaced", name)
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	return nil
}

func (o *keygenOptions) generate(ctx context.Context, name string) error {
	word := ""
	if !o.plain {
		var err error
		word, err = o.get(ctx, name+".key", 2)
		if errors.Is(err, errNoPassword) {
			err = failure.Hinted(failure.Hint(err)+"; --no-password makes a key without", err)
		}
		if err != nil {
			return fmt.Errorf("password: %w", err)
		}
	}
	key, err := trust.GenerateSecret()
	if err != nil {
		return err
	}
	secret, err := within(ctx, func() ([]byte, error) { return key.File(word) }) // it takes seconds
	if err != nil {
		return err
	}
	if err := makeFile(name+".key", secret, 0o600); err != nil {
		return roomHint(err)
	}
	if err := makeFile(name+".pub", key.PublicFile(), 0o644); err != nil {
		return roomHint(errors.Join(err, os.Remove(name+".key")))
	}
	_, err = fmt.Fprintf(o.Stdout, "%s.key: the secret half, to sign with\n"+
		"%s.pub: the public half, for trust.keys of hosts\nkey %s\n", name, name, key.ID())
	return err
}

// makeFile makes a file that was not there, completely or not at all.
func makeFile(name string, data []byte, perm fs.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}
