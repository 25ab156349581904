package runlog

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSpoolSpillsAndSnapshots(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	s := NewSpool(nil)
	line := bytes.Repeat([]byte("0123456789abcde\n"), 1024)
	var want int64
	for range 40 { // 640 KiB
		_, _ = s.Write(line)
		want += int64(len(line))
	}
	snapshot := s.SoFar()
	_, _ = s.Write([]byte("later"))
	b, err := io.ReadAll(snapshot)
	if err != nil || int64(len(b)) != want || bytes.Contains(b, []byte("later")) {
		t.Errorf("snapshot of %d bytes, want %d; err = %v", len(b), want, err)
	}
	if s.file == nil {
		t.Error("nothing was spilled")
	}
	left, _ := filepath.Glob(os.Getenv("TMPDIR") + "/.*log*")
	if len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestSpoolWithoutRoomForAFile(t *testing.T) {
	t.Setenv("TMPDIR", "/no/such/directory")
	s := NewSpool(nil)
	for range 3 * spoolLost / 1000 {
		if n, err := s.Write(make([]byte, 1000)); n != 1000 || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
	}
	if s.Size() != spoolLost {
		t.Errorf("kept %d bytes, want %d", s.Size(), spoolLost)
	}
}

func TestSpoolInANamedFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "run.log")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	l := New(Options{Spool: NewSpool(f)})
	l.Info("kept")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile(name)
	if !bytes.HasSuffix(b, []byte(" kept\n")) {
		t.Errorf("file holds %q", b)
	}
}

func TestKeepMovesTheLogToAFile(t *testing.T) {
	for _, before := range []int{1, 3 * spoolMemory} {
		l := New(Options{})
		l.Info(strings.Repeat("x", before))
		name := filepath.Join(t.TempDir(), "run.log")
		f, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		l.Keep(f)
		l.Info("after")
		want := soFar(t, l)
		b, err := os.ReadFile(name)
		if err != nil || string(b) != want || strings.Count(want, "\n") != 2 || !strings.HasSuffix(want, " after\n") {
			t.Errorf("file has %d bytes, the log %d; err = %v", len(b), len(want), err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestSpoolReadAt reads any part of a spool, of which some is in a file and some in
// memory.
func TestSpoolReadAt(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "run.log"))
	if err != nil {
		t.Fatal(err)
	}
	s := NewSpool(f)
	_, _ = s.Write([]byte("in the file, "))
	s.keep([]byte("in memory"))
	all, _ := io.ReadAll(s.SoFar())
	for from := range len(all) + 1 {
		for to := from; to <= len(all); to++ {
			got := make([]byte, to-from)
			if n, err := s.ReadAt(got, int64(from)); n != to-from || err != nil || !bytes.Equal(got, all[from:to]) {
				t.Errorf("%d to %d: %q, %v", from, to, got[:n], err)
			}
		}
		if n, err := s.ReadAt(make([]byte, 99), int64(from)); n != len(all)-from || err != io.EOF {
			t.Errorf("from %d: %d bytes, %v", from, n, err)
		}
	}
}
