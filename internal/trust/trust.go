// Package trust is who vouches for bytes: public keys in a directory, and the
// signatures by them.
//
// Its words: a key is an Ed25519 public key in a file of minisign's format, and
// its id the SHA-256 of the key itself, since what minisign calls a key id can
// be chosen by anybody. A signature document is one or more minisign signatures,
// one after the other. A signer is a key that vouches for a message; the
// threshold is how many distinct ones there must be. A trusted comment is signed,
// an untrusted one is not and is told to nobody.
//
// It imports internal/disk, leaves of internal/text and aead.dev/minisign. It
// knows no manifest, no policy and no network.
package trust

import (
	"errors"
	"net/url"
	"strings"

	"stretcher/internal/text/failure"
	"stretcher/internal/text/redact"
)

// suffix is what the name of a signature document ends in.
const suffix = ".minisig"

// SignatureURL is where the signature document of a manifest lies: beside it,
// with .minisig after the path. A query stays as it is.
func SignatureURL(manifest string) (string, error) {
	u, err := url.Parse(manifest)
	switch {
	case err != nil:
		err = errors.New("malformed URL")
	case u.Scheme == "" || u.Opaque != "":
		err = errors.New("no absolute URL")
	case strings.HasSuffix(u.Path, "/") || u.Path == "":
		err = errors.New("its path names no file")
	}
	if err != nil {
		return "", failure.Refused("a manifest at %q can't be signed: %w", redact.URL(manifest), err)
	}
	// The text stays as it is: what net/url writes anew may name something else.
	end := strings.IndexAny(manifest, "?#")
	if end < 0 {
		end = len(manifest)
	}
	return manifest[:end] + suffix + manifest[end:], nil
}

// ManifestURL is the URL of the manifest whose signature document is at another
// one: what SignatureURL has made, undone. Any other URL stays as it is.
func ManifestURL(signature string) string {
	end := strings.IndexAny(signature, "?#")
	if end < 0 {
		end = len(signature)
	}
	return strings.TrimSuffix(signature[:end], suffix) + signature[end:]
}
