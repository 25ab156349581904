package trust

import (
	"encoding/base64"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"stretcher/internal/testparts"
	"stretcher/internal/text/failure"
)

// passwordFile is a key that is encrypted so weakly that tests need no time for
// it.
const passwordFile = "testdata/password.key"

// answer is a password that is asked for.
func answer(password string) func() (string, error) {
	return func() (string, error) { return password, nil }
}

func unasked() (string, error) { return "", errors.New("nobody was to be asked") }

func newSecret(t *testing.T) *Secret {
	t.Helper()
	s, err := GenerateSecret()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func signed(t *testing.T, s *Secret, comment, document string) string {
	t.Helper()
	made, err := s.Sign(strings.NewReader(message), comment, []byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return string(made)
}

func TestSecretFiles(t *testing.T) {
	s := newSecret(t)
	file, err := s.File("")
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseSecret([]byte(strings.ReplaceAll(string(file), "\n", "\r\n")), unasked)
	if err != nil || again.ID() != s.ID() || string(again.PublicFile()) != string(s.PublicFile()) {
		t.Errorf("read %v, %v", again, err)
	}
	read := func(name string) string {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	file = []byte(read(passwordFile))
	again, err = ParseSecret(file, answer("correct horse"))
	if err != nil || string(again.PublicFile()) != read("testdata/password.pub") {
		t.Errorf("read %v, %v", again, err)
	}
	if k := load(t, map[string]string{"a.pub": read("testdata/password.pub")}); !k.Has(again.ID()) {
		t.Error("another id than its public half has")
	}
}

func TestSecretFilesThatAreRefused(t *testing.T) {
	plain, err := newSecret(t).File("")
	if err != nil {
		t.Fatal(err)
	}
	encrypted, err := os.ReadFile(passwordFile)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		file, password, why string
	}{
		"empty":         {"", "", "not one secret key"},
		"a public key":  {string(newSecret(t).PublicFile()), "", "no secret key of minisign's"},
		"rest":          {string(plain) + "x\n", "", "not one secret key"},
		"endless":       {untrusted + strings.Repeat("x", MaxSecretFile) + "\n", "", "not one secret key"},
		"no base64":     {untrusted + "\n-\n", "", "no secret key"},
		"other halves":  {changed(string(plain), 62), "", "do not belong together"},
		"wrong":         {string(encrypted), "wrong", "password is wrong"},
		"empty one":     {string(encrypted), "", "password is wrong"},
		"damaged":       {changed(string(encrypted), 100), "correct horse", "or the file is damaged"},
		"all of memory": {changed(string(encrypted), 53), "correct horse", "or the file is damaged"},
	} {
		s, err := ParseSecret([]byte(c.file), answer(c.password))
		if s != nil || err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ParseSecret(encrypted, unasked); err == nil || !strings.Contains(err.Error(), "password: nobody") {
		t.Errorf("a password that nobody gives: %v", err)
	}
}

// changed is a key file with another byte in the key.
func changed(file string, at int) string {
	comment, text, _ := strings.Cut(file, "\n")
	raw, _ := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	raw[at] ^= 0x40
	return comment + "\n" + base64.StdEncoding.EncodeToString(raw) + "\n"
}

func TestSign(t *testing.T) {
	a, b := newSecret(t), newSecret(t)
	k := load(t, map[string]string{"a.pub": string(a.PublicFile()), "b.pub": string(b.PublicFile())})
	one := signed(t, a, "one", "")
	two := signed(t, b, "two", one)
	if !strings.HasPrefix(two, one) {
		t.Errorf("%q begins otherwise than %q", two, one)
	}
	again := signed(t, a, "three", strings.ReplaceAll(two, "\n", "\r\n"))
	if n := strings.Count(again, untrusted); n != 2 {
		t.Errorf("%d signatures by two keys", n)
	}
	signers, err := k.Verify([]byte(message), []byte(again), 2)
	if err != nil || signers[0].ID != b.ID() || signers[1].ID != a.ID() || signers[1].TrustedComment != "three" {
		t.Errorf("%v, %v", signers, err)
	}
}

func TestSignRefuses(t *testing.T) {
	s := newSecret(t)
	for name, c := range map[string]struct {
		comment, document string
		class             error
	}{
		"two lines":    {"a\nb", "", failure.ErrUsage},
		"escapes":      {"\x1b[2J", "", failure.ErrUsage},
		"a long one":   {strings.Repeat("x", maxTrusted), "", failure.ErrUsage},
		"no signature": {"", "a\nb\n", failure.ErrMalformed},
		"full": {"", strings.Repeat(signed(t, newSecret(t), "", ""), maxCount),
			failure.ErrUsage},
	} {
		made, err := s.Sign(strings.NewReader(message), c.comment, []byte(c.document))
		if made != nil || !errors.Is(err, c.class) {
			t.Errorf("%s: %q, %v", name, made, err)
		}
	}
	broken := errors.New("broken")
	if made, err := s.Sign(iotest.ErrReader(broken), "", nil); made != nil || !errors.Is(err, broken) {
		t.Errorf("a message that can't be read: %q, %v", made, err)
	}
}

// byMinisign calls Debian's program in a directory.
func byMinisign(t *testing.T, dir, stdin string, args ...string) error {
	t.Helper()
	c := exec.Command(testparts.Need(t, "minisign"), args...)
	c.Dir, c.Stdin = dir, strings.NewReader(stdin)
	out, err := c.CombinedOutput()
	if err != nil {
		return errors.New(string(out))
	}
	return nil
}

// TestMinisignMade: what Debian's minisign has signed, in both forms and by a
// key with a password, is understood.
func TestMinisignMade(t *testing.T) {
	dir := directory(t, map[string]string{"m": message})
	password, err := filepath.Abs(passwordFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"-G", "-W", "-p", "keys.pub", "-s", "plain.key"},
		{"-S", "-s", "plain.key", "-m", "m", "-x", "hashed"},
		{"-S", "-l", "-s", "plain.key", "-m", "m", "-x", "legacy", "-t", "said by ours"},
		{"-S", "-s", password, "-m", "m", "-x", "password"},
	} {
		if err := byMinisign(t, dir, "correct horse\n", args...); err != nil {
			t.Fatalf("%v: %v", args, err)
		}
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	other, err := os.ReadFile("testdata/password.pub")
	if err != nil {
		t.Fatal(err)
	}
	k := load(t, map[string]string{"a.pub": read("keys.pub"), "b.pub": string(other)})
	signers, err := k.Verify([]byte(message), []byte(read("legacy")+read("password")), 2)
	if err != nil || signers[0].TrustedComment != "said by ours" {
		t.Errorf("%v, %v", signers, err)
	}
	if signers, err = k.Verify([]byte(message), []byte(read("hashed")), 1); err != nil || signers[0].File != "a.pub" {
		t.Errorf("%v, %v", signers, err)
	}
	s, err := ParseSecret([]byte(read("plain.key")), unasked)
	if err != nil || s.ID() != signers[0].ID {
		t.Errorf("the secret key is %v, %v", s, err)
	}
}

// TestMinisignVerifies: what is signed here, Debian's minisign verifies, and a
// key that is made here it signs by.
func TestMinisignVerifies(t *testing.T) {
	a, b := newSecret(t), newSecret(t)
	file, err := a.File("")
	if err != nil {
		t.Fatal(err)
	}
	dir := directory(t, map[string]string{
		"m": message, "a.pub": string(a.PublicFile()), "a.key": string(file),
		"one": signed(t, a, Comment("m", time.Unix(1, 0)), ""),
	})
	if err := byMinisign(t, dir, "", "-V", "-p", "a.pub", "-m", "m", "-x", "one"); err != nil {
		t.Error(err)
	}
	// Of several it looks at the first.
	two := signed(t, b, "two", signed(t, a, "one", ""))
	if err := os.WriteFile(filepath.Join(dir, "two"), []byte(two), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := byMinisign(t, dir, "", "-V", "-p", "a.pub", "-m", "m", "-x", "two"); err != nil {
		t.Error(err)
	}
	if err := byMinisign(t, dir, "", "-S", "-s", "a.key", "-m", "m", "-x", "theirs"); err != nil {
		t.Fatal(err)
	}
	theirs, err := os.ReadFile(filepath.Join(dir, "theirs"))
	if err != nil {
		t.Fatal(err)
	}
	k := load(t, map[string]string{"a.pub": string(a.PublicFile())})
	if _, err := k.Verify([]byte(message), theirs, 1); err != nil {
		t.Error(err)
	}
}
