package fetch

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"

	"stretcher/internal/fetch/store"
	"stretcher/internal/fetch/transfer"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/redact"
)

// decoding opens documents. What a server sends compressed by gzip, which
// nobody has asked for, is decompressed: v1.x did so.
type decoding struct {
	transfer.Opener
	limit int64 // bytes of what is sent; what becomes of them is counted elsewhere
}

// Open is that of the Opener. A part can't be decoded by itself, and stays as it
// is.
func (d decoding) Open(ctx context.Context, url string, from store.Position) (*store.Object, error) {
	obj, err := d.Opener.Open(ctx, url, from)
	if err != nil || obj.Encoding == "" || obj.Part {
		return obj, err
	}
	if obj.Encoding != "gzip" {
		_ = obj.Body.Close()
		return nil, failure.Hinted("let the server send it as it is, or by gzip",
			fmt.Errorf("%q is sent with Content-Encoding %q", redact.URL(url), obj.Encoding))
	}
	body := &unzipped{Closer: obj.Body, wire: bufio.NewReader(&capped{obj.Body, d.limit})}
	return &store.Object{Body: body, Offset: obj.Offset, Size: -1}, nil // without a version it begins anew
}

// unzipped is a body without its gzip encoding, or as it is where the server
// only says that there is one.
type unzipped struct {
	io.Closer
	wire *bufio.Reader
	data io.Reader
}

// Read gives what was compressed.
func (u *unzipped) Read(p []byte) (int, error) {
	if u.data == nil {
		magic, err := u.wire.Peek(2)
		if len(magic) < 2 && err != io.EOF {
			return 0, err
		}
		if string(magic) != "\x1f\x8b" {
			u.data = u.wire
		} else if u.data, err = gzip.NewReader(u.wire); err != nil {
			return 0, damaged(err)
		}
	}
	n, err := u.data.Read(p)
	return n, damaged(err)
}

// damaged makes an error of the data final: another attempt brings the same.
func damaged(err error) error {
	corrupt := flate.CorruptInputError(0)
	if errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) || errors.As(err, &corrupt) {
		return transfer.Final(fmt.Errorf("Content-Encoding gzip: %w", err))
	}
	return err
}

// capped is a reader that must end within so many bytes.
type capped struct {
	io.Reader
	left int64
}

// Read fails after the last of the bytes.
func (c *capped) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if c.left -= int64(n); c.left < 0 {
		return 0, transfer.Final(fmt.Errorf("%w as it is sent", transfer.ErrTooLarge))
	}
	return n, err
}

// noting opens archives, and remembers how the last one was encoded: nothing
// is decoded, the checksum is of what was sent. Ranges, which are asked for by
// several goroutines at once, are encoded as their object is. That there were some
// is remembered, too.
type noting struct {
	transfer.Opener
	of *download
}

// Open is that of the Opener.
func (n noting) Open(ctx context.Context, url string, from store.Position) (*store.Object, error) {
	obj, err := n.Opener.Open(ctx, url, from)
	if err == nil && from.Length == 0 {
		n.of.encoding = obj.Encoding
	}
	if err == nil && (obj.Part || obj.Offset > 0) {
		n.of.ranged.Store(true)
	}
	return obj, err
}
