package trust

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"aead.dev/minisign"

	"stretcher/internal/text/failure"
)

// MaxSecretFile bounds a file with a secret key, in bytes.
const MaxSecretFile = 4 << 10

// Secret is a key that signs.
type Secret struct{ key minisign.PrivateKey }

// GenerateSecret makes a key.
func GenerateSecret() (*Secret, error) {
	_, key, err := minisign.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	return &Secret{key}, nil
}

// ParseSecret reads a file with a secret key, as minisign writes it. Password is
// asked for if the key is encrypted.
func ParseSecret(file []byte, password func() (string, error)) (*Secret, error) {
	s, err := parseSecret(file, password)
	if err != nil {
		return nil, fmt.Errorf("secret key: %w", err)
	}
	return s, nil
}

func parseSecret(file []byte, password func() (string, error)) (*Secret, error) {
	list := lines(file)
	if len(file) > MaxSecretFile || len(list) != 2 || !strings.HasPrefix(list[0], untrusted) {
		return nil, errors.New("not one secret key of minisign's: a line with a comment and one with the key")
	}
	text := []byte(list[1])
	s := &Secret{}
	if !minisign.IsEncrypted(text) {
		if err := s.key.UnmarshalText(text); err != nil {
			return nil, errors.New("no secret key of minisign's")
		}
		return s, s.check()
	}
	word, err := password()
	if err != nil {
		return nil, fmt.Errorf("password: %w", err)
	}
	if s.key, err = minisign.DecryptKey(word, text); err != nil {
		return nil, errors.New("the password is wrong, or the file is damaged")
	}
	return s, s.check()
}

// check tells whether the two halves of the key belong together: a signature by
// halves that do not would tell the secret.
func (s *Secret) check() error {
	text, err := s.key.MarshalText()
	if err != nil {
		return err
	}
	raw, err := base64.StdEncoding.DecodeString(lines(text)[1])
	if err != nil || len(raw) < ed25519.PrivateKeySize {
		return errors.New("no secret key of minisign's")
	}
	const halves = 2 + 2 + 2 + 32 + 8 + 8 + 8 // algorithms, salt, limits and minisign's key id come before
	both := raw[halves : halves+ed25519.PrivateKeySize]
	if !bytes.Equal(both, ed25519.NewKeyFromSeed(both[:ed25519.SeedSize])) {
		return errors.New("damaged: its halves do not belong together")
	}
	return nil
}

// public is the half that others may know.
func (s *Secret) public() minisign.PublicKey {
	public, _ := s.key.Public().(minisign.PublicKey)
	return public
}

// ID is the key's id, as Signer has it.
func (s *Secret) ID() string { return idOf(s.public()) }

// String is the key's id: the secret is not to be printed by mistake.
func (s *Secret) String() string { return "the key " + s.ID() }

// PublicFile is the file for those who trust the key.
func (s *Secret) PublicFile() []byte {
	public := s.public()
	return fmt.Appendf(nil, "%sminisign public key %016X\n%s\n", untrusted, public.ID(), public)
}

// File is the file that keeps the secret, encrypted by a password if it is not
// "". To encrypt it takes a second and a gigabyte of memory, as it is to take
// who guesses passwords.
func (s *Secret) File(password string) (text []byte, err error) {
	if password == "" {
		text, err = s.key.MarshalText()
	} else {
		text, err = minisign.EncryptKey(password, s.key)
	}
	return append(text, '\n'), err
}

// SignatureFile is the file that a file's signatures are looked for in.
func SignatureFile(name string) string { return name + suffix }

// Comment is the trusted comment that minisign writes for a file.
func Comment(file string, now time.Time) string {
	return fmt.Sprintf("timestamp:%d\tfile:%s\thashed", now.Unix(), file)
}

// MaxComment bounds a trusted comment, in bytes.
const MaxComment = 4 << 10

// IsComment tells whether a text can be a trusted comment: one line.
func IsComment(text string) bool { return len(text) <= MaxComment && isText(text) }

// Sign signs a message, with a trusted comment. The signature stands after those
// of a document that keeps others, "" for none: what the key signed before is
// taken out of it.
func (s *Secret) Sign(message io.Reader, comment string, document []byte) ([]byte, error) {
	kept, err := s.others(document)
	if err != nil {
		return nil, err
	}
	r := minisign.NewReader(message)
	if _, err := io.Copy(io.Discard, r); err != nil {
		return nil, err
	}
	one := r.SignWithComments(s.key, comment, "signature from stretcher's secret key")
	made := slices.Concat(bytes.Join(kept, nil), one)
	if _, err := split(made); err != nil { // nobody could read it
		return nil, failure.Usage("signature: %w", err)
	}
	return made, nil
}

// HasSigned tells whether a document has a signature by which this key vouches for
// a message.
func (s *Secret) HasSigned(message, document []byte) bool {
	own := &Keys{list: []key{{id: s.ID(), public: s.public()}}}
	_, err := own.Verify(message, document, 1)
	return err == nil
}

// Others is how many signatures of a document another key made.
func (s *Secret) Others(document []byte) int {
	kept, _ := s.others(document)
	return len(kept)
}

// others are the signatures of a document that another key made.
func (s *Secret) others(document []byte) (kept [][]byte, err error) {
	if len(document) == 0 {
		return nil, nil
	}
	all, err := split(document)
	if err != nil {
		return nil, failure.Malformed("signature: %w", err)
	}
	for _, one := range all {
		if one.KeyID != s.key.ID() {
			kept = append(kept, one.text)
		}
	}
	return kept, nil
}
