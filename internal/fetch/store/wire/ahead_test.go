package wire

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// accepting listens, and gives what it accepts.
func accepting(t *testing.T) (addr string, accepted <-chan net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	all := make(chan net.Conn, 9)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			all <- c
		}
	}()
	return ln.Addr().String(), all
}

// TestAhead: connections are there before they are asked for, each is given once, and
// those that nobody wants are closed.
func TestAhead(t *testing.T) {
	addr, accepted := accepting(t)
	dials := make(chan string, 9)
	a := NewAhead(func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials <- addr
		return new(net.Dialer).DialContext(ctx, network, addr)
	})
	ctx, drop := context.WithCancel(t.Context())
	a.Make(ctx, addr, 2)
	server := map[string]net.Conn{}
	for range 2 {
		c := <-accepted
		server[c.RemoteAddr().String()] = c
	}
	got, err := a.DialContext(t.Context(), "tcp", addr)
	if err != nil || server[got.LocalAddr().String()] == nil || len(dials) != 2 {
		t.Fatal(got, err)
	}
	defer got.Close()
	delete(server, got.LocalAddr().String())
	drop()
	for _, left := range server {
		_ = left.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := left.Read(make([]byte, 1)); err != io.EOF {
			t.Error(err)
		}
	}
	other, err := a.DialContext(t.Context(), "tcp", addr)
	if err != nil || len(dials) != 3 {
		t.Fatal(err)
	}
	_ = other.Close()
}

// TestAheadFails: one that was made too long ago, or could not be made, counts for
// nothing; who waits for one waits no longer than he wants to.
func TestAheadFails(t *testing.T) {
	addr, accepted := accepting(t)
	broken := true
	a := NewAhead(func(ctx context.Context, network, to string) (net.Conn, error) {
		if broken {
			return nil, errors.New("broken")
		}
		return new(net.Dialer).DialContext(ctx, network, to)
	})
	a.Make(t.Context(), addr, 1)
	<-a.made[addr][0].done
	broken = false
	a.Make(t.Context(), addr, 1)
	old := a.made[addr][1]
	<-old.done
	old.at = old.at.Add(-fresh)
	<-accepted
	for range 2 {
		c, err := a.DialContext(t.Context(), "tcp", addr)
		if err != nil || c == old.conn {
			t.Fatal(c, err)
		}
		<-accepted
		_ = c.Close()
	}
	stuck := &coming{done: make(chan struct{})}
	a.made[addr] = []*coming{stuck}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.DialContext(ctx, "tcp", addr); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(stuck.done)
}

// TestAheadNotGood: of a server that hangs up on connections that ask for nothing, or
// says something on them, none is given that was made ahead.
func TestAheadNotGood(t *testing.T) {
	for name, spoil := range map[string]func(net.Conn) error{
		"hangs up": func(c net.Conn) error { return c.Close() },
		"resets":   func(c net.Conn) error { return errors.Join(c.(*net.TCPConn).SetLinger(0), c.Close()) },
		"talks": func(c net.Conn) error {
			_, err := io.WriteString(c, "HTTP/1.1 408 Request Timeout\r\n\r\n")
			return err
		},
	} {
		addr, accepted := accepting(t)
		a := NewAhead(new(net.Dialer).DialContext)
		a.Make(t.Context(), addr, 1)
		first, made := <-accepted, waiting(t, a, addr)
		if err := spoil(first); err != nil {
			t.Fatal(err)
		}
		for isOpen(made) { // until it has arrived
			time.Sleep(time.Millisecond)
		}
		got, err := a.DialContext(t.Context(), "tcp", addr)
		if err != nil || got.LocalAddr().String() == first.RemoteAddr().String() {
			t.Errorf("%s: %v, %v", name, got, err)
			continue
		}
		_, _ = io.WriteString(got, "x")
		if _, err := io.ReadFull(<-accepted, make([]byte, 1)); err != nil || !isOpen(got) {
			t.Errorf("%s: %v", name, err)
		}
		_ = got.Close()
	}
}

// waiting is the first connection that was made ahead. It stays there.
func waiting(t *testing.T, a *Ahead, addr string) net.Conn {
	t.Helper()
	a.mu.Lock()
	c := a.made[addr][0]
	a.mu.Unlock()
	<-c.done
	return c.conn
}
