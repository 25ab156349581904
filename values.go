package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Mode is a permission mode in octal, as in 0755.
type Mode fs.FileMode

var octal = regexp.MustCompile(`^0(o?[0-7]{1,4})?$`)

// UnmarshalText accepts 0755 and 0o755. A number without the leading zero is
// refused: v1.x took 755 for decimal and set a mode that nobody meant.
func (m *Mode) UnmarshalText(b []byte) error {
	if !octal.Match(b) {
		return errors.New("is not an octal mode such as 0755")
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(strings.TrimPrefix(string(b), "0"), "o"), 8, 32)
	if err != nil {
		n = 0 // "0"
	}
	*m = Mode(fs.FileMode(n)&fs.ModePerm | specialBits(n))
	return nil
}

// specialBits maps the setuid, setgid and sticky bits to those of fs.FileMode.
func specialBits(n uint64) fs.FileMode {
	var m fs.FileMode
	for bit, mode := range map[uint64]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if n&bit != 0 {
			m |= mode
		}
	}
	return m
}

// Duration is a time span: a Go duration such as 90s or 5m, or a bare number
// of seconds.
type Duration time.Duration

// UnmarshalText parses a duration; negative ones are refused.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := parseSeconds(string(b))
	if err != nil {
		return err
	}
	*d = Duration(v)
	return nil
}

// parseSeconds reads a bare number as seconds, anything else as a Go duration.
func parseSeconds(s string) (time.Duration, error) {
	if n, err := strconv.ParseFloat(s, 64); err == nil {
		if !(n >= 0 && n < 1e9) {
			return 0, errors.New("is not a number of seconds from 0 to 999999999")
		}
		return time.Duration(n * float64(time.Second)), nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, errors.New("is not a duration such as 30, 90s or 5m")
	}
	return d, nil
}

// Checksum is the digest that the archive must have.
type Checksum struct {
	Algorithm string // md5, sha1, sha256 or sha512; "" = no checksum
	Digest    []byte
}

// digestSize is the length of each algorithm's digest in bytes.
func digestSize(algorithm string) int {
	return map[string]int{"md5": 16, "sha1": 20, "sha256": 32, "sha512": 64}[algorithm]
}

// UnmarshalText accepts ALGORITHM:HEX and bare hex, whose length tells the
// algorithm.
func (c *Checksum) UnmarshalText(b []byte) error {
	text := strings.TrimSpace(string(b))
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
	for _, guess := range []string{"md5", "sha1", "sha256", "sha512"} {
		if digestSize(guess) == len(sum) {
			*c = Checksum{guess, sum}
			return nil
		}
	}
	return fmt.Errorf("has %d digits: 32 (md5), 40 (sha1), 64 (sha256) or 128 (sha512) expected", len(digits))
}

// String is ALGORITHM:HEX.
func (c Checksum) String() string { return c.Algorithm + ":" + hex.EncodeToString(c.Digest) }
