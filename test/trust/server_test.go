package trust

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"stretcher/internal/testparts"
)

// server is a hostile one: it does at each path what it was told to do there,
// and notes what it was asked.
type server struct {
	URL     string
	mu      sync.Mutex
	answers map[string]answer // by path and query
	seen    []string          // what was asked for: path and query, in order
	sent    int64             // bytes of endless answers
	over    chan struct{}     // closed when the test ends
}

// answer is what a server does at a path. Times is how often it was asked
// there before.
type answer func(s *server, w http.ResponseWriter, r *http.Request, times int)

func newServer(t *testing.T) *server {
	t.Helper()
	s, web := unstarted()
	web.Start()
	s.serve(t, web)
	return s
}

// newTLSServer is a server of https, and what has its certificate.
func newTLSServer(t *testing.T) (*server, *httptest.Server) {
	t.Helper()
	s, web := unstarted()
	web.StartTLS()
	s.serve(t, web)
	return s, web
}

func unstarted() (*server, *httptest.Server) {
	s := &server{answers: map[string]answer{}, over: make(chan struct{})}
	return s, httptest.NewUnstartedServer(s)
}

func (s *server) serve(t *testing.T, web *httptest.Server) {
	s.URL = web.URL
	t.Cleanup(func() { close(s.over); web.CloseClientConnections(); web.Close() })
}

// ServeHTTP notes the request and answers it.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.RequestURI
	s.mu.Lock()
	times := 0
	for _, other := range s.seen {
		if other == name {
			times++
		}
	}
	s.seen = append(s.seen, name)
	do := s.answers[name]
	s.mu.Unlock()
	if do == nil {
		http.NotFound(w, r)
		return
	}
	do(s, w, r, times)
}

// on tells what to do at a path.
func (s *server) on(path string, do answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[path] = do
}

// put serves a text at a path.
func (s *server) put(path, text string) { s.on(path, file(text)) }

// vouched serves a manifest at a path, with a signature, and returns its URL.
func (s *server) vouched(path string, m fmt.Stringer, by *signer) (url string) {
	s.put(path, m.String())
	s.put(path+".minisig", by.sign(m.String()))
	return s.URL + path
}

// asked are the requests so far.
func (s *server) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// forget forgets the requests so far.
func (s *server) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = nil
}

// took is how many bytes of endless answers have been taken.
func (s *server) took() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent
}

// file serves a text as a good server does, with an ETag and by ranges.
func file(text string) answer { return tagged(fmt.Sprintf("%x", sha256.Sum256([]byte(text))), text) }

// tagged serves a text by an ETag of one's own choice.
func tagged(tag, text string) answer {
	return func(_ *server, w http.ResponseWriter, r *http.Request, _ int) {
		w.Header().Set("ETag", strconv.Quote(tag))
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
	}
}

// turns answers each time by the next one, and at last always by the last one.
func turns(all ...answer) answer {
	return func(s *server, w http.ResponseWriter, r *http.Request, times int) {
		all[min(times, len(all)-1)](s, w, r, 0)
	}
}

// status answers by a status and a text.
func status(code int, text string) answer {
	return func(_ *server, w http.ResponseWriter, _ *http.Request, _ int) {
		w.WriteHeader(code)
		_, _ = w.Write([]byte(text))
	}
}

// redirect leads elsewhere.
func redirect(to string) answer {
	return func(_ *server, w http.ResponseWriter, _ *http.Request, _ int) {
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusFound)
	}
}

// encoded says that a text is encoded in some way.
func encoded(coding, text string) answer {
	return func(_ *server, w http.ResponseWriter, _ *http.Request, _ int) {
		w.Header().Set("Content-Encoding", coding)
		_, _ = w.Write([]byte(text))
	}
}

// tooLong says that more comes than does.
func tooLong(length int64, text string) answer {
	return func(_ *server, w http.ResponseWriter, _ *http.Request, _ int) {
		w.Header().Set("Content-Length", strconv.FormatInt(length, 10))
		_, _ = w.Write([]byte(text))
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

// cut breaks off after so many bytes.
func cut(tag, text string, after int) answer {
	whole := tagged(tag, text)
	return func(s *server, w http.ResponseWriter, r *http.Request, times int) {
		whole(s, testparts.Cut(w, after), r, times)
	}
}

// endless begins with a text, and goes on for as long as somebody reads.
func endless(text, more string) answer {
	junk := bytes.Repeat([]byte(more), 1+64<<10/len(more))
	return func(s *server, w http.ResponseWriter, r *http.Request, _ int) {
		_, err := w.Write([]byte(text))
		for err == nil {
			select {
			case <-s.over:
				return
			case <-r.Context().Done():
				return
			default:
			}
			_, err = w.Write(junk)
			s.mu.Lock()
			s.sent += int64(len(junk))
			s.mu.Unlock()
		}
	}
}

// endlessHeader sends one line of the header after the other.
func endlessHeader() answer {
	return pump("HTTP/1.1 200 OK\r\n", "X: "+strings.Repeat("x", 1000)+"\r\n")
}

// pump begins in some way, and goes on without an end, without the help of
// net/http.
func pump(begin, more string) answer {
	return hijacked(func(s *server, c net.Conn) {
		n, err := c.Write([]byte(begin))
		for err == nil {
			s.mu.Lock()
			s.sent += int64(n)
			s.mu.Unlock()
			n, err = c.Write([]byte(more))
		}
	})
}

// hijacked answers without the help of net/http.
func hijacked(do func(s *server, c net.Conn)) answer {
	return func(s *server, w http.ResponseWriter, _ *http.Request, _ int) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		do(s, c)
	}
}

// slow sends a byte per second.
func slow(text string) answer {
	return func(s *server, w http.ResponseWriter, r *http.Request, _ int) {
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		for i := range len(text) {
			_, _ = w.Write([]byte(text[i : i+1]))
			w.(http.Flusher).Flush()
			select {
			case <-time.After(time.Second):
			case <-r.Context().Done():
				return
			case <-s.over:
				return
			}
		}
	}
}

// silent takes the request and says nothing.
func silent() answer {
	return func(s *server, _ http.ResponseWriter, r *http.Request, _ int) {
		select {
		case <-r.Context().Done():
		case <-s.over:
		}
	}
}

// slowHeader sends one byte of the header per second.
func slowHeader() answer {
	return hijacked(func(s *server, c net.Conn) {
		_, err := fmt.Fprint(c, "HTTP/1.1 200 OK\r\n")
		for err == nil {
			select {
			case <-time.After(time.Second):
				_, err = fmt.Fprint(c, "X: y\r\n")
			case <-s.over:
				return
			}
		}
	})
}

// held answers when somebody lets it go.
func held(until <-chan struct{}, then answer) answer {
	return func(s *server, w http.ResponseWriter, r *http.Request, times int) {
		select {
		case <-until:
			then(s, w, r, times)
		case <-r.Context().Done():
		case <-s.over:
		}
	}
}
