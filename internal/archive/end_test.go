package archive

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestEnds holds for each way to cut an archive, or to end it, what compat
// makes of it, and that GNU tar unpacks it, too, where compat does. Strict
// takes none but a whole one.
func TestEnds(t *testing.T) {
	gnu := tool(t, "tar", "GNU tar")
	f := bare(ent{name: "f", data: "hello"})
	zero := make([]byte, blockSize)
	x := bare(ent{name: "x", typ: 'x', data: paxRecord("path", "renamed")})
	const unmarked, lone = "archive ends without its end marker", "a lone block of zeros ends the archive"
	for _, c := range []struct {
		name      string
		b         []byte
		warn, err string // of compat
	}{
		{"whole", slices.Concat(f, zero, zero), "", ""},
		{"more zeros", slices.Concat(f, zero, zero, zero, zero[:7]), "", ""},
		{"no marker", f, unmarked, ""},
		{"half a marker", slices.Concat(f, zero), unmarked, ""},
		{"inside the first block of the marker", slices.Concat(f, zero[:6]), unmarked, ""},
		{"inside the second block of the marker", slices.Concat(f, zero, zero[:4]), unmarked, ""},
		{"lone block", slices.Concat(f, zero, bare(ent{name: "g"}), zero, zero), lone, ""},
		{"lone block and a part of one", slices.Concat(f, zero, f[:100]), lone, ""},
		{"marker behind a header of nothing", slices.Concat(f, x, zero, zero),
			"the last header of the archive has no entry", ""},
		{"data after the marker", slices.Concat(f, zero, zero, f), "data follows the end of the archive", ""},
		{"inside the padding", f[:600], "", `truncated after entry "f"`},
		{"one byte of padding short", f[:len(f)-1], "", `truncated after entry "f"`},
		{"inside the content", f[:515], "", "archive is truncated"},
		{"inside a header", slices.Concat(f, f[:300]), "", `truncated after entry "f"`},
		{"behind a header of nothing", slices.Concat(f, x), "", `truncated after entry "f"`},
		{"inside the padding of a header of nothing", slices.Concat(f, x[:len(x)-1]), "", `truncated after entry "f"`},
		{"zeros behind a header of nothing", slices.Concat(f, x, zero[:9]), "", `truncated after entry "f"`},
		{"only a header of nothing", x, "", "truncated before its first entry"},
		{"nothing but a lone block", slices.Concat(zero, f), "", "not a tar archive"},
		{"a few zeros", zero[:99], "", "not a tar archive"},
		{"only a marker", slices.Concat(zero, zero), "", ""},
	} {
		for _, format := range []string{"tar", "gzip"} {
			t.Run(c.name+"/"+format, func(t *testing.T) {
				b := compress(t, format, c.b)
				var warned []string
				_, _, err := unpack(t, b, Options{Warn: func(msg string) { warned = append(warned, msg) }})
				switch all := strings.Join(warned, "\n"); {
				case c.err != "" && (!errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), c.err)):
					t.Errorf("got %v, want %q", err, c.err)
				case c.err == "" && (err != nil || !strings.HasPrefix(all, c.warn) || (all == "") != (c.warn == "")):
					t.Errorf("got %v, warned %q, want %q", err, all, c.warn)
				}
				if err == nil {
					mustUnpack(t, gnu, c.b)
				}
				_, _, err = unpack(t, b, Options{Mode: Strict})
				if whole := c.warn+c.err == ""; errors.Is(err, ErrMalformed) == whole || whole && err != nil {
					t.Errorf("strict: %v", err)
				}
			})
		}
	}
}

func mustUnpack(t *testing.T, gnu string, b []byte) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "a.tar")
	check(t, os.WriteFile(file, b, 0o644))
	if out, err := exec.Command(gnu, "-xf", file, "-C", t.TempDir()).CombinedOutput(); err != nil {
		t.Errorf("GNU tar: %v: %s", err, out)
	}
}

// TestLoneBlockEnds holds that nothing behind it is unpacked.
func TestLoneBlockEnds(t *testing.T) {
	b := slices.Concat(bare(ent{name: "f"}), make([]byte, blockSize), bare(ent{name: "g"}))
	dir, _, err := unpack(t, b, Options{})
	check(t, err)
	if names, _ := os.ReadDir(dir); len(names) != 1 || bytes.Contains([]byte(names[0].Name()), []byte("g")) {
		t.Errorf("got %v", names)
	}
}
