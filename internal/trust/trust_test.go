package trust

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aead.dev/minisign"

	"stretcher/internal/text/failure"
)

func TestSignatureURL(t *testing.T) {
	for manifest, want := range map[string]string{
		"s3://deploys/app.yml":                     "s3://deploys/app.yml.minisig",
		"https://h/a.yml?X-Amz-Signature=1&x=/a?b": "https://h/a.yml.minisig?X-Amz-Signature=1&x=/a?b",
		"https://h/a%2Fb.yml":                      "https://h/a%2Fb.yml.minisig",
		"https://h/a.yml#top?x":                    "https://h/a.yml.minisig#top?x",
		"https://u:p@h/a%3Fb":                      "https://u:p@h/a%3Fb.minisig",
		"file:///srv/app.yml":                      "file:///srv/app.yml.minisig",
		"gs://b/a b.yml":                           "gs://b/a b.yml.minisig",
	} {
		if got, err := SignatureURL(manifest); err != nil || got != want {
			t.Errorf("%s: %q, %v", manifest, got, err)
		}
	}
	for _, manifest := range []string{
		"", "app.yml", "https://h", "https://h?x=/a", "https://h/", "https://h/app/", "s3:deploys/app.yml", "https://h/%zz",
	} {
		if got, err := SignatureURL(manifest); got != "" || !errors.Is(err, failure.ErrRefused) {
			t.Errorf("%q: %q, %v", manifest, got, err)
		}
	}
}

// pair is a key with its secret half.
type pair struct {
	public minisign.PublicKey
	secret minisign.PrivateKey
}

func newPair(t *testing.T) pair {
	t.Helper()
	public, secret, err := minisign.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return pair{public, secret}
}

// text is the key as a file has it.
func (p pair) text() string {
	text, _ := p.public.MarshalText()
	return string(text) + "\n"
}

// directory makes a directory with files.
func directory(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func load(t *testing.T, files map[string]string) *Keys {
	t.Helper()
	k, err := LoadKeys(directory(t, files))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestLoadKeys(t *testing.T) {
	a, b := newPair(t), newPair(t)
	k := load(t, map[string]string{
		"a.pub": a.text(), "again.pub": strings.ReplaceAll(a.text(), "\n", "\r\n"), "b.pub": b.public.String() + "\n\r\n\n",
		"README": "no key", "b.pub~": "no key", ".c.pub": "no key", "c.key": "no key",
	})
	if len(k.list) != 3 || k.distinct() != 2 {
		t.Errorf("%d files, %d keys", len(k.list), k.distinct())
	}
	for _, p := range []pair{a, b} {
		if !k.Has(idOf(p.public)) {
			t.Errorf("%v is not there", p.public)
		}
	}
	if other := newPair(t); k.Has(idOf(other.public)) || k.Has("") {
		t.Error("has what is not there")
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	a, b := newPair(t), newPair(t)
	key := a.public.String()
	for name, c := range map[string]struct {
		text, why string
	}{
		"empty":           {"", "not one public key"},
		"blank":           {"\n", "no public key"},
		"two keys":        {a.text() + b.text(), "not one public key"},
		"two without":     {a.public.String() + "\n" + b.public.String() + "\n", "not one public key"},
		"rest":            {a.text() + "x", "not one public key"},
		"blank lines":     {a.text() + "\n\n" + b.text(), "not one public key"},
		"a comment alone": {untrusted + "x\n", "no public key"},
		"broken line":     {key[:8] + "\n" + key[8:] + "\n", "not one public key"},
		"cut":             {key[:len(key)-4], "no public key"},
		"space":           {key + " \n", "no public key"},
		"algorithm":       {"A" + key[1:], "no public key"},
		"a secret key":    {untrusted + "x\n" + strings.Repeat("RWQAAEIy", 27) + "\n", "no public key"},
		"endless":         {untrusted + strings.Repeat("x", maxKeyFile) + "\n" + key, "larger than 4096 bytes"},
	} {
		dir := directory(t, map[string]string{"good.pub": b.text(), "bad.pub": c.text})
		k, err := LoadKeys(dir)
		if k != nil || !errors.Is(err, failure.ErrRefused) || !strings.Contains(err.Error(), c.why) ||
			!strings.Contains(err.Error(), `"bad.pub"`) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDirectoriesThatAreRefused(t *testing.T) {
	a := newPair(t)
	for name, c := range map[string]struct {
		change func(dir string) error
		why    string
	}{
		"not there": {func(dir string) error { return os.RemoveAll(dir) }, "no such file"},
		"no key":    {func(dir string) error { return os.Rename(dir+"/a.pub", dir+"/a.key") }, `there is no *.pub in it`},
		"writable":  {func(dir string) error { return os.Chmod(dir, 0o777) }, "may be written by everybody"},
		"file":      {func(dir string) error { return os.Chmod(dir+"/a.pub", 0o666) }, "may be written by everybody"},
		"directory": {func(dir string) error { return os.Mkdir(dir+"/b.pub", 0o755) }, "not a regular file"},
		"upper case": {func(dir string) error { return os.WriteFile(dir+"/b.PUB", nil, 0o644) },
			`"b.PUB" does not count: only names that end in .pub do`},
		"dangling": {func(dir string) error { return os.Symlink("nowhere", dir+"/b.pub") },
			`"b.pub": is a symlink that leads nowhere`},
		"a file": {func(dir string) error {
			return errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o644))
		}, "not a directory"},
	} {
		dir := directory(t, map[string]string{"a.pub": a.text()})
		if err := c.change(dir); err != nil {
			t.Fatal(err)
		}
		k, err := LoadKeys(dir)
		if k != nil || !errors.Is(err, failure.ErrRefused) || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
