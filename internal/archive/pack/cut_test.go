package pack

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"stretcher/internal/archive/index"
)

// shared is how much of the members of one archive is in another, as a part.
func shared(a, b *index.Index) float64 {
	has := map[index.Sum]bool{}
	for i := range a.Members {
		has[a.Members[i].Sum] = true
	}
	found := 0
	for i := range b.Members {
		if has[b.Members[i].Sum] {
			found += b.Members[i].Length
		}
	}
	return float64(found) / float64(b.Size)
}

// TestPieces holds that two versions of a large file have most of their pieces
// in common, wherever they differ.
func TestPieces(t *testing.T) {
	const size = 4 << 20
	noise := make([]byte, size) // which compressors are done with soon
	rnd := rand.NewPCG(3, 4)
	for i := range noise {
		noise[i] = byte(rnd.Uint64())
	}
	content := string(noise)
	for name, c := range compressions {
		dir := t.TempDir()
		version := func(content string, at int64) *index.Index {
			file := filepath.Join(dir, "large")
			check(t, os.WriteFile(file, []byte(content), 0o644))
			check(t, os.Chtimes(file, time.Time{}, time.Unix(at, 0)))
			check(t, os.Chtimes(dir, time.Time{}, time.Unix(at, 0)))
			_, res, err := pack(t, dir, Options{Compression: c})
			check(t, err)
			return res.Index
		}
		first := version(content, 1e9)
		for what, other := range map[string]*index.Index{
			"another time":         version(content, 2e9),
			"something in front":   version("package large\n"+content, 1e9),
			"something in between": version(content[:size/3]+"x"+content[size/3:], 1e9),
			"something gone":       version(content[100:], 1e9),
			"something at the end": version(content+"// end\n", 1e9),
		} {
			if got := shared(first, other); got < 0.75 {
				t.Errorf("%s, %s: %.2f of it are the same", name, what, got)
			}
		}
		for i := range first.Members {
			if n := first.Members[i].Unpacked; n > maxPiece {
				t.Errorf("%s: a piece of %d bytes", name, n)
			}
		}
	}
}

// TestGroups holds that the groups of small files are the same again soon behind
// files that are longer now.
func TestGroups(t *testing.T) {
	for name, c := range compressions {
		dir := t.TempDir()
		rnd := rand.New(rand.NewPCG(5, 6))
		files := map[string]string{}
		for i := range 900 {
			files[fmt.Sprintf("d%d/f%d", i/90, i)] = text(rnd, 500+rnd.IntN(7000))
		}
		plant(t, dir, files)
		_, before, err := pack(t, dir, Options{Compression: c})
		check(t, err)
		longer := map[string]string{}
		for i := range 5 {
			longer[fmt.Sprintf("d%d/f%d", 2*i, 180*i+7)] = text(rnd, 9000+rnd.IntN(9000))
		}
		plant(t, dir, longer)
		_, after, err := pack(t, dir, Options{Compression: c})
		check(t, err)
		if got := shared(before.Index, after.Index); got < 0.75 {
			t.Errorf("%s: %.2f of it are the same", name, got)
		}
	}
}
