package rsync

import (
	"archive/tar"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stretcher/internal/archive"
	"stretcher/internal/strategy"
	"stretcher/internal/strategy/strategytest"
	"stretcher/internal/testparts"
)

const stranger = 47001 // a uid that owns nothing else

// file is an entry of an archive.
type file struct {
	name       string
	mode       int64
	owner, gid int
	seconds    int64 // of its time, after that of all
}

func packed(t *testing.T, files ...file) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "archive"))
	must(t, err)
	t.Cleanup(func() { _ = f.Close() })
	tw := tar.NewWriter(f)
	for _, x := range files {
		h := &tar.Header{Name: x.name, Mode: x.mode, Uid: x.owner, Gid: x.gid, ModTime: time.Unix(499162500+x.seconds, 0)}
		if !strings.HasSuffix(x.name, "/") {
			h.Size = 4
		} else {
			h.Typeflag = tar.TypeDir
		}
		must(t, tw.WriteHeader(h))
		if h.Size > 0 {
			_, err := io.WriteString(tw, "good")
			must(t, err)
		}
	}
	must(t, tw.Close())
	return f
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// deploy deploys an archive as that of a known one, and gives the log.
func deploy(t *testing.T, w *strategytest.World, file *os.File, change func(*strategy.Target)) string {
	t.Helper()
	w.Log = strategytest.Log{}
	s := w.New(file, change)
	must(t, s.Check())
	staged, err := s.Stage(context.Background(), archive.FileInput(file, false))
	must(t, err)
	defer staged.Close()
	must(t, s.Sync(context.Background(), &staged))
	return strings.Join(w.Log.Lines, "\n")
}

// TestNeverBlessed: a stranger's file of the right size and time does not
// become root's, nor a setuid program.
func TestNeverBlessed(t *testing.T) {
	testparts.Need(t, "rsync")
	if os.Geteuid() != 0 {
		t.Skip("takes root")
	}
	const owner = stranger + 1
	helper, other := file{"bin/helper", 0o4755, 0, 0, 1}, file{"bin/helper", 0o755, owner, owner, 1}
	right := func(bin string) error { return os.Chown(bin+"/helper", owner, owner) }
	for name, x := range map[string]struct {
		dir    file
		helper file
		plant  func(bin string) error
	}{
		// The planted file is not there yet when dest is looked at.
		"directory of somebody else": {file{"bin/", 0o755, stranger, stranger, 0}, other, right},
		"and of a group":             {file{"bin/", 0o775, stranger, stranger, 0}, other, right},
		"and of all":                 {file{"bin/", 0o777, owner, owner, 0}, other, right},
		"directory that was somebody else's": {file{"bin/", 0o755, owner, owner, 0}, other, func(bin string) error {
			return errors.Join(right(bin), os.Chown(bin, stranger, stranger))
		}},
		"directory with an ACL": {file{"bin/", 0o775, 0, 0, 0}, helper, func(bin string) error {
			return errors.Join(os.Chown(bin+"/helper", 0, 0), os.Chmod(bin+"/helper", 0o755|os.ModeSetuid),
				letIn(bin, "access"), os.Chmod(bin, 0o775))
		}},
		"setuid in his directory": {file{"bin/", 0o755, stranger, stranger, 0}, helper, nil},
		"owner in his directory":  {file{"bin/", 0o755, stranger, stranger, 0}, file{"bin/helper", 0o755, 0, 0, 1}, nil},
		"directory of all":        {file{"bin/", 0o777, 0, 0, 0}, helper, nil},
		"directory of a group":    {file{"bin/", 0o775, 0, stranger, 0}, helper, nil},
		"directory that was his": {file{"bin/", 0o755, 0, 0, 0}, helper, func(bin string) error {
			return os.Chown(bin, stranger, stranger)
		}},
		"file that was his": {file{"bin/", 0o755, 0, 0, 0}, helper, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := strategytest.NewWorld(t, strategytest.Case{Definition: Definition(), Keeps: strategy.Archive})
			must(t, os.MkdirAll(w.Dest, 0o755))
			bin := filepath.Join(w.Dest, "bin")
			must(t, os.MkdirAll(bin, 0o755))
			planted := filepath.Join(bin, "helper")
			must(t, os.WriteFile(planted, []byte("evil"), 0o755))
			must(t, os.Chtimes(planted, time.Time{}, time.Unix(499162501, 0)))
			must(t, os.Chown(planted, stranger, stranger))
			if x.plant != nil {
				must(t, x.plant(bin))
			}
			theirs, err := os.OpenFile(planted, os.O_RDWR, 0)
			must(t, err)
			defer theirs.Close()
			log := deploy(t, w, packed(t, x.dir, x.helper, file{"other", 0o644, 0, 0, 2}), nil)
			if !strings.Contains(log, "--ignore-times") || !strings.Contains(log, "--temp-dir") {
				t.Errorf("log:\n%s", log)
			}
			_, err = theirs.WriteAt([]byte("EVIL"), 0)
			must(t, err)
			data, err := os.ReadFile(planted)
			must(t, err)
			var st unix.Stat_t
			must(t, unix.Lstat(planted, &st))
			if string(data) != "good" || int(st.Uid) != x.helper.owner || int64(st.Mode&0o7777) != x.helper.mode {
				t.Errorf("%q of %d, mode %o", data, st.Uid, st.Mode&0o7777)
			}
			// Nothing temporary is left in dest.
			if left, _ := filepath.Glob(w.Dest + "/.*"); left != nil {
				t.Errorf("left: %q", left)
			}
		})
	}
}

// TestDeepDest: what is deeper in dest than rsync can go is removed before it.
func TestDeepDest(t *testing.T) {
	testparts.Need(t, "rsync")
	w := strategytest.NewWorld(t, strategytest.Case{Definition: Definition(), Keeps: strategy.Archive})
	must(t, os.MkdirAll(w.Dest, 0o755))
	testparts.Nest(t, w.Dest, strings.Repeat("d", 100), 300)
	deploy(t, w, packed(t, file{"a", 0o644, os.Getuid(), os.Getgid(), 1}), nil)
	if names, err := filepath.Glob(w.Dest + "/*"); err != nil || len(names) != 1 {
		t.Errorf("left: %.200q, %v", names, err)
	}
}

// letIn gives a directory an ACL by which a stranger may write.
func letIn(dir, kind string) error {
	const none = ^uint32(0)
	acl := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range [][3]uint32{{1, 7, none}, {2, 7, stranger}, {4, 5, none}, {16, 7, none}, {32, 5, none}} {
		acl = binary.LittleEndian.AppendUint16(acl, uint16(e[0]))
		acl = binary.LittleEndian.AppendUint16(acl, uint16(e[1]))
		acl = binary.LittleEndian.AppendUint32(acl, e[2])
	}
	return unix.Setxattr(dir, "system.posix_acl_"+kind, acl, 0)
}

// TestStrangersByInheritance: a directory that is new has the ACL that the one
// above it hands on.
func TestStrangersByInheritance(t *testing.T) {
	for _, kind := range []string{"", "access", "default"} {
		dest, err := os.OpenRoot(t.TempDir())
		must(t, err)
		defer dest.Close()
		if kind != "" {
			// The file system of temporary files is the machine's choice, and not
			// every one has ACLs: no installed part would help.
			if err := letIn(dest.Name(), kind); errors.Is(err, unix.EOPNOTSUPP) {
				t.Skip("no ACLs here")
			} else {
				must(t, err)
			}
		}
		must(t, os.Chmod(dest.Name(), 0o755))
		got := strangers(dest, []archive.Entry{
			{Mode: fs.ModeDir | 0o755}, {Path: "bin", Mode: fs.ModeDir | 0o775}, {Path: "bin/f", Mode: 0o755},
		})
		if want := map[string]string{"default": "bin/f"}[kind]; got != want && os.Geteuid() == 0 {
			t.Errorf("%q: got %q, want %q", kind, got, want)
		}
	}
}

// TestUnknownDest: of a dest that can't be compared, nothing is kept.
func TestUnknownDest(t *testing.T) {
	testparts.Need(t, "rsync")
	if os.Geteuid() != 0 {
		t.Skip("takes root")
	}
	w := strategytest.NewWorld(t, strategytest.Case{Definition: Definition(), Keeps: strategy.Archive})
	planted := filepath.Join(w.Dest, "helper")
	must(t, os.MkdirAll(filepath.Join(w.Dest, "file/kept"), 0o755))
	must(t, os.WriteFile(planted, []byte("evil"), 0o755))
	must(t, os.Chtimes(planted, time.Time{}, time.Unix(499162501, 0)))
	must(t, os.Chown(planted, stranger, stranger))
	packedFile := packed(t, file{"./", 0o755, 0, 0, 0}, file{"file", 0o644, 0, 0, 0}, file{"helper", 0o4755, 0, 0, 1})
	s := w.New(packedFile, func(target *strategy.Target) { target.Excludes = []string{"kept"} })
	must(t, s.Check())
	staged, err := s.Stage(context.Background(), archive.FileInput(packedFile, false))
	must(t, err)
	defer staged.Close()
	err = s.Sync(context.Background(), &staged) // rsync can't put the file either
	log := strings.Join(w.Log.Lines, "\n")
	if !strings.Contains(log, "--ignore-times") || strings.Contains(log, "nothing to change") {
		t.Errorf("error %v, log:\n%s", err, log)
	}
	if data, err := os.ReadFile(planted); err != nil || string(data) != "good" {
		t.Errorf("%q, %v", data, err)
	}
}

// TestUsualCare: deployments in which nobody can gain anything are rsync's own
// affair.
func TestUsualCare(t *testing.T) {
	testparts.Need(t, "rsync")
	if os.Geteuid() != 0 {
		t.Skip("takes root")
	}
	for name, files := range map[string][]file{
		"all root's, setuid": {{"./", 0o755, 0, 0, 0}, {"bin/", 0o755, 0, 0, 0}, {"bin/su", 0o4755, 0, 0, 1},
			{"f", 0o644, 0, 0, 2}},
		"group root": {{"./", 0o775, 0, 0, 0}, {"f", 0o664, 0, 0, 1}, {"g", 0o644, 0, 0, 2}},
		"all of one user": {{"./", 0o755, stranger, stranger, 0}, {"f", 0o644, stranger, stranger, 1},
			{"g", 0o644, stranger, stranger, 2}},
		"his, and his group's": {{"./", 0o775, stranger, stranger, 0}, {"d/", 0o775, stranger, stranger, 0},
			{"d/f", 0o664, stranger, stranger, 1}, {"g", 0o755, stranger, stranger, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			w := strategytest.NewWorld(t, strategytest.Case{Definition: Definition(), Keeps: strategy.Archive})
			packedFile := packed(t, files...)
			for range 2 {
				if log := deploy(t, w, packedFile, nil); strings.Contains(log, "rsync gets") {
					t.Errorf("log:\n%s", log)
				}
			}
		})
	}
}

// TestCare is the table of what rsync is told beside v1.x's arguments.
func TestCare(t *testing.T) {
	testparts.Need(t, "rsync")
	same := []file{{"f", 0o644, os.Geteuid(), os.Getegid(), 0}, {"g", 0o644, os.Geteuid(), os.Getegid(), 0}}
	several := []file{same[0], {"g", 0o644, os.Geteuid(), os.Getegid(), 9}}
	for _, x := range []struct {
		name     string
		files    []file
		deployed bool // the same archive
		touched  bool
		dest     string // content of f in dest; "" = there is none
		option   string
		warning  bool
	}{
		{name: "first", files: same},
		{name: "one time, the same", files: same, deployed: true, dest: "good"},
		{name: "one time, another", files: same, dest: "evil", option: "--checksum"},
		{name: "several times, the same", files: several, deployed: true, dest: "good"},
		{name: "several times, another that changes nothing", files: several, dest: "evil", warning: true},
		{name: "several times, another", files: several, dest: "older"},
		{name: "touched", files: several, deployed: true, touched: true, dest: "evil", option: "--checksum"},
	} {
		t.Run(x.name, func(t *testing.T) {
			w := strategytest.NewWorld(t, strategytest.Case{Definition: Definition(), Keeps: strategy.Archive})
			packedFile := packed(t, x.files...)
			if x.dest != "" {
				deploy(t, w, packedFile, nil)
				f := filepath.Join(w.Dest, "f")
				must(t, os.WriteFile(f, []byte(x.dest), 0o644))
				must(t, os.Chtimes(f, time.Time{}, time.Unix(499162500, 0)))
			}
			log := deploy(t, w, packedFile, func(target *strategy.Target) {
				target.Deployed = func() string {
					if x.deployed {
						return target.Checksum
					}
					return "another"
				}
				target.Touched = func(context.Context) bool { return x.touched }
			})
			if x.option == "" && strings.Contains(log, "rsync gets") || !strings.Contains(log, x.option) {
				t.Errorf("want %q; log:\n%s", x.option, log)
			}
			if strings.Contains(log, "will find nothing to change") != x.warning {
				t.Errorf("warning expected: %v; log:\n%s", x.warning, log)
			}
			if data, _ := os.ReadFile(filepath.Join(w.Dest, "f")); !x.warning && string(data) != "good" {
				t.Errorf("dest holds %q", data)
			}
		})
	}
}
