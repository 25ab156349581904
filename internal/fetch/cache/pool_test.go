package cache

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"stretcher/internal/disk"
	"stretcher/internal/testparts"
	"stretcher/internal/testparts/again"
)

// sumOf is the n-th checksum of these tests.
func sumOf(n int) string { return fmt.Sprintf("sha256:%064x", n) }

func poolIn(t *testing.T, dir string, max int64) *Pool {
	t.Helper()
	p, err := OpenPool(dir, max)
	must(t, err)
	t.Cleanup(func() { _ = p.Close() })
	p.Warn = func(err error) { t.Errorf("warning: %v", err) }
	return p
}

func newPool(t *testing.T, max int64) *Pool {
	t.Helper()
	return poolIn(t, filepath.Join(t.TempDir(), "state", "archives"), max)
}

// add puts an archive of size bytes.
func (p *Pool) add(t *testing.T, n, size int) {
	t.Helper()
	f, err := disk.Unnamed(p.root)
	must(t, err)
	defer f.Close()
	_, err = f.Write(bytes.Repeat([]byte{byte(n)}, size))
	must(t, err)
	must(t, p.Put(sumOf(n), Whole(f)))
}

// here are the numbers of the archives that are here.
func (p *Pool) here(t *testing.T) (text string) {
	t.Helper()
	for n := range 100 {
		if _, err := os.Lstat(p.at(n)); err == nil {
			text += fmt.Sprint(n, " ")
		}
	}
	return strings.TrimSpace(text)
}

func (p *Pool) at(n int) string {
	return filepath.Join(p.Path(), strings.Replace(sumOf(n), ":", "-", 1))
}

func TestPoolTakesRoomOnce(t *testing.T) {
	state := t.TempDir()
	p := poolIn(t, state+"/archives", 1<<20)
	s, err := Open(state + "/cache")
	must(t, err)
	f, err := disk.Unnamed(p.root)
	must(t, err)
	defer f.Close()
	_, err = f.WriteString("an archive")
	must(t, err)
	must(t, p.Put(sumOf(1), Whole(f)))
	must(t, p.Put(sumOf(1), Whole(f)))
	must(t, s.Put(t.Context(), Entry{Run: "a", Dest: "/d", Checksum: sumOf(1)}, nil, Whole(f)))
	again, ok := p.Archive(sumOf(1))
	kept, err := os.Stat(state + "/cache/a/archive")
	must(t, err)
	if info, err := again.base.Stat(); err != nil || !os.SameFile(info, kept) || info.Mode() != 0o600 {
		t.Errorf("the entry's archive is another file, %v", err)
	}
	if got := text(t, again, ok); got != "an archive" {
		t.Errorf("archive: %q", got)
	}
	must(t, p.Trim(1<<30)) // it takes no room of its own
	must(t, s.Prune("/d", 0, nil))
	left, ok := p.Archive(sumOf(1))
	if got := text(t, left, ok); got != "an archive" {
		t.Errorf("when the entry has gone: %q", got)
	}
	must(t, p.Trim(1<<30))
	if got := p.here(t); got != "" {
		t.Errorf("left: %s", got)
	}
}

func TestPoolIsBounded(t *testing.T) {
	p := newPool(t, 100)
	for n := range 3 {
		p.add(t, n, 30)
		old := time.Now().Add(time.Duration(n-10) * time.Hour)
		must(t, os.Chtimes(p.at(n), old, old))
	}
	used, ok := p.Archive(sumOf(0)) // it is the youngest by now
	text(t, used, ok)
	p.add(t, 3, 50)
	if got := p.here(t); got != "0 3" {
		t.Errorf("left: %s", got)
	}
	f, err := disk.Unnamed(p.root)
	must(t, err)
	defer f.Close()
	must(t, f.Truncate(101))
	if err := p.Put(sumOf(4), Whole(f)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("err = %v", err)
	}
	must(t, p.PutIndex(sumOf(5), bytes.Repeat([]byte("i"), 20)))
	if got := p.here(t); got != "0 3" {
		t.Errorf("left: %s", got)
	}
	must(t, p.PutIndex(sumOf(5), bytes.Repeat([]byte("j"), 21)))
	if got := p.here(t); got != "3" {
		t.Errorf("left: %s", got)
	}
	f, ok = p.Index(sumOf(5))
	if got := text(t, f, ok); got != strings.Repeat("j", 21) {
		t.Errorf("index: %q", got)
	}
}

// No pool holds nothing, and so does one of somebody who only looks.
func TestNoPool(t *testing.T) {
	none, err := OpenPool(t.TempDir()+"/none", 0)
	if none != nil || err != nil {
		t.Fatalf("%v, %v", none, err)
	}
	f := file(t, "x")
	must(t, errors.Join(none.Put(sumOf(1), Whole(f)), none.PutIndex(sumOf(1), nil), none.Drop(sumOf(1)), none.Trim(0),
		none.Close()))
	_, archive := none.Archive(sumOf(1))
	if _, index := none.Index(sumOf(1)); archive || index || none.Path() != "" {
		t.Error("there is something")
	}
	p := newPool(t, 100)
	p.add(t, 1, 10)
	before, err := os.Stat(p.at(1))
	must(t, err)
	reading, err := OpenPoolReading(p.Path())
	must(t, err)
	must(t, errors.Join(reading.Put(sumOf(2), Whole(f)), reading.PutIndex(sumOf(2), nil), reading.Drop(sumOf(1))))
	got, ok := reading.Archive(sumOf(1))
	text(t, got, ok)
	if after, err := os.Stat(p.at(1)); err != nil || !ok || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("who only looks changes it: %v", err)
	}
}

func TestPoolNames(t *testing.T) {
	p := newPool(t, 100)
	f := file(t, "x")
	long := "sha256:" + strings.Repeat("0", 200)
	for _, sum := range []string{"", "x", "../x", "sha256:", "sha256:..", "sha256:0/0", long} {
		if p.Put(sum, Whole(f)) == nil || p.PutIndex(sum, nil) == nil {
			t.Errorf("%q is taken", sum)
		}
		if _, ok := p.Archive(sum); ok || p.Drop(sum) == nil {
			t.Errorf("%q is there", sum)
		}
	}
}

// What is there by the name of an archive, and is none that the caller can
// trust, goes with one warning; what it leads to stays.
func TestPoolDropsWhatIsNoArchive(t *testing.T) {
	const nobody = 65534
	other := filepath.Join(t.TempDir(), "other")
	must(t, os.WriteFile(other, []byte("other"), 0o600))
	for name, spoil := range map[string]func(path string) error{
		"symlink":   func(path string) error { return relink(other, path) },
		"directory": func(path string) error { return errors.Join(os.Remove(path), os.MkdirAll(path+"/below", 0o700)) },
		"fifo":      func(path string) error { return errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)) },
		"writable":  func(path string) error { return os.Chmod(path, 0o660) },
		"foreign":   func(path string) error { return os.Lchown(path, nobody, nobody) },
	} {
		t.Run(name, func(t *testing.T) {
			if name == "foreign" && os.Getuid() != 0 {
				t.Skip("only root can give files away")
			}
			p := newPool(t, 100)
			p.add(t, 1, 10)
			must(t, spoil(p.at(1)))
			warned := ""
			p.Warn = func(err error) { warned += err.Error() + "\n" }
			if f, ok := p.Archive(sumOf(1)); ok || f != nil {
				t.Error("it is taken")
			}
			if strings.Count(warned, "\n") != 1 || !strings.Contains(warned, p.at(1)) {
				t.Errorf("warnings: %q", warned)
			}
			if got := p.here(t); got != "" {
				t.Errorf("left: %s", got)
			}
			if got, err := os.ReadFile(other); string(got) != "other" || err != nil {
				t.Errorf("what it led to: %q, %v", got, err)
			}
			p.Warn = nil
			p.add(t, 1, 10)
			must(t, spoil(p.at(1)))
			p.add(t, 1, 10) // or it is in the way
			f, ok := p.Archive(sumOf(1))
			if got := text(t, f, ok); name != "writable" && len(got) != 10 {
				t.Errorf("added again: %q", got)
			}
		})
	}
}

// What another run has put in the place of a bad one stays.
func TestPoolDrop(t *testing.T) {
	p := newPool(t, 100)
	p.add(t, 1, 10)
	bad, ok := p.Archive(sumOf(1))
	if !ok {
		t.Fatal("it is not there")
	}
	defer bad.Close()
	must(t, p.Drop(sumOf(1)))
	must(t, p.DropFile(bad.base))
	p.add(t, 1, 10)
	must(t, p.DropFile(bad.base))
	if got := p.here(t); got != "1" {
		t.Errorf("left: %q", got)
	}
}

// A full file system: what is here makes room for what is put, and never takes
// more than what it leaves free.
func TestPoolOnSmallDisk(t *testing.T) {
	dir := t.TempDir()
	testparts.Mount(t, "tmpfs", dir, "tmpfs", 0, "size=64m")
	p := poolIn(t, dir+"/archives", 1<<30)
	for n := range 8 {
		p.add(t, n, 8<<20)
		old := time.Now().Add(time.Duration(n-10) * time.Hour)
		must(t, os.Chtimes(p.at(n), old, old))
	}
	if got := p.here(t); got != "7" { // ten times 8 MiB are not there
		t.Errorf("left: %s", got)
	}
	p.add(t, 8, 1<<20)
	small, ok := p.Archive(sumOf(8))
	if p.Spare(small.base); !ok || p.here(t) != "7 8" {
		t.Errorf("left: %s", p.here(t))
	}
	large, ok := p.Archive(sumOf(7))
	if p.Spare(large.base); !ok || p.here(t) != "" {
		t.Errorf("left: %s", p.here(t))
	}
	must(t, errors.Join(small.Close(), large.Close()))
	p.add(t, 8, 1<<20)
	if !p.GiveWay(disk.ErrNoRoom) || p.GiveWay(disk.ErrNoRoom) || p.here(t) != "" {
		t.Errorf("left: %s", p.here(t))
	}
	must(t, os.WriteFile(dir+"/others", make([]byte, 40<<20), 0o600))
	f, err := disk.Unnamed(p.root)
	must(t, err)
	defer f.Close()
	must(t, f.Truncate(8<<20))
	if err := p.Put(sumOf(9), Whole(f)); !errors.Is(err, disk.ErrNoRoom) {
		t.Errorf("err = %v", err)
	}
	elsewhere := file(t, strings.Repeat("x", 8<<20)) // is copied
	if err := p.Put(sumOf(9), Whole(elsewhere)); !errors.Is(err, disk.ErrNoRoom) {
		t.Errorf("err = %v", err)
	}
	if left, err := os.ReadDir(p.Path()); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// fill is another process: DIR N. It puts archives and an index, some in pieces, takes some, and
// drops one now and then; N rounds, none = until it is killed. What it gets is
// whole. After each round it says so.
func fill(args []string) error {
	p, err := OpenPool(args[0], int64(len(content("0")))*4)
	if err != nil {
		return err
	}
	var warned error
	p.Warn = func(err error) { warned = err }
	n := 1 << 30
	if len(args) > 1 {
		if _, err := fmt.Sscan(args[1], &n); err != nil {
			return err
		}
	}
	for i := range n {
		k := rand.IntN(6)
		f, err := disk.Unnamed(p.root)
		if i%3 == 0 { // to be copied
			f, err = os.CreateTemp("", "")
		}
		if err != nil {
			return err
		}
		if i%3 == 0 {
			err = errors.Join(f.Chmod(0o644), os.Remove(f.Name()))
		}
		_, werr := f.Write(content(fmt.Sprint(k)))
		index := p.PutIndex(sumOf(k), content(fmt.Sprint(k))[:1000])
		a := Whole(f)
		if before, ok := p.Archive(sumOf(rand.IntN(6))); ok && i%4 == 1 {
			a, err = inPieces(p.root, before, content(fmt.Sprint(k)))
			err = errors.Join(err, before.Close())
		}
		if err := errors.Join(err, werr, p.Put(sumOf(k), a), a.Close(), index); err != nil {
			return err
		}
		if err := p.check(rand.IntN(6)); err != nil {
			return err
		}
		if i%5 == 0 {
			if err := errors.Join(p.Drop(sumOf(rand.IntN(6))), p.Trim(0)); err != nil {
				return err
			}
		}
		fmt.Println(i)
	}
	return warned
}

// check reads what is here by a number.
func (p *Pool) check(n int) error {
	whole := content(fmt.Sprint(n))
	index := func(sum string) (*Archive, bool) {
		f, ok := p.Index(sum)
		return Whole(f), ok
	}
	for _, one := range []struct {
		open func(string) (*Archive, bool)
		want []byte
	}{{p.Archive, whole}, {index, whole[:1000]}} {
		f, ok := one.open(sumOf(n))
		if !ok {
			continue
		}
		got, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<40))
		_ = f.Close()
		if err != nil || !bytes.Equal(got, one.want) {
			return fmt.Errorf("%s holds %d bytes, %w", sumOf(n), len(got), err)
		}
	}
	return nil
}

func TestPoolOfManyProcesses(t *testing.T) {
	p := newPool(t, 1<<20)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if out, err := again.Command("pool", p.Path(), "20").CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	all.Wait()
	for n := range 6 {
		if err := p.check(n); err != nil {
			t.Error(err)
		}
	}
}

// Whenever a process is killed, what is seen is whole, and the rest is swept.
func TestPoolKilled(t *testing.T) {
	p := newPool(t, 1<<20)
	for range 20 {
		cmd := again.Command("pool", p.Path())
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		if _, err := out.Read(make([]byte, 1)); err != nil {
			t.Fatalf("the child says nothing: %v", err)
		}
		time.Sleep(time.Duration(rand.IntN(10_000)) * time.Microsecond)
		must(t, cmd.Process.Kill())
		_ = cmd.Wait()
		if !cmd.ProcessState.Sys().(syscall.WaitStatus).Signaled() {
			t.Fatalf("child ended with %v", cmd.ProcessState)
		}
		for n := range 6 {
			if err := p.check(n); err != nil {
				t.Error(err)
			}
		}
	}
	must(t, os.WriteFile(p.Path()+"/.new-LEFT", nil, 0o600))
	held, err := os.Create(p.Path() + "/.new-HELD")
	must(t, err)
	defer held.Close()
	must(t, syscall.Flock(int(held.Fd()), syscall.LOCK_EX))
	old := time.Now().Add(-time.Hour)
	left, err := filepath.Glob(p.Path() + "/.*")
	must(t, err)
	for _, name := range left {
		must(t, os.Chtimes(name, old, old))
	}
	p.Sweep()
	if left, _ := filepath.Glob(p.Path() + "/.*"); len(left) != 1 || filepath.Base(left[0]) != ".new-HELD" {
		t.Errorf("left after the sweep: %q", left)
	}
}
