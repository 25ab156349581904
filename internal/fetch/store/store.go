// Package store opens objects by URL, whatever kind of server holds them.
//
// Its words: an object is a sequence of bytes behind a URL; a store serves
// the objects of one URL scheme; a version is an opaque validator (a strong
// ETag, a generation, an inode and its time) that names the bytes an object
// had when it was opened, so that a read that broke off can go on in the same
// bytes; a position is a version and the offset to go on from.
//
// The package makes one attempt per call and says of each failure whether
// trying again is worth it. Retries, limits, checksums and progress belong to
// package transfer; it knows nothing of manifests. It may import
// internal/text/redact and the SDKs of the object stores, nothing else of this
// module.
package store

import (
	"context"
	"errors"
	"io"
	"net/url"
)

// Sentinels that callers may test for with errors.Is.
var (
	// ErrScheme: no store serves the URL's scheme. Permanent.
	ErrScheme = errors.New("unsupported URL scheme")
	// ErrNotFound: the server says there is no such object. Permanent.
	ErrNotFound = errors.New("not found")
	// ErrDenied: the server refuses these credentials, or there are none. Permanent.
	ErrDenied = errors.New("access denied")
	// ErrChanged: the object is no longer the version asked for. Start again from 0.
	ErrChanged = errors.New("the object changed while it was read")
)

// Position says where to begin reading an object. The zero value is its start.
type Position struct {
	Offset  int64  // bytes already read
	Version string // Object.Version of the read that broke off; needed for Offset > 0
}

// Object is an open object. The caller closes Body.
type Object struct {
	Body    io.ReadCloser
	Offset  int64  // where Body begins: the offset asked for, or 0 when the server can't resume
	Size    int64  // size of the whole object in bytes; -1 when the server does not say
	Version string // validator for resuming; "" when the server gives none
	// Encoding is the Content-Encoding of Body, which is never decoded here and
	// nobody asks for; "" for none.
	Encoding string
}

// Store serves the objects of one URL scheme.
//
// Open makes one attempt. A status other than success is an error, never a
// body. It returns an *Error, except that a cancelled ctx gives ctx's error
// (wrapped). Cancelling ctx also ends reads of Body. With a Position other
// than zero the object either continues at Offset in the same Version, or
// begins at 0 (Object.Offset says which), or Open fails with ErrChanged.
// Open is safe for concurrent use and creates clients only on first use.
type Store interface {
	Open(ctx context.Context, u *url.URL, from Position) (*Object, error)
}
