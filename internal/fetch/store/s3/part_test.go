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
	srv := testparts.S3(t)
	srv.Put(t, "bucket", "old", []byte("old"))
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
			s := &slowServer{whole: make(chan struct{}), last: (c.size + partSize - 1) / partSize}
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
	case number == string(rune('0'+s.last)):
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
// never answers, nor for one that has but half of a part.
func TestPartBrokenOff(t *testing.T) {
	srv := testparts.S3(t)
	srv.Put(t, "bucket", "old", []byte("old"))
	for _, c := range []struct {
		name   string
		read   int64 // of the part, before the upload ends
		aborts int32 // that the server takes and says nothing of
		hint   string
	}{
		{"all is there", partSize, 0, ""},
		{"half is there", partSize / 2, 0, ""},
		{"nothing is there", 0, 0, ""},
		{"and comes again", 0, 100, partsHint},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var count atomic.Int32
			front(t, srv, func(r *http.Request) int {
				if r.Method == http.MethodDelete && count.Add(1) <= c.aborts {
					return http.StatusNoContent
				}
				if r.URL.Query().Get("partNumber") != "1" {
					return 0
				}
				if n, err := io.CopyN(io.Discard, r.Body, c.read); err != nil {
					t.Errorf("%d bytes came: %v", n, err)
				}
				stop()
				_, _ = io.Copy(io.Discard, r.Body)
				<-r.Context().Done()
				return http.StatusGone
			})
			err := frontUpload(t, 50*time.Millisecond, partSize).multipart(ctx)
			if !errors.Is(err, context.Canceled) || store.Hint(err) != c.hint {
				t.Errorf("%v, hint %q", err, store.Hint(err))
			}
			if n := srv.Uploads(t, "bucket"); (n > 0) != (c.hint != "") || count.Load() < 2 {
				t.Errorf("%d uploads are left after %d aborts", n, count.Load())
			}
		})
	}
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
