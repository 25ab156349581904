package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stretcher/internal/fetch/store"
	"stretcher/internal/testparts"
)

// TestAbortedAfterItsParts: an upload is aborted when the parts that the server
// has in full are answered, so that none is kept after it.
func TestAbortedAfterItsParts(t *testing.T) {
	srv := bucketServer(t)
	for _, c := range []struct {
		name string
		size int64
		code int                           // of the last part
		end  func(stop context.CancelFunc) // at the last part
	}{
		{"another is denied", partSize + 1, http.StatusForbidden, func(context.CancelFunc) {}},
		{"stopped", partSize + 1, 0, func(stop context.CancelFunc) { stop() }},
		{"stopped at the last of three", 2*partSize + 1, 0, func(stop context.CancelFunc) { stop() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			s := &slowServer{whole: make(chan struct{}, 100), last: (c.size + partSize - 1) / partSize}
			set := front(t, srv, func(r *http.Request) int {
				if s.take(t, r) {
					c.end(stop)
					return c.code
				}
				return 0
			})
			data := make([]byte, c.size)
			err := set.Put(ctx, "s3://bucket/key", bytes.NewReader(data), c.size,
				store.PutOptions{SHA256: sha256.Sum256(data)})
			if err == nil || store.Hint(err) == partsHint {
				t.Errorf("%v, hint %q", err, store.Hint(err))
			}
			s.wait.Wait()
			if at := slices.Index(s.order, "abort"); at != len(s.order)-1 || at < int(s.last)-1 {
				t.Errorf("the order was %q", s.order)
			}
			if n := srv.Uploads(t, "bucket"); n > 0 {
				t.Errorf("%d uploads are left", n)
			}
		})
	}
}

// slowServer answers the parts before the last one late: it has all of them by
// the time the last one comes.
type slowServer struct {
	last  int64
	whole chan struct{} // a value for each part that is here

	wait  sync.WaitGroup
	mu    sync.Mutex
	order []string
}

// take holds a request until it is its turn, and tells whether it is the last
// part.
func (s *slowServer) take(t *testing.T, r *http.Request) bool {
	number := r.URL.Query().Get("partNumber")
	switch {
	case r.Method == http.MethodDelete:
		s.note("abort")
	case number == "":
	case number == strconv.FormatInt(s.last, 10):
		for range s.last - 1 {
			<-s.whole
		}
		return true
	default:
		s.wait.Add(1)
		defer s.wait.Done()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		s.whole <- struct{}{}
		time.Sleep(300 * time.Millisecond) // in which an abort would come first
		s.note(number)
	}
	return false
}

func (s *slowServer) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.order = append(s.order, what)
}

// TestPartBrokenOff: an upload that ends does not wait forever for a server that
// never answers, nor for one that has but half of a part. The server may have kept
// it: it is asked twice to abort the upload, and the hint says what else helps.
func TestPartBrokenOff(t *testing.T) {
	srv := bucketServer(t)
	for _, c := range []struct {
		name string
		read int64 // of the part, before the upload ends
		busy int32 // so often the server does not abort it
	}{
		{"all is there", partSize, 0},
		{"half is there", partSize / 2, 0},
		{"nothing is there", 0, 0},
		{"and the server is busy", partSize, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			ended := make(chan struct{})
			var aborts atomic.Int32
			front(t, srv, func(r *http.Request) int {
				if r.Method == http.MethodDelete && aborts.Add(1) <= c.busy {
					return http.StatusServiceUnavailable
				}
				if r.URL.Query().Get("partNumber") != "1" {
					return 0
				}
				if n, err := io.CopyN(io.Discard, r.Body, c.read); err != nil {
					t.Errorf("%d bytes came: %v", n, err)
				}
				stop()
				<-ended
				return http.StatusGone
			})
			err := frontUpload(t, 50*time.Millisecond, partSize).multipart(ctx)
			close(ended)
			if !errors.Is(err, context.Canceled) || store.Hint(err) != partsHint {
				t.Errorf("%v, hint %q", err, store.Hint(err))
			}
			if n := srv.Uploads(t, "bucket"); n > 0 || aborts.Load() != 2+c.busy {
				t.Errorf("%d uploads are left after %d aborts", n, aborts.Load())
			}
		})
	}
}

// TestPartKept: a part that the server keeps after its upload was aborted makes that
// anew, and the second abort removes it.
func TestPartKept(t *testing.T) {
	srv := bucketServer(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	aborted, kept := make(chan struct{}), make(chan struct{})
	var aborts atomic.Int32
	front(t, srv, func(r *http.Request) int {
		switch {
		case r.Method == http.MethodDelete && aborts.Add(1) == 1:
			resp, err := forward(srv, r)
			if err != nil || resp.StatusCode != http.StatusNoContent {
				t.Errorf("abort: %v, %v", resp, err)
			}
			close(aborted)
			return http.StatusNoContent
		case r.Method == http.MethodDelete:
			<-kept
			if n := srv.Uploads(t, "bucket"); n != 1 {
				t.Errorf("the part that came late left %d uploads", n)
			}
		case r.URL.Query().Get("partNumber") == "1":
			defer close(kept)
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			most, begun := len(body)-1, make(chan struct{}) // more than lies in buffers on the way
			pieces, to := io.Pipe()
			go func() {
				_, _ = to.Write(body[:most])
				close(begun)
				<-aborted
				_, _ = to.Write(body[most:])
				_ = to.Close()
			}()
			late := r.Clone(context.WithoutCancel(r.Context()))
			late.Body = pieces
			go func() { <-begun; stop() }()
			if resp, err := forward(srv, late); err != nil || resp.StatusCode != http.StatusOK {
				t.Errorf("part: %v, %v", resp, err)
			}
			return http.StatusGone
		}
		return 0
	})
	err := frontUpload(t, 50*time.Millisecond, partSize).multipart(ctx)
	if !errors.Is(err, context.Canceled) || store.Hint(err) != partsHint {
		t.Errorf("%v, hint %q", err, store.Hint(err))
	}
	if n := srv.Uploads(t, "bucket"); n > 0 || aborts.Load() != 2 {
		t.Errorf("%d uploads are left after %d aborts", n, aborts.Load())
	}
}

// TestStopped: an upload that ends before its last request is aborted and says so,
// whatever the attempt before was told; with that it becomes an object.
func TestStopped(t *testing.T) {
	srv := bucketServer(t)
	for _, c := range []struct {
		name   string
		at     func(r *http.Request) bool
		code   int // of the answer
		object bool
	}{
		{"at its beginning", func(r *http.Request) bool { return r.URL.Query().Has("uploads") }, 0, false},
		{"between two attempts", func(r *http.Request) bool { return r.URL.Query().Has("partNumber") }, 503, false},
		{"at its end", func(r *http.Request) bool { return r.Method == http.MethodPost && r.URL.Query().Has("uploadId") },
			0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var aborts atomic.Int32
			front(t, srv, func(r *http.Request) int {
				switch {
				case r.Method == http.MethodDelete:
					aborts.Add(1)
				case c.at(r) && c.code > 0:
					time.AfterFunc(50*time.Millisecond, stop)
					return c.code
				case c.at(r):
					stop()
					time.Sleep(100 * time.Millisecond) // in which it would be broken off
				}
				return 0
			})
			err := frontUpload(t, time.Hour, partSize).multipart(ctx)
			n := srv.Uploads(t, "bucket")
			switch {
			case c.object && (err != nil || len(srv.Get(t, "bucket", "key")) != partSize || aborts.Load() > 0),
				!c.object && (!errors.Is(err, context.Canceled) || store.Hint(err) != "" || aborts.Load() != 1), n > 0:
				t.Errorf("%v, hint %q; %d uploads are left after %d aborts", err, store.Hint(err), n, aborts.Load())
			}
		})
	}
}

// TestAbortHint: an upload that nobody knows any more is aborted; where it is not, the
// hint says so behind that of the error.
func TestAbortHint(t *testing.T) {
	srv := bucketServer(t)
	for _, c := range []struct {
		name  string
		abort func(r *http.Request) int
		left  int
	}{
		{"others have aborted it", func(r *http.Request) int {
			if resp, err := forward(srv, r); err != nil || resp.StatusCode != http.StatusNoContent {
				t.Errorf("abort: %v, %v", resp, err)
			}
			return 0
		}, 0},
		{"it may not be aborted", func(*http.Request) int { return http.StatusForbidden }, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			front(t, srv, func(r *http.Request) int {
				switch {
				case r.Method == http.MethodDelete:
					return c.abort(r)
				case r.URL.Query().Has("partNumber"):
					return http.StatusForbidden
				}
				return 0
			})
			err := frontUpload(t, time.Hour, partSize).multipart(t.Context())
			if !errors.Is(err, store.ErrDenied) || strings.HasSuffix(store.Hint(err), partsHint) != (c.left > 0) {
				t.Errorf("%v, hint %q", err, store.Hint(err))
			}
			if n := srv.Uploads(t, "bucket"); n != c.left {
				t.Errorf("%d uploads are left", n)
			}
		})
	}
}

// bucketServer is an S3 server with an empty bucket, but for an old object.
func bucketServer(t *testing.T) testparts.S3Server {
	t.Helper()
	srv := testparts.S3(t)
	srv.Put(t, "bucket", "old", []byte("old"))
	return srv
}

// frontUpload is an upload of zeros to the front.
func frontUpload(t *testing.T, patience time.Duration, size int64) *upload {
	t.Helper()
	b := &bucketS3{}
	t.Cleanup(b.CloseIdle)
	u := &url.URL{Scheme: "s3", Host: "bucket", Path: "/key"}
	client, err := b.connect(t.Context(), "put", u)
	if err != nil {
		t.Fatal(err)
	}
	return &upload{
		client: client, u: u, key: store.Key(u), body: &endless{then: func() {}}, size: size, patience: patience,
	}
}
