package checksum

import (
	"strings"
	"testing"
)

func TestChecksumIsGuessedByLength(t *testing.T) {
	for algorithm, size := range map[string]int{"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128} {
		digits := strings.Repeat("Ab", size/2)
		for _, text := range []string{digits, algorithm + ":" + digits, strings.ToUpper(algorithm) + ":" + digits, " " +
			digits + "\n"} {
			var c Checksum
			if err := c.UnmarshalText([]byte(text)); err != nil || c.String() != algorithm+":"+strings.ToLower(digits) {
				t.Errorf("%q: %v, %v", text, c, err)
			}
		}
	}
}

func TestWhatIsNoChecksum(t *testing.T) {
	for text, want := range map[string]string{
		"abc":                          "is not hexadecimal",
		"md5:":                         "has 0 digits, md5 has 32",
		"abcd":                         "has 4 digits: 32 (md5), 40 (sha1), 64 (sha256) or 128 (sha512) expected",
		"md5:abcd":                     "has 4 digits, md5 has 32",
		"crc:abcd":                     "names an unknown algorithm",
		":" + strings.Repeat("ab", 16): "names an unknown algorithm",
	} {
		c := Checksum{"kept", nil}
		if err := c.UnmarshalText([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) ||
			c.Algorithm != "kept" {
			t.Errorf("%q: %v, %v, want %s", text, c, err, want)
		}
	}
}

// TestNothing: no text is no checksum, and no mistake.
func TestNothing(t *testing.T) {
	for _, text := range []string{"", " ", "\n"} {
		c := Checksum{"md5", []byte{1}}
		if err := c.UnmarshalText([]byte(text)); err != nil || c.Algorithm != "" || c.Digest != nil {
			t.Errorf("%q: %v, %v", text, c, err)
		}
	}
}

// TestNew: each hash makes the digest of an empty file that is known of it.
func TestNew(t *testing.T) {
	for _, text := range []string{
		"md5:d41d8cd98f00b204e9800998ecf8427e",
		"sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709",
		"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce" +
			"47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
	} {
		var c Checksum
		if err := c.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if got := (Checksum{c.Algorithm, c.New().Sum(nil)}); got.String() != text {
			t.Errorf("got  %s\nwant %s", got, text)
		}
	}
	if New("crc32") != nil || (Checksum{}).New() != nil {
		t.Error("an unknown algorithm has a hash")
	}
}

// FuzzUnmarshalText: what is accepted is read again from what it prints.
func FuzzUnmarshalText(f *testing.F) {
	for _, s := range []string{"", "abcd", "md5:", "SHA1:" + strings.Repeat("aB", 20), strings.Repeat("0", 64), " x:00 "} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var c, again Checksum
		if c.UnmarshalText(text) != nil || c.Algorithm == "" {
			return
		}
		if err := again.UnmarshalText([]byte(c.String())); err != nil || again.String() != c.String() ||
			c.New().Size() != len(c.Digest) {
			t.Errorf("%q: %s, then %s, %v", text, c, again, err)
		}
	})
}
