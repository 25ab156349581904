package cli

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"stretcher/internal/text/printable"
)

// TestCopyLines: each line is escaped as a whole, wherever it is cut for its
// length.
func TestCopyLines(t *testing.T) {
	for _, line := range []string{
		"", "short", "tab\there", "\x1b[31mred", "é€😀", "\xf0\x9f\x98", "\xff", "\u202e", "\x80\x80\x80\x80\x80", "\r",
	} {
		for pad := 4080; pad <= 4100; pad++ {
			text := strings.Repeat("x", pad) + line
			for _, in := range []string{text, text + "\n", text + text + "\n" + line + "\n"} {
				var want []byte
				for i, l := range strings.Split(in, "\n") {
					if i > 0 {
						want = append(want, '\n')
					}
					want = printable.AppendLine(want, l)
				}
				var got bytes.Buffer
				if err := copyLines(&got, strings.NewReader(in)); err != nil || !bytes.Equal(got.Bytes(), want) {
					t.Fatalf("%q after %d bytes: %v, %q", line, pad, err, got.Bytes()[max(0, got.Len()-50):])
				}
			}
		}
	}
	var got bytes.Buffer
	err := copyLines(&got, io.MultiReader(strings.NewReader("begun"), iotest.ErrReader(io.ErrUnexpectedEOF)))
	if err == nil || got.String() != "begun" {
		t.Errorf("%q, %v", got.String(), err)
	}
}

// gauge tells how much has been read that was not written yet.
type gauge struct {
	left, read, written, most int
}

func (g *gauge) Read(p []byte) (int, error) {
	n := copy(p, bytes.Repeat([]byte("x"), min(len(p), g.left)))
	g.left, g.read = g.left-n, g.read+n
	g.most = max(g.most, g.read-g.written)
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (g *gauge) Write(p []byte) (int, error) {
	g.written += len(p)
	return len(p), nil
}

// TestCopyLongLine: a line of any length is never held whole.
func TestCopyLongLine(t *testing.T) {
	g := &gauge{left: 10 << 20}
	if err := copyLines(g, g); err != nil || g.written != 10<<20 || g.most > 64<<10 {
		t.Errorf("%v: %d bytes written, %d held", err, g.written, g.most)
	}
}
