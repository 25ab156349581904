package mirror

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"stretcher/internal/archive"
)

// manyFiles is a tree of n files of 2 KiB, ten to a directory. Of each
// hundred files, one is of another version.
func manyFiles(n, version int) []node {
	tree := []node{{mode: fs.ModeDir | 0o755, uid: os.Getuid(), gid: os.Getgid(), mtime: 1e18}}
	add := func(path string, mode fs.FileMode, v int) {
		m := tree[0]
		m.path, m.mode, m.mtime = path, mode, m.mtime+int64(v)*1e9
		if mode.IsRegular() {
			m.data = strings.Repeat(string(rune('a'+v)), 2048)
		}
		tree = append(tree, m)
	}
	for i := range n {
		dir := fmt.Sprintf("d%d", i/100)
		if i%100 == 0 {
			add(dir, fs.ModeDir|0o755, 0)
		}
		dir = fmt.Sprintf("%s/e%d", dir, i/10%10)
		if i%10 == 0 {
			add(dir, fs.ModeDir|0o755, 0)
		}
		v := 0
		if i%100 == 0 {
			v = version
		}
		add(fmt.Sprintf("%s/file-%05d.txt", dir, i), 0o644, v)
	}
	return tree
}

// deployment is one run of all three parts.
func deployment(b testing.TB, tarred []byte, dest, dir string, opts Options) *Plan {
	s := &scope{TB: b}
	defer s.close()
	entries, err := scan(s, tarred, dest, dir, &opts)
	check(b, err)
	plan, err := Compare(context.Background(), entries, place(s, dest), opts)
	check(b, err)
	check(b, plan.Apply(context.Background(), place(s, dir)))
	return plan
}

// BenchmarkDeploy scans an uncompressed archive of 15 000 files and applies it.
func BenchmarkDeploy(b *testing.B) {
	const files = 15000
	tars := [2][]byte{tarball(b, manyFiles(files, 0)), tarball(b, manyFiles(files, 1))}
	for _, x := range []struct {
		name  string
		opts  Options
		fresh bool
		tar   func(i int) []byte
	}{
		{"first", Options{Owners: true}, true, func(int) []byte { return tars[0] }},
		{"same", Options{Owners: true}, false, func(int) []byte { return tars[0] }},
		{"same by checksum", Options{Owners: true, Checksum: true}, false, func(int) []byte { return tars[0] }},
		{"one percent", Options{Owners: true}, false, func(i int) []byte { return tars[(i+1)%2] }},
	} {
		b.Run(x.name, func(b *testing.B) {
			top := tempDir(b)
			dest, dir := filepath.Join(top, "dest"), filepath.Join(top, "staging")
			deployment(b, tars[0], dest, dir, x.opts)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				b.StopTimer()
				if x.fresh {
					check(b, removeAll(dest))
				}
				check(b, removeAll(dir))
				b.StartTimer()
				deployment(b, x.tar(i), dest, dir, x.opts)
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/files, "µs/file")
		})
	}
}

// BenchmarkCompare is the comparison alone, of 15 000 files that are the same.
func BenchmarkCompare(b *testing.B) {
	dest := filepath.Join(tempDir(b), "dest")
	plant(b, dest, manyFiles(15000, 0))
	entries, err := FromDir(context.Background(), rootAt(b, dest))
	check(b, err)
	at := place(b, dest)
	b.ReportAllocs()
	for b.Loop() {
		plan, err := Compare(context.Background(), entries, at, Options{Owners: true, Quick: true})
		if err != nil || len(plan.steps) > 0 {
			b.Fatal(plan, err)
		}
	}
}

// TestMemory bounds what a plan and its making hold besides the table: most
// when each file is a step of its own.
func TestMemory(t *testing.T) {
	const files, most = 100000, 8 << 20
	dest := tempDir(t)
	entries := []archive.Entry{{Mode: fs.ModeDir | 0o755}}
	for i := range files {
		entries = append(entries, archive.Entry{Path: fmt.Sprintf("file-%06d", i), Mode: 0o644, Size: 1})
	}
	before := heap()
	plan, err := Compare(context.Background(), entries, place(t, dest), Options{Quick: true})
	check(t, err)
	if n := heap() - before; n > most {
		t.Errorf("the plan for %d files takes %d bytes, want at most %d", files, n, most)
	}
	if n := len(plan.Changes()); n != files+1 { // and the mode of dest
		t.Errorf("%d changes, want %d", n, files+1)
	}
	runtime.KeepAlive(entries)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestDescriptors finds what is left open.
func TestDescriptors(t *testing.T) {
	top := tempDir(t)
	dest, dir := filepath.Join(top, "dest"), filepath.Join(top, "staging")
	count := func() int {
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		return len(fds)
	}
	before := count()
	for _, words := range []string{"a/ a/b/ a/b/c=x h==a/b/c", "a=x", "a/ a/l->x a/c=y"} {
		deployment(t, tarball(t, parse(t, words)), dest, dir, Options{Checksum: true})
		check(t, os.RemoveAll(dir))
	}
	if after := count(); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}
