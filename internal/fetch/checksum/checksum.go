// Package checksum is the digest that an archive must have, as manifests and
// the history write it.
//
// It imports nothing of this module.
package checksum

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"
)

// Checksum is a digest and how it is made. The zero value is none.
type Checksum struct {
	Algorithm string // md5, sha1, sha256 or sha512; "" = no checksum
	Digest    []byte
}

// algorithms are the names of those that there are, the shortest digest first.
func algorithms() []string { return []string{"md5", "sha1", "sha256", "sha512"} }

// New returns the hash of an algorithm by its name, or nil for one that is
// not known.
func New(algorithm string) hash.Hash {
	switch algorithm {
	case "md5":
		return md5.New()
	case "sha1":
		return sha1.New()
	case "sha256":
		return sha256.New()
	case "sha512":
		return sha512.New()
	default:
		return nil
	}
}

// New returns the hash that makes such a digest.
func (c Checksum) New() hash.Hash { return New(c.Algorithm) }

// digestSize is the length of an algorithm's digest in bytes, 0 for one that
// is not known.
func digestSize(algorithm string) int {
	h := New(algorithm)
	if h == nil {
		return 0
	}
	return h.Size()
}

// UnmarshalText accepts ALGORITHM:HEX and bare hex, whose length tells the
// algorithm. Nothing is no checksum.
func (c *Checksum) UnmarshalText(b []byte) error {
	text := strings.TrimSpace(string(b))
	if text == "" {
		*c = Checksum{}
		return nil
	}
	algorithm, digits, named := strings.Cut(text, ":")
	if !named {
		algorithm, digits = "", text
	}
	algorithm = strings.ToLower(algorithm)
	sum, err := hex.DecodeString(digits)
	if err != nil {
		return errors.New("is not hexadecimal")
	}
	if named && digestSize(algorithm) == 0 {
		return errors.New("names an unknown algorithm: md5, sha1, sha256 or sha512 expected")
	}
	if named && digestSize(algorithm) != len(sum) {
		return fmt.Errorf("has %d digits, %s has %d", len(digits), algorithm, 2*digestSize(algorithm))
	}
	for _, guess := range algorithms() {
		if digestSize(guess) == len(sum) {
			*c = Checksum{guess, sum}
			return nil
		}
	}
	return fmt.Errorf("has %d digits: 32 (md5), 40 (sha1), 64 (sha256) or 128 (sha512) expected", len(digits))
}

// String is ALGORITHM:HEX with lower-case digits.
func (c Checksum) String() string { return c.Algorithm + ":" + hex.EncodeToString(c.Digest) }
