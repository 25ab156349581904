package transfer

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stretcher/internal/fetch/store"
	"stretcher/internal/fetch/store/all"
)

// step is what the server does with one request. The zero step serves the
// object as it should.
type step struct {
	status   int           // answer with it and nothing else
	after    string        // with this Retry-After
	cut      int           // close the connection after so many bytes of the body
	mute     bool          // close it amid the head
	stall    bool          // after cut bytes send no more, keep the connection
	delay    time.Duration // before each KiB of the body
	noRange  bool          // ignore Range
	noETag   bool
	etag     string // other than "v1"
	data     []byte // other than the server's
	chunked  bool   // do not announce the size
	announce int    // as Content-Length, other than the size
	shift    int    // of what Content-Range says of a range
	encoding string // as Content-Encoding
}

// faulty serves one object; requests after the last step get the last step.
type faulty struct {
	*httptest.Server
	data  []byte
	steps []step
	pick  func(n int, r *http.Request) step // instead of steps; n counts requests from 0
	gate  int                               // the first body comes when there have been so many requests

	mu     sync.Mutex
	ranges []string // the Range header of each request
}

func serve(t *testing.T, data []byte, steps ...step) *faulty {
	t.Helper()
	f := &faulty{data: data, steps: steps}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *faulty) next(r *http.Request) step {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := min(len(f.ranges), len(f.steps)-1)
	f.ranges = append(f.ranges, r.Header.Get("Range"))
	if f.pick != nil {
		return f.pick(len(f.ranges)-1, r)
	}
	if i < 0 {
		return step{}
	}
	return f.steps[i]
}

func (f *faulty) asked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.ranges...)
}

func (f *faulty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := f.next(r)
	if s.after != "" {
		w.Header().Set("Retry-After", s.after)
	}
	if s.status != 0 {
		w.WriteHeader(s.status)
		return
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	if s.mute {
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-")
		return
	}
	f.body(conn, r, s)
}

// body writes an answer by hand, so that it can be as wrong as a step wants it.
func (f *faulty) body(conn net.Conn, r *http.Request, s step) {
	data, etag := f.data, s.etag
	if s.data != nil {
		data = s.data
	}
	if etag == "" {
		etag = `"v1"`
	}
	head, size, whole := "200 OK", len(data), len(data)
	if from, to, ok := asksRange(r, whole); ok && !s.noRange && r.Header.Get("If-Range") == etag {
		head = fmt.Sprintf("206 Partial Content\r\nContent-Range: bytes %d-%d/%d", from+s.shift, to-1+s.shift, whole)
		data, size = data[from:to], to-from
	}
	if s.encoding != "" {
		head += "\r\nContent-Encoding: " + s.encoding
	}
	head = "HTTP/1.1 " + head + "\r\nConnection: close\r\n"
	if !s.noETag {
		head += "ETag: " + etag + "\r\n"
	}
	if s.announce > 0 {
		size = s.announce
	}
	out := io.Writer(conn)
	if s.chunked {
		head += "Transfer-Encoding: chunked\r\n"
		out = chunker{conn}
	} else {
		head += "Content-Length: " + strconv.Itoa(size) + "\r\n"
	}
	io.WriteString(conn, head+"\r\n")
	for r.Header.Get("Range") == "" && len(f.asked()) < f.gate {
		time.Sleep(time.Millisecond)
	}
	if s.cut > 0 && s.cut < len(data) {
		data = data[:s.cut]
	}
	drip(out, data, s.delay)
	if s.stall {
		conn.Read(make([]byte, 1)) // until the client gives up
	} else if s.chunked && s.cut == 0 {
		io.WriteString(conn, "0\r\n\r\n")
	}
}

// asksRange is the range that is asked for, of an object of this size.
func asksRange(r *http.Request, size int) (from, to int, ok bool) {
	n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to)
	if to++; n < 2 || to > size {
		to = size
	}
	return from, to, n > 0 && from < size
}

func drip(w io.Writer, data []byte, delay time.Duration) {
	if delay == 0 {
		w.Write(data)
		return
	}
	for len(data) > 0 {
		n := min(1024, len(data))
		time.Sleep(delay)
		if _, err := w.Write(data[:n]); err != nil {
			return
		}
		data = data[n:]
	}
}

type chunker struct{ w io.Writer }

func (c chunker) Write(p []byte) (int, error) {
	_, err := fmt.Fprintf(c.w, "%x\r\n%s\r\n", len(p), p)
	return len(p), err
}

// memory is a Destination.
type memory struct {
	bytes.Buffer
	resets int
	delay  time.Duration // before each write
	fail   error
}

func (m *memory) Write(p []byte) (int, error) {
	time.Sleep(m.delay)
	if m.fail != nil {
		return 0, m.fail
	}
	return m.Buffer.Write(p)
}

func (m *memory) Reset() error {
	m.resets++
	m.Buffer.Reset()
	return nil
}

// stores is a Set that leaves no connection behind, and the check that nothing
// else is left either.
func stores(t *testing.T) *store.Set {
	t.Helper()
	set := store.NewSet(store.Options{}, all.List())
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		set.Close()
		settle(t, before)
	})
	return set
}

// checked is an Opener that holds Copy to the contract of store.Store: a
// position has a version, and every body is closed.
type checked struct {
	Opener
	t    *testing.T
	open int
	lie  int64 // added to the size
}

func (c *checked) Open(ctx context.Context, u string, from store.Position) (*store.Object, error) {
	if from.Offset > 0 && from.Version == "" {
		c.t.Errorf("asked to go on at %d without a version", from.Offset)
	}
	obj, err := c.Opener.Open(ctx, u, from)
	if err != nil {
		return nil, err
	}
	c.open++
	obj.Size += c.lie
	obj.Body = &closing{obj.Body, c}
	return obj, nil
}

type closing struct {
	io.ReadCloser
	of *checked
}

func (c *closing) Close() error {
	c.of.open--
	return c.ReadCloser.Close()
}

// settle waits for goroutines to end; it gives up after a time that no healthy
// one needs.
func settle(t *testing.T, want int) {
	t.Helper()
	for range 6000 {
		if runtime.NumGoroutine() <= want {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	stacks := make([]byte, 1<<16)
	t.Errorf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), want, stacks[:runtime.Stack(stacks, true)])
}

// noise is the same n bytes for the same seed.
func noise(seed byte, n int) []byte {
	data := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(data)
	return data
}

// hide is the text of err without what differs from run to run.
func hide(err error, base string) string {
	if err == nil {
		return ""
	}
	return strings.ReplaceAll(err.Error(), base, "BASE")
}

// proxy passes TCP on, and closes each connection after so many bytes from the
// server.
type proxy struct {
	addr  string
	conns atomic.Int32
}

func cutter(t *testing.T, target string, after int64) *proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{addr: ln.Addr().String()}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			p.conns.Add(1)
			wg.Go(func() { pass(client, target, after) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		wg.Wait()
	})
	return p
}

func pass(client net.Conn, target string, after int64) {
	defer client.Close()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		io.Copy(server, client)
		server.Close() // an idle connection ends with its client
	}()
	io.CopyN(client, server, after)
}
