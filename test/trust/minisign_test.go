package trust

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/blake2b"

	"stretcher/internal/testparts"
)

// signer has a key pair of minisign's. It signs whatever it is told to, in
// forms that no honest program makes.
type signer struct {
	id  string // eight bytes, which anybody may choose
	key ed25519.PrivateKey
}

// newSigner is the signer of that name: always the same one.
func newSigner(name string) *signer {
	seed := sha256.Sum256([]byte(name))
	return &signer{id: string(seed[:8]), key: ed25519.NewKeyFromSeed(seed[:])}
}

// The two algorithms: of the bytes, and of their hash.
const (
	legacy    = "Ed"
	prehashed = "ED"
)

// pub is the file of the public key.
func (s *signer) pub() string {
	key := legacy + s.id + string(s.key.Public().(ed25519.PublicKey))
	return fmt.Sprintf("untrusted comment: minisign public key %X\n%s\n", s.id, encode(key))
}

// called is the same key by another key id.
func (s *signer) called(id string) *signer { return &signer{id: id, key: s.key} }

// sign is an honest signature.
func (s *signer) sign(message string) string { return s.signAs(prehashed, message, "timestamp:1") }

// signAs makes a signature by an algorithm, with a trusted comment.
func (s *signer) signAs(algorithm, message, comment string) string {
	signed := message
	if algorithm == prehashed {
		sum := blake2b.Sum512([]byte(message))
		signed = string(sum[:])
	}
	signature := string(ed25519.Sign(s.key, []byte(signed)))
	return document(algorithm+s.id+signature, comment, s.global(signature, comment))
}

// global is the signature of the trusted comment.
func (s *signer) global(signature, comment string) string {
	return string(ed25519.Sign(s.key, []byte(signature+comment)))
}

// document is a signature as it lies in a file.
func document(signature, comment, global string) string {
	return fmt.Sprintf("untrusted comment: a signature\n%s\ntrusted comment: %s\n%s\n",
		encode(signature), comment, encode(global))
}

func encode(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func decode(s string) string {
	raw, _ := base64.StdEncoding.DecodeString(s)
	return string(raw)
}

// parts are the lines of a signature, without their ends.
func parts(signature string) []string {
	return strings.Split(strings.TrimSuffix(signature, "\n"), "\n")
}

// TestSignaturesAreMinisigns: what the suite takes for a good signature is one
// to minisign, so that its bad ones are bad for the reason that they are meant
// to be bad for.
func TestSignaturesAreMinisigns(t *testing.T) {
	minisign := testparts.Need(t, "minisign")
	dir := t.TempDir()
	s := newSigner("alice")
	write(t, filepath.Join(dir, "key.pub"), s.pub())
	write(t, filepath.Join(dir, "message"), "a message\n")
	for _, algorithm := range []string{legacy, prehashed} {
		write(t, filepath.Join(dir, "message.minisig"), s.signAs(algorithm, "a message\n", "a comment"))
		cmd := exec.Command(minisign, "-V", "-p", "key.pub", "-m", "message")
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "a comment") {
			t.Errorf("%s: %v: %s", algorithm, err, out)
		}
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(name), 0o755))
	must(t, os.WriteFile(name, []byte(text), 0o644))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
