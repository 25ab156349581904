package parallel

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"
)

// lines is a format whose segments are lines, in capitals when they are
// decompressed. "#" begins the rest, and a line with "!" has a fault.
func lines(slow time.Duration) Format {
	decode := func(dst, line []byte) ([]byte, error) {
		if bytes.Contains(line, []byte("!")) {
			return nil, errors.New("a fault")
		}
		time.Sleep(slow * time.Duration(len(line)%3))
		return append(dst, bytes.ToUpper(line)...), nil
	}
	return Format{
		Next: func(in *bufio.Reader) (int, bool) {
			for n := 1; ; n++ {
				b, err := in.Peek(n)
				if err != nil || b[0] == '#' {
					return 0, false
				}
				if b[n-1] == '\n' {
					return n, true
				}
			}
		},
		Decoder: func() (func(dst, segment []byte) ([]byte, error), func(), error) { return decode, func() {}, nil },
	}
}

// readAll gives what was decompressed, and the rest.
func readAll(t *testing.T, src io.Reader, f Format, cores int) (content, rest string, begun bool) {
	t.Helper()
	r := NewReader(src, f, cores)
	defer r.Close()
	for {
		b, err := r.Next(t.Context())
		if errors.Is(err, ErrRest) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content += string(b)
	}
	if _, err := r.Next(t.Context()); !errors.Is(err, ErrRest) {
		t.Errorf("after the rest: %v", err)
	}
	left, begun := r.Rest()
	b, err := io.ReadAll(left)
	if err != nil {
		t.Fatal(err)
	}
	return content, string(b), begun
}

// TestDigestsPlace: who makes digests is told where a content is.
func TestDigestsPlace(t *testing.T) {
	in := strings.Repeat("one\nof\nmany\n\n", 200)
	f := lines(0)
	f.Size = func(line []byte) int { return len(line) }
	f.Digests = func(dst []Digest, _ []byte, pos int64) []Digest { return append(dst, Digest{Start: int(pos)}) }
	r := NewReader(strings.NewReader(in), f, 3)
	defer r.Close()
	for pos := 0; ; {
		b, err := r.Next(t.Context())
		if errors.Is(err, ErrRest) && pos == len(in) {
			break
		}
		if d := r.Digests(); err != nil || len(d) != 1 || d[0].Start != pos {
			t.Fatalf("at %d: %v, %v", pos, d, err)
		}
		pos += len(b)
	}
}

func TestReader(t *testing.T) {
	many := strings.Repeat("one\nof\nmany\n\n", 200)
	for _, c := range []struct{ in, content, rest string }{
		{"", "", ""},
		{"a\nb\n", "A\nB\n", ""},
		{"#rest", "", "#rest"},
		{"a\nb\n#rest\nb\n", "A\nB\n", "#rest\nb\n"},
		{"a\ncut", "A\n", "cut"},
		{"a\nb!\nc\nd\n#rest", "A\n", "b!\nc\nd\n#rest"},
		{"!\n", "", "!\n"},
		{many + "!\n" + many, strings.ToUpper(many), "!\n" + many},
		{many + "!\n!\n!", strings.ToUpper(many), "!\n!\n!"},
	} {
		for _, cores := range []int{0, 1, 2, 5, 1000} {
			content, rest, begun := readAll(t, strings.NewReader(c.in), lines(time.Microsecond), cores)
			if content != c.content || rest != c.rest || begun != (content != "") {
				t.Errorf("%.20q on %d cores: %.40q, %v, and %.40q", c.in, cores, content, begun, rest)
			}
		}
	}
}

func TestNoDecoder(t *testing.T) {
	f := lines(0)
	f.Decoder = func() (func(dst, segment []byte) ([]byte, error), func(), error) { return nil, nil, errors.New("none") }
	if content, rest, begun := readAll(t, strings.NewReader("a\nb\n"), f, 2); content != "" || rest != "a\nb\n" || begun {
		t.Errorf("%q, %q, %v", content, rest, begun)
	}
}

// TestClose holds that a reader may be closed at any time, and that the end of
// the context ends what waits for a source that gives nothing.
func TestClose(t *testing.T) {
	r := NewReader(strings.NewReader(strings.Repeat("a\n", 1000)), lines(0), 3)
	r.Close()
	r.Close()
	from, to := io.Pipe()
	r = NewReader(from, lines(0), 2)
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	cancel(enough)
	if _, err := r.Next(ctx); !errors.Is(err, enough) {
		t.Error(err)
	}
	_ = to.Close()
	r.Close()
}

// TestEndedContext: once a context has ended, each call says why, and none that
// there is a rest, as that would lack the segment that was waited for.
func TestEndedContext(t *testing.T) {
	slow := lines(0)
	wait := make(chan struct{})
	slow.Decoder = func() (func(dst, segment []byte) ([]byte, error), func(), error) {
		return func(dst, _ []byte) ([]byte, error) { <-wait; return dst, nil }, func() {}, nil
	}
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(enough)
	later, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("later"))
	for range 20 { // a call may wait for the segment, or for what is in it
		r := NewReader(strings.NewReader("a\nb\n"), slow, 2)
		defer r.Close()
		for len(r.order) < 2 {
			runtime.Gosched()
		}
		for i, ctx := range []context.Context{ctx, ctx, later} {
			if b, err := r.Next(ctx); !errors.Is(err, enough) {
				t.Errorf("call %d: %q, %v", i, b, err)
			}
		}
	}
	close(wait)
}

// longest is a format of segments that are as long as they may be.
func longest(size func([]byte) int) Format {
	f := lines(0)
	f.Size = size
	f.Next = func(in *bufio.Reader) (int, bool) {
		_, err := in.Peek(Max)
		return Max, err == nil
	}
	return f
}

// TestRoom: segments that take more than their share wait for room, and give it back.
func TestRoom(t *testing.T) {
	const many = 20
	for name, size := range map[string]func([]byte) int{
		"unknown": nil, "as long": func(p []byte) int { return len(p) }, "a lie": func([]byte) int { return math.MaxInt },
		"less than nothing": func([]byte) int { return -1 },
	} {
		r := NewReader(strings.NewReader(strings.Repeat("x", many*Max)), longest(size), 2)
		for i := range many {
			b, err := r.Next(t.Context())
			if err != nil || len(b) != Max || len(r.room) > tokens {
				t.Fatalf("%s, %d: %d bytes, %d tokens: %v", name, i, len(b), len(r.room), err)
			}
		}
		if _, err := r.Next(t.Context()); !errors.Is(err, ErrRest) {
			t.Errorf("%s: %v", name, err)
		}
		if r.Close(); len(r.room) > 0 {
			t.Errorf("%s: %d tokens are not given back", name, len(r.room))
		}
	}
}

// TestCloseWaiting: one that waits for room ends, and holds no more than there is.
func TestCloseWaiting(t *testing.T) {
	r := NewReader(strings.NewReader(strings.Repeat("x", 20*Max)), longest(nil), 2)
	for range 2000 {
		if len(r.room) == tokens {
			break
		}
		time.Sleep(time.Millisecond)
	}
	r.Close()
	if n := len(r.todo) + len(r.order); n > tokens*token/Max {
		t.Errorf("%d segments were begun", n)
	}
}
