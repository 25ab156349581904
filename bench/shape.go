package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/dustin/go-humanize"
)

// piece is how much passes at a time, in bytes.
const piece = 32 << 10

// line says how a shaped connection is: what one to a server far away is like
// when nothing is lost. Each direction has the rate to itself.
type line struct {
	rate int64         // bytes per second; 0 = any
	rtt  time.Duration // half of it each way; a whole one passes before a connection is there
}

// parseLine reads a rate such as 50MB, by the second, and a time such as 20ms.
func parseLine(rate, rtt string) (line, error) {
	bytes, err := humanize.ParseBytes(rate)
	if err != nil || int64(bytes) < 0 {
		return line{}, fmt.Errorf("%q is no rate", rate)
	}
	delay, err := time.ParseDuration(rtt)
	if err != nil || delay < 0 {
		return line{}, fmt.Errorf("%q is no round trip time", rtt)
	}
	return line{int64(bytes), delay}, nil
}

// shaping passes connections to listen on to another address, each of them over a
// line of its own. It prints the address that it listens at, and does not end.
func shaping(listen, to, rate, rtt string) error {
	l, err := parseLine(rate, rtt)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	for {
		client, err := ln.Accept()
		if err != nil {
			return err
		}
		go l.serve(client, to)
	}
}

// serve passes one connection on.
func (l line) serve(client net.Conn, to string) {
	defer client.Close()
	server, err := net.Dial("tcp", to)
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: shape: %v\n", err)
		return
	}
	defer server.Close()
	l.join(client, server)
}

// join passes on what both ends of a connection say, until both have ended.
func (l line) join(client, server net.Conn) {
	began := time.Now().Add(l.rtt)
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.pass(server, client, began)
	}()
	l.pass(client, server, began)
	<-done
}

// parcel is data on its way.
type parcel struct {
	data []byte
	due  time.Time
	end  error // of the sender
}

// pass passes on one direction. What is read arrives when its last byte would;
// as much is under way as the line holds, and a few pieces in front of it.
func (l line) pass(dst, src net.Conn, began time.Time) {
	way, stop := make(chan parcel, l.held()), make(chan struct{})
	go l.load(src, began, way, stop)
	defer close(stop)
	for p := range way {
		time.Sleep(time.Until(p.due))
		if _, err := dst.Write(p.data); err != nil {
			_ = src.Close() // nobody listens
			return
		}
		if p.end != nil {
			hangUp(dst, p.end)
			return
		}
	}
}

// held is how many pieces a line holds.
func (l line) held() int {
	if l.rate == 0 {
		return (64 << 20) / piece
	}
	return 4 + int(float64(l.rate)*l.rtt.Seconds()/2)/piece
}

// load reads what goes on its way.
func (l line) load(src net.Conn, began time.Time, way chan<- parcel, stop <-chan struct{}) {
	defer close(way)
	sent := began // when the line is free again
	for {
		buf := make([]byte, piece)
		n, err := src.Read(buf)
		sent = l.after(sent, time.Now(), n)
		select {
		case way <- parcel{buf[:n], sent.Add(l.rtt / 2), err}:
		case <-stop:
			return
		}
		if err != nil {
			return
		}
	}
}

// after is when n bytes are on the line that come now, if it is free from sent on.
func (l line) after(sent, now time.Time, n int) time.Time {
	if sent.Before(now) {
		sent = now
	}
	if l.rate == 0 {
		return sent
	}
	return sent.Add(time.Duration(float64(n) / float64(l.rate) * float64(time.Second)))
}

// hangUp ends one direction as its sender did.
func hangUp(dst net.Conn, why error) {
	half, ok := dst.(interface{ CloseWrite() error })
	if ok && errors.Is(why, io.EOF) {
		_ = half.CloseWrite()
		return
	}
	_ = dst.Close()
}
