package store

import (
	"errors"
	"net/url"
	"strings"
)

// CheckBucket is for scheme://bucket/key.
func CheckBucket(u *url.URL) error {
	switch {
	case u.User != nil:
		return errors.New("credentials do not belong into the URL")
	case u.Host == "" || u.Opaque != "":
		return errors.New("no bucket")
	case u.Port() != "":
		return errors.New("a port after the bucket")
	case u.Fragment != "":
		return errors.New("write # in a key as %23")
	case Key(u) == "":
		return errors.New("no key after the bucket")
	}
	return nil
}

// Key is the object's name in its bucket, percent-encoding undone. It never
// begins with a slash: many manifests are made by putting together a prefix
// that ends in one and a name that begins with one.
func Key(u *url.URL) string { return strings.TrimLeft(u.Path, "/") }
