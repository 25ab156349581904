package publish

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stretcher/internal/fetch/store"
	"stretcher/internal/text/failure"
)

// liar is a server that takes what it does not store as it is.
type liar struct {
	Store
	ending string // of what it lies about
	stores func(body []byte) []byte
	sent   []string
}

func (l *liar) Put(ctx context.Context, url string, body io.ReaderAt, size int64, opts store.PutOptions) error {
	l.sent = append(l.sent, filepath.Ext(url))
	if !strings.HasSuffix(url, l.ending) {
		return l.Store.Put(ctx, url, body, size, opts)
	}
	data, err := io.ReadAll(io.NewSectionReader(body, 0, size))
	if data = l.stores(data); err == nil && data != nil {
		err = os.WriteFile(strings.TrimPrefix(url, "file://"), data, 0o600)
	}
	return err
}

// TestTaken: what a server says it has taken, and has not, is an error before the
// manifest names it.
func TestTaken(t *testing.T) {
	lies := map[string]func([]byte) []byte{
		"nothing": func([]byte) []byte { return nil },
		"half":    func(b []byte) []byte { return b[:len(b)/2] },
		"other":   func(b []byte) []byte { return append(bytes.Clone(b[1:]), 'x') },
	}
	for _, ending := range []string{".gz", ".idx", ".minisig", ".yml"} {
		for what, lie := range lies {
			target := t.TempDir()
			o := options(t, tree(t, "one"), "file://"+target)
			o.Signer = signer("ci")
			l := &liar{Store: o.Store, ending: ending, stores: lie}
			o.Store = l
			if res, err := Publish(t.Context(), o); err == nil {
				t.Errorf("%s, %s: said to be there: %+v", ending, what, res)
			}
			if last := l.sent[len(l.sent)-1]; last != ending {
				t.Errorf("%s, %s: %s was sent behind it", ending, what, last)
			}
		}
	}
}

// headless is a server that knows nothing when it is asked by HEAD.
type headless struct{ Store }

func (headless) Stat(context.Context, string) (store.Info, error) {
	return store.Info{}, &store.Error{Op: "HEAD", Status: 404, Err: store.ErrNotFound}
}

// TestHeadless: what hosts can read is there.
func TestHeadless(t *testing.T) {
	o := options(t, tree(t, "one"), "file://"+t.TempDir())
	o.Signer, o.Store = signer("ci"), headless{o.Store}
	if _, err := Publish(t.Context(), o); err != nil {
		t.Error(err)
	}
}

// replaced publishes a signed manifest, and then another one of that name, which
// ends at one of its requests. It tells whether it has come to that.
func replaced(t *testing.T, at int) bool {
	t.Helper()
	target := t.TempDir()
	o := options(t, tree(t, "one"), "file://"+target)
	o.Signer = signer("ci")
	if _, err := Publish(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	now := options(t, tree(t, "two"), "file://"+target)
	s := &stopping{Store: now.Store, at: at, then: func() error { return errors.New("killed") }}
	now.Signer, now.Replace, now.Store = signer("ci"), true, s
	_, err := Publish(t.Context(), now)
	if (err != nil) != (len(s.calls) >= at) {
		t.Errorf("stopped at %d: %v", at, err)
	}
	manifest, err1 := os.ReadFile(filepath.Join(target, "app-1.yml"))
	document, err2 := os.ReadFile(filepath.Join(target, "app-1.yml.minisig"))
	if err := errors.Join(err1, err2); err != nil || !signer("ci").HasSigned(manifest, document) {
		t.Errorf("stopped at %d, %q: the manifest is there without its signature: %v", at, s.calls, err)
	}
	if len(s.calls) < at && bytes.Count(document, []byte("\n")) != 1 {
		t.Errorf("the signature of the manifest that is gone is there: %s", document)
	}
	return len(s.calls) >= at
}

// TestReplacedSigned: whenever the replacing of a signed manifest ends, the one that
// is there has its signature.
func TestReplacedSigned(t *testing.T) {
	at := 1
	for replaced(t, at) {
		at++
	}
	if at < 10 {
		t.Errorf("there are %d requests", at)
	}
}

// TestSignedAtOnce: somebody else who publishes the same has signed it a moment
// before. What is there instead of a signature of it is not kept.
func TestSignedAtOnce(t *testing.T) {
	dir := tree(t, "one")
	first := options(t, dir, "file://"+t.TempDir())
	first.Signer = signer("ci")
	res, err := Publish(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		vouches bool
		by      signer
	}{"the same": {true, "ci"}, "by another": {false, "x"}} {
		target := t.TempDir()
		o := options(t, dir, "file://"+target)
		o.Signer, o.Base = signer("ci"), first.To // for the same manifest
		s := &stopping{Store: o.Store}
		o.Store = s
		s.at = 9
		s.then = func() error {
			document, err := c.by.Sign(bytes.NewReader(res.Text), "of somebody else", nil)
			return errors.Join(err, os.WriteFile(filepath.Join(target, "app-1.yml.minisig"), document, 0o600))
		}
		_, err := Publish(t.Context(), o)
		if len(s.calls) < s.at || s.calls[s.at-1] != "put .minisig" {
			t.Fatalf("%s: calls are %q", what, s.calls)
		}
		if c.vouches && err != nil || !c.vouches && !errors.Is(err, failure.ErrRefused) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
