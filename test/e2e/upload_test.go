package e2e

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"syscall"
	"testing"
	"time"

	"stretcher/internal/testparts"
)

// interrupted is a way to an S3 server on which an upload is interrupted when the first
// part is there and has not been answered.
type interrupted struct {
	t      *testing.T
	server http.Handler
	ready  chan struct{} // is closed then
	sent   chan struct{} // is closed when the signal has been sent
	once   sync.Once
	silent bool // the part gets no answer, and the server keeps what it has
	aborts int
	early  bool // an abort came before the answer
	mu     sync.Mutex
}

func (i *interrupted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch q := r.URL.Query(); {
	case r.Method == http.MethodDelete:
		i.mu.Lock()
		i.aborts++
		i.mu.Unlock()
		if i.silent {
			w.WriteHeader(http.StatusNoContent)
			return
		}
	case q.Get("partNumber") == "1":
		body, err := io.ReadAll(r.Body)
		if err != nil {
			i.t.Error(err)
		}
		i.once.Do(func() { close(i.ready) })
		<-i.sent
		if i.silent {
			<-r.Context().Done()
			return
		}
		time.Sleep(500 * time.Millisecond) // in which an abort would come first
		i.mu.Lock()
		i.early = i.aborts > 0
		i.mu.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	i.server.ServeHTTP(w, r)
}

// TestE2EInterruptedUpload: of an upload in parts that is interrupted nothing is left at
// the server, or it is said how what is left goes away.
func TestE2EInterruptedUpload(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		silent bool
		left   int
		hint   string
	}{
		"answered": {false, 0, ""},
		"silent": {true, 1, "hint: a rule for the bucket that ends incomplete multipart uploads removes " +
			"what may be left of it\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, s := newMachine(t), testparts.S3(t)
			s.Put(t, "deploys", "there", []byte("already"))
			at, err := url.Parse(s.Endpoint)
			if err != nil {
				t.Fatal(err)
			}
			way := &interrupted{t: t, ready: make(chan struct{}), sent: make(chan struct{}), silent: c.silent}
			way.server = httputil.NewSingleHostReverseProxy(at)
			front := httptest.NewServer(way)
			defer front.Close()
			m.env = append(append(m.env, s.Env()...), "AWS_ENDPOINT_URL="+front.URL)
			m.write("build/large", noise(36<<20))
			d := m.start(nil, "pack", m.path("build"), "--to", "s3://deploys/app/", "--name", "app", "--version", "1")
			<-way.ready
			if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			close(way.sent)
			_ = d.cmd.Wait()
			d.wants(143, `^stretcher: archive: put "s3://deploys/app/app-1-[0-9a-f]{12}\.tar\.gz": interrupted by signal `+
				`terminated\n`+c.hint+`\z`)
			m.clean()
			front.Close()
			if n := s.Uploads(t, "deploys"); n != c.left || way.early || way.aborts == 0 {
				t.Errorf("%d uploads are left after %d aborts, early: %v", n, way.aborts, way.early)
			}
			if d.stdout.Len() > 0 {
				t.Errorf("on standard output: %q", d.stdout.String())
			}
		})
	}
}
