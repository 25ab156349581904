package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"stretcher/internal/fetch/store"
	"stretcher/internal/testparts"
)

// front passes requests on to a server, and lets some fail.
func front(t *testing.T, srv testparts.S3Server, fails func(r *http.Request) int) *store.Set {
	t.Helper()
	testparts.NoAWS(t, srv.Env()...)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if code := fails(r); code > 0 {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(code)
			return
		}
		resp, err := forward(srv, r)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		for name, values := range resp.Header {
			w.Header()[name] = values
		}
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
	}))
	t.Cleanup(proxy.Close)
	t.Setenv("AWS_ENDPOINT_URL", proxy.URL)
	set := newSet(store.Options{})
	t.Cleanup(set.Close)
	return set
}

// forward makes a request to a server as it came.
func forward(srv testparts.S3Server, r *http.Request) (*http.Response, error) {
	out, err := http.NewRequestWithContext(r.Context(), r.Method, srv.Endpoint+r.URL.RequestURI(), r.Body)
	if err != nil {
		return nil, err
	}
	out.Header, out.Host, out.ContentLength = r.Header, r.Host, r.ContentLength
	return http.DefaultTransport.RoundTrip(out)
}

// TestMultipart: large objects come in parts; a part that fails once is sent
// again, and an upload that fails is aborted, also when its context has ended.
func TestMultipart(t *testing.T) {
	srv := bucketServer(t)
	data := bytes.Repeat([]byte("0123456789abcdef"), (partSize+partSize/2)/16)
	sum := sha256.Sum256(data)
	for _, c := range []struct {
		name   string
		code   int // of the second part
		times  int32
		stop   bool // ends the context at the second part
		parts  int32
		aborts int32
		fails  bool
	}{
		{"whole", 0, 0, false, 2, 0, false},
		{"busy once", 503, 1, false, 3, 0, false},
		{"denied", 403, 100, false, 2, 1, true},
		{"stopped", 403, 100, true, 2, 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var parts, aborts, failures atomic.Int32
			set := front(t, srv, func(r *http.Request) int {
				number := r.URL.Query().Get("partNumber")
				switch {
				case r.Method == http.MethodDelete:
					aborts.Add(1)
				case number != "":
					parts.Add(1)
				}
				if number != "2" || failures.Add(1) > c.times {
					return 0
				}
				if c.stop {
					cancel()
				}
				return c.code
			})
			err := set.Put(ctx, "s3://bucket/key", bytes.NewReader(data), int64(len(data)), store.PutOptions{SHA256: sum})
			if (err != nil) != c.fails || parts.Load() > c.parts || aborts.Load() != c.aborts {
				t.Errorf("%v after %d parts, %d aborts", err, parts.Load(), aborts.Load())
			}
			info, err := set.Stat(t.Context(), "s3://bucket/key")
			if c.fails != errors.Is(err, store.ErrNotFound) || !c.fails && (info.SHA256 == nil || *info.SHA256 != sum) {
				t.Errorf("stat: %+v, %v", info, err)
			}
			if n := srv.Uploads(t, "bucket"); n > 0 {
				t.Errorf("%d uploads are left", n)
			}
			srv.Remove(t, "bucket", "key")
		})
	}
}

// TestPutDenied: no object is written by who may not.
func TestPutDenied(t *testing.T) {
	srv := testparts.S3(t)
	srv.Put(t, "bucket", "key", []byte("x"))
	testparts.NoAWS(t, append(srv.Env(), "AWS_SECRET_ACCESS_KEY=SEKRIT")...)
	set := newSet(store.Options{})
	defer set.Close()
	err := set.Put(t.Context(), "s3://bucket/key", strings.NewReader("y"), 1,
		store.PutOptions{SHA256: sha256.Sum256([]byte("y"))})
	if !errors.Is(err, store.ErrDenied) || store.Hint(err) != s3Hint || !strings.HasPrefix(err.Error(), "put ") {
		t.Errorf("%v, hint %q", err, store.Hint(err))
	}
	_, err = set.Stat(t.Context(), "s3://bucket/key")
	if !errors.Is(err, store.ErrDenied) || store.Hint(err) != listHint {
		t.Errorf("stat: %v, hint %q", err, store.Hint(err))
	}
	if err := set.Put(t.Context(), "s3://bucket/key?versionId=1", strings.NewReader(""), 0,
		store.PutOptions{SHA256: sha256.Sum256(nil)}); err == nil || !strings.Contains(err.Error(), "names a version") {
		t.Errorf("a version was written: %v", err)
	}
}

// endless is a body of zeros that counts what is read of it.
type endless struct {
	reads atomic.Int64
	then  func()
}

func (e *endless) ReadAt(p []byte, _ int64) (int, error) {
	e.reads.Add(int64(len(p)))
	e.then()
	return len(p), nil
}

// TestPartsEnd: what is left of an upload that has ended is not read.
func TestPartsEnd(t *testing.T) {
	for name, c := range map[string]struct {
		begun bool
		most  int64
	}{"before": {false, 0}, "in the middle": {true, atOnce * partSize}} {
		ctx, cancel := context.WithCancel(t.Context())
		if !c.begun {
			cancel()
		}
		body := &endless{then: cancel}
		up := &upload{
			client: s3.New(s3.Options{Region: "none", BaseEndpoint: aws.String("http://127.0.0.1:1")}),
			u:      &url.URL{Scheme: "s3", Host: "bucket", Path: "/key"}, body: body, size: 1000 * partSize,
		}
		_, err := up.parts(ctx, aws.String("id"))
		if n := body.reads.Load(); !errors.Is(err, context.Canceled) || n > c.most {
			t.Errorf("%s: %v, and %d bytes were read", name, err, n)
		}
		cancel()
	}
}
