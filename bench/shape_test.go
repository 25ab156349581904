package main

import (
	"bytes"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// TestShapeTakesItsTime: by a clock that moves when everybody waits. A
// connection costs a round trip, so does each question, and the answer comes at
// the rate.
func TestShapeTakesItsTime(t *testing.T) {
	for _, c := range []struct {
		line   line
		first  time.Duration // the first answer, of no size to speak of
		second time.Duration // the next one, of a million bytes
	}{
		{line{rate: 1_000_000, rtt: 20 * time.Millisecond}, 40 * time.Millisecond, 1020 * time.Millisecond},
		{line{rate: 50_000_000, rtt: 20 * time.Millisecond}, 40 * time.Millisecond, 40 * time.Millisecond},
		{line{rate: 50_000_000}, 0, 20 * time.Millisecond},
		{line{rtt: time.Second}, 2 * time.Second, time.Second},
		{line{}, 0, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			client, server := shaped(t, c.line)
			go answer(server, 1, 1_000_000)
			for i, want := range []time.Duration{c.first, c.second} {
				began, size := time.Now(), []int{1, 1_000_000}[i]
				ask(t, client, size)
				took := time.Since(began)
				if took < want || took > want+time.Millisecond {
					t.Errorf("%+v: answer %d after %s, not %s", c.line, i, took, want)
				}
			}
		})
	}
}

// shaped is both ends of a connection over a line.
func shaped(t *testing.T, l line) (client, server net.Conn) {
	client, near := net.Pipe()
	far, server := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.join(near, far)
	}()
	t.Cleanup(func() {
		client.Close()
		server.Close()
		<-done
	})
	return client, server
}

// answer sends so many bytes for each byte that comes.
func answer(conn net.Conn, sizes ...int) {
	for _, n := range sizes {
		if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
			return
		}
		_, _ = conn.Write(make([]byte, n))
	}
}

func ask(t *testing.T, conn net.Conn, size int) {
	t.Helper()
	if _, err := conn.Write([]byte{'?'}); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, size)); err != nil {
		t.Error(err)
	}
}

// TestShapePassesAll: over TCP, in both directions, with an end in each.
func TestShapePassesAll(t *testing.T) {
	server, proxy := listen(t), listen(t)
	go func() {
		for {
			conn, err := proxy.Accept()
			if err != nil {
				return
			}
			go line{}.serve(conn, server.Addr().String())
		}
	}()
	go func() {
		conn, err := server.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		said, _ := io.ReadAll(conn) // until the client has said all
		_, _ = conn.Write(append(said, '!'))
	}()
	conn, err := net.Dial("tcp", proxy.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	said := bytes.Repeat([]byte("0123456789"), 100_000)
	go func() {
		_, _ = conn.Write(said)
		_ = conn.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(conn)
	if err != nil || !bytes.Equal(got, append(said, '!')) {
		t.Errorf("%d bytes came back, %v", len(got), err)
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

func TestParseLine(t *testing.T) {
	for _, c := range []struct {
		rate, rtt string
		want      line
		ok        bool
	}{
		{"50MB", "20ms", line{50_000_000, 20 * time.Millisecond}, true},
		{"0", "0", line{}, true},
		{"1MiB", "1s", line{1 << 20, time.Second}, true},
		{"fast", "20ms", line{}, false},
		{"-1", "20ms", line{}, false},
		{"50MB", "20", line{}, false},
		{"50MB", "-20ms", line{}, false},
	} {
		got, err := parseLine(c.rate, c.rtt)
		if (err == nil) != c.ok || got != c.want {
			t.Errorf("%s %s: %+v, %v", c.rate, c.rtt, got, err)
		}
	}
}
