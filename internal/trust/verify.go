package trust

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"aead.dev/minisign"

	"stretcher/internal/text/failure"
)

// MaxSignatures bounds a signature document, in bytes.
const MaxSignatures = 64 << 10

// maxCount bounds the signatures of a document: more keys than any team has.
const maxCount = 32

// Lines of a signature, in bytes: minisign reads none that are longer.
const (
	maxUntrusted = 1 << 10
	maxTrusted   = 8 << 10
)

// How the comments of a signature begin.
const (
	untrusted = "untrusted comment: "
	trusted   = "trusted comment: "
)

// Signer is a key that vouches for a message.
type Signer struct {
	ID             string // of the key
	File           string // the key file's name in its directory; the first of several with this key
	TrustedComment string // signed by the key: what its owner says, to be quoted
}

// Verify tells who vouches for a message, in the order of the signatures. There
// must be as many distinct keys as the threshold says. A signature by a key that
// is not among these, or one that does not hold, counts for nothing; a document
// that is not signatures from beginning to end is refused as a whole. Errors
// wrap failure.ErrRefused.
func (k *Keys) Verify(message, signatures []byte, threshold int) ([]Signer, error) {
	if threshold < 1 {
		return nil, failure.Refused("signatures of %d keys are no protection", threshold)
	}
	all, err := split(signatures)
	if err != nil {
		return nil, failure.Refused("signature: %w", err)
	}
	var signers []Signer
	var others []string // why signatures do not count
	for i, s := range all {
		by, why := k.signer(message, s)
		switch {
		case why != "":
			others = append(others, fmt.Sprintf("signature %d %s", i+1, why))
		case !slices.ContainsFunc(signers, func(have Signer) bool { return have.ID == by.ID }):
			signers = append(signers, by)
		default:
			others = append(others, fmt.Sprintf("signature %d is by %q, which counts once", i+1, by.File))
		}
	}
	if len(signers) < threshold {
		return nil, k.tooFew(len(signers), threshold, others)
	}
	return signers, nil
}

// notHeld begins why a signature by a trusted key does not count: the message is
// not what was signed.
const notHeld = "does not hold: "

// maxTold bounds the signatures that an error tells of.
const maxTold = 4

// tooFew is the error of a message that too few keys vouch for; others says why
// signatures do not count.
func (k *Keys) tooFew(have, threshold int, others []string) error {
	if n := len(others) - maxTold; n > 0 {
		others = append(others[:maxTold:maxTold], fmt.Sprintf("%d more do not count", n))
	}
	if n := k.distinct(); n < threshold {
		others = append(others, fmt.Sprintf("%q has only %d", k.dir, n))
	}
	changed := slices.ContainsFunc(others, func(why string) bool { return strings.Contains(why, notHeld) })
	why := strings.Join(others, ", ")
	if why != "" {
		why = ": " + why
	}
	err := failure.Refused("signed by %d trusted keys, %d needed%s", have, threshold, why)
	if changed {
		err = failure.Hinted("what has changed since it was signed must be signed again: stretcher sign", err)
	}
	return err
}

// signer is the key that made a signature of the message, or why there is none.
// Several keys may have the same key id of minisign's.
func (k *Keys) signer(message []byte, s signature) (by Signer, why string) {
	why = fmt.Sprintf("is by none of the keys in %q", k.dir)
	for _, have := range k.list {
		switch {
		case have.public.ID() != s.KeyID:
		case minisign.Verify(have.public, message, s.text):
			return Signer{ID: have.id, File: have.file, TrustedComment: s.TrustedComment}, ""
		default:
			why = fmt.Sprintf(notHeld+"%q did not sign this", have.file)
		}
	}
	return Signer{}, why
}

// signature is one of a document, with the text that it was made of.
type signature struct {
	minisign.Signature
	text []byte
}

// CheckDocument tells what keeps bytes from being a signature document, whoever
// has signed what.
func CheckDocument(document []byte) error {
	_, err := split(document)
	return err
}

// split takes a document apart.
func split(document []byte) (all []signature, err error) {
	list := lines(document)
	const each = 4 // lines
	switch {
	case len(document) > MaxSignatures:
		return nil, fmt.Errorf("larger than %d bytes", MaxSignatures)
	case len(list) == 0:
		return nil, errors.New("empty")
	case len(list) > maxCount*each:
		return nil, fmt.Errorf("more than %d signatures", maxCount)
	case len(list)%each != 0:
		return nil, fmt.Errorf("not whole signatures of %d lines, one after the other", each)
	}
	for four := range slices.Chunk(list, each) {
		s, err := parseSignature(four)
		if err != nil {
			return nil, fmt.Errorf("number %d in the document %w", len(all)+1, err)
		}
		all = append(all, s)
	}
	return all, nil
}

// parseSignature reads the four lines of a signature. What it is made of can be
// written in one way alone: base64 has bits that are not read.
func parseSignature(four []string) (s signature, err error) {
	s.text = []byte(strings.Join(four, "\n") + "\n")
	switch {
	case len(four[0]) > maxUntrusted || len(four[2]) > maxTrusted:
		return s, errors.New("has a comment that is too long")
	case !strings.HasPrefix(four[0], untrusted) || !strings.HasPrefix(four[2], trusted):
		return s, errors.New("is none of minisign's: a comment, a signature, a trusted comment and its signature")
	case !isText(four[2]):
		return s, errors.New("has a trusted comment that is no text")
	}
	if err := s.UnmarshalText(s.text); err != nil {
		return s, errors.New("is no signature by Ed25519")
	}
	if again, err := s.MarshalText(); err != nil || !bytes.Equal(again, s.text) {
		return s, errors.New("is not written as minisign writes it")
	}
	return s, nil
}

// isText tells whether a line is text, without what a terminal obeys.
func isText(line string) bool {
	return utf8.ValidString(line) && !strings.ContainsFunc(line, func(r rune) bool {
		return r != '\t' && unicode.IsControl(r)
	})
}

// lines are the lines of a text. They end in a line feed, which the last one
// may lack, or a carriage return and a line feed.
func lines(text []byte) []string {
	if len(text) == 0 {
		return nil
	}
	list := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	for i := range list {
		list[i] = strings.TrimSuffix(list[i], "\r")
	}
	return list
}
