package web

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"stretcher/internal/fetch/store"
	"stretcher/internal/fetch/store/wire"
)

// continueLimit is how long a body waits for the server to want it.
const continueLimit = 5 * time.Second

// digestOf is the value of a digest header (RFC 9530).
func digestOf(sum [sha256.Size]byte) string {
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

// readDigest finds a SHA-256 in such a header; nil where there is none.
func readDigest(header string) *[sha256.Size]byte {
	for item := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(item), "=")
		value, ok := strings.CutPrefix(value, ":")
		value, ok2 := strings.CutSuffix(value, ":")
		sum, err := base64.StdEncoding.DecodeString(value)
		if name == "sha-256" && ok && ok2 && err == nil && len(sum) == sha256.Size {
			return (*[sha256.Size]byte)(sum)
		}
	}
	return nil
}

// Put sends one PUT, whose body follows when the server wants it. It follows no
// redirect: what it would send, and a password with it, is for this server.
func (w *web) Put(ctx context.Context, u *url.URL, body io.ReaderAt, size int64, opts store.PutOptions) error {
	if opts.New { // not every server knows conditions
		if _, err := w.Stat(ctx, u); err == nil {
			return store.Failure(ctx, "PUT", u, store.ErrExists)
		}
	}
	req, err := w.ask(ctx, http.MethodPut, u)
	if err != nil {
		return store.Failure(ctx, "PUT", u, err)
	}
	sent := &sending{Reader: io.NewSectionReader(body, 0, size), opts: opts}
	req.ContentLength, req.Body = size, http.NoBody
	if size > 0 {
		req.Body = io.NopCloser(sent)
		req.Header.Set("Expect", "100-continue")
	}
	req.Header.Set("Content-Type", opts.Type())
	req.Header.Set("Repr-Digest", digestOf(opts.SHA256))
	if opts.New {
		req.Header.Set("If-None-Match", "*")
	}
	client := *w.client
	client.CheckRedirect = wire.Stay
	resp, err := client.Do(req)
	if broken := sent.end(); broken != nil {
		err = broken // and no connection did
	}
	if err != nil {
		return store.Failure(ctx, "PUT", u, err)
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10) // the connection may serve again
	switch resp.StatusCode {
	case http.StatusOK, http.StatusCreated, http.StatusNoContent:
		opts.Report(size)
		return nil
	case http.StatusPreconditionFailed:
		if opts.New {
			e := wire.Status("PUT", u, resp.StatusCode, "")
			e.Err = store.Mark(store.ErrExists, fmt.Errorf("412 exists already"))
			return e
		}
	}
	return putRefusal(u, resp)
}

// putRefusal says of a status what can be done about it.
func putRefusal(u *url.URL, resp *http.Response) error {
	err := refusal("PUT", u, resp)
	e, ok := err.(*store.Error)
	if !ok || e.Hint != "" {
		return err
	}
	switch code := resp.StatusCode; {
	case code == http.StatusMethodNotAllowed || code == http.StatusNotImplemented:
		e.Hint = "the server takes no PUT there"
	case code == http.StatusNotFound || code == http.StatusConflict:
		e.Hint = "the server may want the directory to be there first"
	case code == http.StatusRequestEntityTooLarge:
		e.Hint = "let the server take larger bodies"
	case code >= 300 && code < 400:
		e.Hint = "a redirect is not followed: give the URL that it leads to"
	}
	return e
}

// sending is a body that tells how far it has come.
type sending struct {
	io.Reader
	opts store.PutOptions

	mu     sync.Mutex // the client may read on when it has its answer
	done   int64
	failed error
	ended  bool
}

// errEnded: nobody waits for the body any more.
var errEnded = errors.New("the request has ended")

// Read reads on.
func (s *sending) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return 0, errEnded
	}
	n, err := s.Reader.Read(p)
	s.done += int64(n)
	s.opts.Report(s.done)
	if err != nil && err != io.EOF {
		s.failed = err
	}
	return n, err
}

// end lets nobody read on, and tells why the body could not be read.
func (s *sending) end() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	return s.failed
}

// Stat sends one HEAD, and asks for a digest.
func (w *web) Stat(ctx context.Context, u *url.URL) (store.Info, error) {
	req, err := w.ask(ctx, http.MethodHead, u)
	if err != nil {
		return store.Info{}, store.Failure(ctx, "HEAD", u, err)
	}
	req.Header.Set("Want-Repr-Digest", "sha-256=10")
	resp, err := w.client.Do(req)
	if err != nil {
		return store.Info{}, store.Failure(ctx, "HEAD", u, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return store.Info{}, refusal("HEAD", u, resp)
	}
	info := store.Info{Size: resp.ContentLength, Version: wire.StrongETag(resp.Header.Get("ETag"))}
	if wire.EncodingOf(resp.Header.Get("Content-Encoding")) == "" {
		info.SHA256 = readDigest(strings.Join(resp.Header.Values("Repr-Digest"), ","))
	}
	return info, nil
}
