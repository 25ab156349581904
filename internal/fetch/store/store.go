// Package store opens and writes objects by URL, whatever kind of server holds
// them.
//
// Its words: an object is a sequence of bytes behind a URL; a store serves
// the objects of one URL scheme; a version is an opaque validator (a strong
// ETag, a generation, an inode and its time) that names the bytes an object
// had when it was opened, so that a read that broke off can go on in the same
// bytes; a position is a version and the offset to go on from; a range is a
// position with a length; a part is the body that is exactly a range; a sink is a
// store that can be written to.
//
// The package makes one attempt to read per call and says of each failure
// whether trying again is worth it. Retries, limits, checksums and progress
// belong to package transfer; writing is tried again here. A Set is given its
// stores, and knows none by name. It may import internal/text/redact, nothing
// else of this module.
package store

import (
	"context"
	"errors"
	"fmt"
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
	// ErrChanged: the object is no longer the version asked for, or ends before
	// the range that was asked for does. Start again from 0.
	ErrChanged = errors.New("the object changed while it was read")
)

// Position says which bytes of an object to read. The zero value is all of it.
type Position struct {
	Offset int64 // of the first byte; with Length 0 it counts only beside a Version
	// Version is Object.Version of an earlier read: the bytes must be of the same
	// one. "" with a Length is any version; Object.Version says which it is.
	Version string
	// Length asks for one range of so many bytes, also at Offset 0 and also
	// without a Version. 0 is all from Offset on.
	Length int64
}

// IsWhole tells whether the position asks for an object from its start to its
// end.
func (p Position) IsWhole() bool { return p.Length <= 0 && (p.Offset <= 0 || p.Version == "") }

// End is the offset behind the range.
func (p Position) End() int64 { return p.Offset + p.Length }

// Header is the value of a Range header (RFC 9110 section 14.2).
func (p Position) Header() string {
	if p.Length > 0 {
		return fmt.Sprintf("bytes=%d-%d", p.Offset, p.End()-1)
	}
	return fmt.Sprintf("bytes=%d-", p.Offset)
}

// Object is an open object. The caller closes Body.
type Object struct {
	Body    io.ReadCloser
	Offset  int64  // where Body begins: the offset asked for, or 0 when the server can't resume
	Size    int64  // size of the whole object in bytes; -1 when the server does not say
	Version string // validator for resuming; "" when the server gives none
	// Part: Body is the range that was asked for, and ends where it does. Without
	// it Body goes on to the end of the object, from Offset: a server that ignores
	// ranges sends the whole, from 0.
	Part bool
	// Encoding is the Content-Encoding of Body, which is never decoded here and
	// nobody asks for; "" for none.
	Encoding string
	// Local: the object is a file here, and comes no sooner in several parts.
	Local bool
}

// Store serves the objects of one URL scheme.
//
// Open makes one attempt. A status other than success is an error, never a
// body. It returns an *Error, except that a cancelled ctx gives ctx's error
// (wrapped). Cancelling ctx also ends reads of Body. With an Offset to go on
// from, the object either continues there in the same Version, or begins at 0
// (Object.Offset says which), or Open fails with ErrChanged. With a Length it is
// that range of the same Version (Object.Part), or the whole object from 0 where
// the server knows no ranges, or ErrChanged: of another version, and where the
// object does not hold all of the range.
// Open is safe for concurrent use and creates clients only on first use.
type Store interface {
	Open(ctx context.Context, u *url.URL, from Position) (*Object, error)
}

// Connector is a store that can make connections before it opens objects over them.
// Those that it has not needed when ctx ends are closed. Nothing is asked for.
type Connector interface {
	Connect(ctx context.Context, u *url.URL, n int)
}
