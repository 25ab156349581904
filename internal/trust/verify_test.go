package trust

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"aead.dev/minisign"

	"stretcher/internal/text/failure"
)

const message = "dest: /srv/app\n"

// sign signs the message, in the legacy form.
func (p pair) sign(comment string) string {
	return string(minisign.SignWithComments(p.secret, []byte(message), comment, "anything"))
}

// signHashed signs the message as minisign does today.
func (p pair) signHashed(comment string) string {
	r := minisign.NewReader(strings.NewReader(message))
	if _, err := r.Read(make([]byte, len(message))); err != nil {
		panic(err)
	}
	return string(r.SignWithComments(p.secret, comment, "anything"))
}

func TestVerify(t *testing.T) {
	a, b, c := newPair(t), newPair(t), newPair(t)
	k := load(t, map[string]string{"a.pub": a.text(), "again.pub": a.text(), "b.pub": b.text()})
	one, two := a.sign("one"), b.signHashed("two")
	crlf := func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }
	for name, tc := range map[string]struct {
		document  string
		threshold int
		want      string // files and comments
	}{
		"legacy":            {one, 1, "a.pub one"},
		"prehashed":         {two, 1, "b.pub two"},
		"both":              {one + two, 2, "a.pub one, b.pub two"},
		"both, one needed":  {two + one, 1, "b.pub two, a.pub one"},
		"no last line end":  {strings.TrimSuffix(one+two, "\n"), 2, "a.pub one, b.pub two"},
		"carriage returns":  {crlf(one) + two, 2, "a.pub one, b.pub two"},
		"a stranger's too":  {c.sign("three") + one + two, 2, "a.pub one, b.pub two"},
		"an old one too":    {string(minisign.Sign(a.secret, []byte("older"))) + two, 1, "b.pub two"},
		"the first comment": {one + a.signHashed("again"), 1, "a.pub one"},
	} {
		signers, err := k.Verify([]byte(message), []byte(tc.document), tc.threshold)
		var got []string
		for _, s := range signers {
			got = append(got, s.File+" "+s.TrustedComment)
			if !k.Has(s.ID) {
				t.Errorf("%s: id %q", name, s.ID)
			}
		}
		if err != nil || strings.Join(got, ", ") != tc.want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	a, b, c := newPair(t), newPair(t), newPair(t)
	k := load(t, map[string]string{"a.pub": a.text(), "again.pub": otherKeyID(a), "b.pub": b.text()})
	one, two, three := a.sign("one"), b.signHashed("two"), c.sign("three")
	part := func(s string, i int) string { return strings.SplitAfter(s, "\n")[i] }
	for name, tc := range map[string]struct {
		document  string
		threshold int
		why       string
	}{
		"nothing":            {"", 1, "empty"},
		"a blank line":       {"\n", 1, "not whole signatures"},
		"a page":             {"<html>\n<body>\nno\n</html>\n", 1, "none of minisign's"},
		"a stranger's":       {three, 1, "signed by 0 trusted keys, 1 needed"},
		"one of two":         {one, 2, "signed by 1 trusted keys, 2 needed"},
		"one twice":          {one + one, 2, `"a.pub", which counts once`},
		"one in two forms":   {one + a.signHashed("other"), 2, "counts once"},
		"a second key id":    {one + a.signAs(t, otherKeyID(a)), 2, "counts once"},
		"three of two":       {one + two, 3, `" has only 2`},
		"many strangers":     {strings.Repeat(three, maxCount), 1, `signature 4 is by none of the keys in`},
		"many, told in few":  {strings.Repeat(three, maxCount), 1, `", 28 more do not count`},
		"no threshold":       {one, 0, "no protection"},
		"rest":               {one + "rest", 1, "not whole signatures"},
		"rest in between":    {one + "\n" + two, 1, "not whole signatures"},
		"cut":                {strings.TrimSuffix(one, part(one, 3)), 1, "not whole signatures"},
		"joined lines":       {strings.TrimSuffix(one, "\n") + two, 1, "not whole signatures"},
		"another comment":    {strings.Replace(one, "comment: one", "comment: two", 1), 1, `"a.pub" did not sign this`},
		"without a comment":  {strings.Replace(one, trusted+"one", "one", 1), 1, "none of minisign's"},
		"mixed":              {part(one, 0) + part(one, 1) + part(two, 2) + part(two, 3), 1, "did not sign this"},
		"bits nobody reads":  {loose(one), 1, "not written as minisign writes it"},
		"a space":            {strings.Replace(one, "=\n", "= \n", 1), 1, "no signature by Ed25519"},
		"two returns":        {strings.ReplaceAll(one, "\n", "\r\r\n"), 1, "no text"},
		"escapes":            {a.sign("\x1b[2J"), 1, "no text"},
		"not UTF-8":          {a.sign("\xff"), 1, "no text"},
		"a long comment":     {a.sign(strings.Repeat("x", maxTrusted)), 1, "too long"},
		"a long other one":   {strings.Replace(one, "anything", strings.Repeat("x", maxUntrusted), 1), 1, "too long"},
		"too many":           {strings.Repeat(one, maxCount+1), 1, "more than 32 signatures"},
		"endless":            {strings.Repeat(one, 400), 1, "larger than 65536 bytes"},
		"endless, no lines":  {strings.Repeat("x", MaxSignatures+1), 1, "larger than 65536 bytes"},
		"good, then garbage": {one + two + strings.Repeat("x\n", 4), 1, "number 3 in the document"},
	} {
		signers, err := k.Verify([]byte(message), []byte(tc.document), tc.threshold)
		if signers != nil || !errors.Is(err, failure.ErrRefused) || !strings.Contains(err.Error(), tc.why) {
			t.Errorf("%s: %v, %v", name, signers, err)
		}
		if err != nil && (strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "anything")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// loose is a document with bits that base64 does not read.
func loose(document string) string {
	i := strings.Index(document, "=\n") - 1
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	other := digits[strings.IndexByte(digits, document[i])^1]
	return document[:i] + string(other) + document[i+1:]
}

// otherKeyID is the key in a file with another key id of minisign's.
func otherKeyID(p pair) string {
	raw, _ := base64.StdEncoding.DecodeString(p.public.String())
	raw[2] ^= 0xff
	return base64.StdEncoding.EncodeToString(raw)
}

// signAs signs under the key id of a public key.
func (p pair) signAs(t *testing.T, public string) string {
	t.Helper()
	var other minisign.PublicKey
	if err := other.UnmarshalText([]byte(public)); err != nil {
		t.Fatal(err)
	}
	var s minisign.Signature
	if err := s.UnmarshalText([]byte(p.sign("by another id"))); err != nil {
		t.Fatal(err)
	}
	s.KeyID = other.ID()
	return s.String()
}

// TestEachByte: whatever byte of message or signature is another one, nobody
// vouches for it. The untrusted comment is said to be that.
func TestEachByte(t *testing.T) {
	a := newPair(t)
	k := load(t, map[string]string{"a.pub": a.text()})
	for _, document := range []string{a.sign("comment"), a.signHashed("comment")} {
		signed := strings.IndexByte(document, '\n')
		text := []byte(message + document)
		for i := range text {
			if at := i - len(message); at >= len(untrusted) && at < signed {
				continue
			}
			for _, bit := range []byte{1, 0x20, 0x80} {
				text[i] ^= bit
				if signers, err := k.Verify(text[:len(message)], text[len(message):], 1); err == nil {
					t.Errorf("byte %d, bit %#x: %v vouch", i, bit, signers)
				}
				text[i] ^= bit
			}
		}
		if _, err := k.Verify(text[:len(message)], text[len(message):], 1); err != nil {
			t.Error(err)
		}
	}
}

// TestWeakKeys: there are signatures by these keys that nobody had a secret
// for.
func TestWeakKeys(t *testing.T) {
	distinct := map[string]bool{}
	for _, point := range smallOrder() {
		distinct[point] = true
	}
	if len(distinct) != 7 {
		t.Errorf("%d points of small order, libsodium has 7", len(distinct))
	}
	for _, point := range smallOrder() {
		key, _ := hex.DecodeString(point)
		if !forgeable(key) {
			t.Errorf("%s: there is no signature by nobody", point)
		}
		for _, sign := range []byte{0, 0x80} {
			key[31] |= sign
			file := append([]byte("Ed12345678"), key...)
			_, err := parseKey([]byte(base64.StdEncoding.EncodeToString(file)))
			if err == nil || !strings.Contains(err.Error(), "anybody can sign") {
				t.Errorf("%x: %v", key, err)
			}
		}
	}
	if p := newPair(t); forgeable(material(p.public)) {
		t.Error("there is a signature by nobody for a key of ours")
	}
}

// forgeable looks for a message that the neutral point is a signature of.
func forgeable(key []byte) bool {
	nobody := make([]byte, ed25519.SignatureSize)
	nobody[0] = 1
	for i := range 500 {
		if ed25519.Verify(key, fmt.Append(nil, i), nobody) {
			return true
		}
	}
	return false
}
