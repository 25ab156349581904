package archive

import (
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

var long = strings.Repeat("long-directory-name/", 12) + strings.Repeat("f", 200)

// benign is what safety checks elsewhere wrongly refuse, and what GNU tar
// does with oddities.
var benign = map[string][]ent{
	"plain": {{name: "f", data: "hello"}, {name: "empty"}, {name: "d/", typ: '5', mode: 0o755},
		{name: "d/x", data: strings.Repeat("x", 70000), mode: 0o600}},
	"dot slash": {{name: "./", typ: '5', mode: 0o711}, {name: "./a", data: "1"},
		{name: "./d/", typ: '5', mode: 0o750}, {name: "./d/b", data: "2"}},
	"lone ./bar":     {{name: "./bar", data: "x"}},
	"dot components": {{name: "a/./b//c", data: "x"}, {name: "..a/...", data: "y"}},
	"dirs last": {{name: "d/e/f", data: "x"}, {name: "d/e", typ: '5', mode: 0o700},
		{name: "d", typ: '5', mode: 0o711}},
	"dir twice": {{name: "d", typ: '5', mode: 0o755}, {name: "d/f"}, {name: "d", typ: '5', mode: 0o700, mtime: 5e8}},
	"read-only dirs": {{name: "r", typ: '5', mode: 0o555}, {name: "r/s", typ: '5', mode: 0o500},
		{name: "r/s/f", mode: 0o400, data: "x"}, {name: "z", typ: '5', mode: -1}, {name: "z/y", typ: '5', mode: 0o711}},
	"hard links": {{name: "d/a", data: "x", mode: 0o640}, {name: "b", typ: '1', link: "d/a"},
		{name: "e/c", typ: '1', link: "./b"}, {name: "d/a", typ: '1', link: "d/a"}},
	"hard link slash": {{name: "/a", data: "x"}, {name: "/b", typ: '1', link: "/a"}},
	"symlinks": {{name: "a/b/up", typ: '2', link: "../../c/x"}, {name: "c/x", data: "x"},
		{name: "c/across", typ: '2', link: "../a"}, {name: "dangling", typ: '2', link: "no/where"},
		{name: "abs", typ: '2', link: "/etc/passwd"}, {name: "out", typ: '2', link: "../../../x", uid: 12, gid: 13}},
	"long names": {{name: long, data: "gnu"}, {name: "l", typ: '2', link: long},
		{name: "x", data: "pax", pax: map[string]string{"path": "pax/" + long}}, {name: "h", typ: '1', link: long}},
	"odd names": {{name: "caf\xe9\xff", data: "1"}, {name: "new\nline", data: "2"},
		{name: "\x01 *?\\\"'", data: "3"}, {name: "BZh", data: "4"}},
	"first name BZh": {{name: "BZh91AY&SY", data: "4"}},
	"absolute":       {{name: "/abs/f", data: "x"}, {name: "//abs//g", data: "y"}, {name: "/", typ: '5', mode: 0o751}},
	"modes": {{name: "suid", mode: 0o4755}, {name: "sgid", mode: 0o2711}, {name: "world", mode: 0o666},
		{name: "none", mode: -1}, {name: "sticky", typ: '5', mode: 0o1777}, {name: "sg", typ: '5', mode: 0o2775},
		{name: "sg/in"}, {name: "implied/f", mode: 0o7777}},
	"owners": {{name: "byname", uname: "daemon", gname: "daemon", uid: 4242, gid: 4242, mode: 0o6755},
		{name: "unknown", uname: "no-such-user", gname: "no-such-group", uid: 1234, gid: 1235},
		{name: "dir", typ: '5', uid: 77, gid: 78, mode: 0o755}, {name: "dir/l", typ: '2', link: "x", uid: 9, gid: 10},
		{name: "big", pax: map[string]string{"uid": "3000000", "gid": "3000001"}}},
	"times": {{name: "frac", pax: map[string]string{"mtime": "1234567890.987654321"}},
		{name: "old", mtime: -86400}, {name: "link", typ: '2', link: "x", pax: map[string]string{"mtime": "99.5"}},
		{name: "d", typ: '5', mode: 0o755, pax: map[string]string{"mtime": "98.25"}}},
	"FIFO": {{name: "p", typ: '6', mode: 0o622, uid: 5}, {name: "d/q", typ: '6', mode: 0o200}},
	"types": {{name: "cont", typ: '7', data: "c"}, {name: "unknown", typ: 'Q', data: "u", mode: 0o755},
		{name: "label", typ: 'V'}, {name: "slash/", mode: 0o755}, {name: "after", data: "a"}},
	"v7": {{name: "old", data: "x", v7: true, typ: 0}, {name: "d/", v7: true, mode: 0o755}},
	"global owner": {{name: "g", typ: 'g', data: paxRecord("uid", "33") + paxRecord("gid", "34")}, {name: "f", uid: 5,
		gid: 6},
		{name: "n", uname: "daemon", gname: "daemon"}, {name: "d", typ: '5', mode: 0o755}, {name: "l", typ: '2', link: "x"},
		{name: "own", uid: 5, pax: map[string]string{"uid": "7"}}},
	"global time": {{name: "g", typ: 'g', data: paxRecord("mtime", "77.125")}, {name: "f"}, {name: "d", typ: '5',
		mode: 0o755},
		{name: "own", pax: map[string]string{"mtime": "99.5"}}},
	"global header after another": {{name: "g", typ: 'g', data: paxRecord("uid", "33") + paxRecord("mtime", "5")},
		{name: "f"}, {name: "g", typ: 'g', data: paxRecord("gid", "34")}, {name: "h"},
		{name: "g", typ: 'g', data: paxRecord("comment", "none")}, {name: "i"}},
	"global header before the entry of a header": {{name: "x", typ: 'x', data: paxRecord("path", "renamed")},
		{name: "g", typ: 'g', data: paxRecord("gid", "34")}, {name: "f", data: "x"}},
	"global names": {{name: "g", typ: 'g', data: paxRecord("uname", "daemon") + paxRecord("gname", "daemon")},
		{name: "f", uid: 5, gid: 6}},
	"names in records": {{name: "f", uid: 5, gid: 6, pax: map[string]string{"uname": "daemon", "gname": "daemon"}}},
	"numbers in records": {{name: "f", uname: "daemon", gname: "daemon", pax: map[string]string{"uid": "300000"}},
		{name: "g", uname: "daemon", gname: "daemon", pax: map[string]string{"gid": "300001"}}},
	"long name and record": {{name: "L", typ: 'L', data: "gnu/" + long}, {name: "x", typ: 'x', data: paxRecord("path",
		"pax")},
		{name: "f"}, {name: "x", typ: 'x', data: paxRecord("path", "pax2")}, {name: "L", typ: 'L', data: "gnu2/" + long},
		{name: "f"}},
	"junk in device fields": {{name: "f", data: "x", device: "junkjunk\xff\xfejunk.."}, {name: "d", typ: '5',
		mode: 0o755, device: "zzzz"},
		{name: "l", typ: '2', link: "f", device: "-------8"}, {name: "h", typ: '1', link: "f", device: "99999999"}},
	"old GNU prefix": {{name: "foo", gnu: true, prefix: strings.Repeat("a", 155)}, {name: "bar", prefix: "pre/fix"}},
	"NULs before a size": {{name: "f", rawSize: "\x00\x00\x00000000001"}, {name: "g", data: "x",
		rawSize: "\x0000000000001"}},
	"global header": {{name: "g", typ: 'g', data: paxRecord("comment", "0123456789abcdef")}, {name: "f", data: "x"}},
	"base-256 size": {{name: "f", data: "12345", base256: true}},
	"PAX size": {{name: "f", data: "12345", size: -1, pax: map[string]string{"size": "5"}},
		{name: "after", data: "y"}},
	"link with size":  {{name: "a", data: "x"}, {name: "b", typ: '1', link: "a", size: 9999}, {name: "c", data: "y"}},
	"file twice":      {{name: "f", data: "longer than the next", mode: 0o755}, {name: "f", data: "x"}},
	"replace linked":  {{name: "a", data: "one"}, {name: "b", typ: '1', link: "a"}, {name: "a", data: "two"}},
	"file on symlink": {{name: "t", data: "t"}, {name: "s", typ: '2', link: "t"}, {name: "s", data: "new"}},
	"symlink on file": {{name: "s", data: "old"}, {name: "s", typ: '2', link: "t"}},
	"dir on symlink": {{name: "d", typ: '5', mode: 0o755}, {name: "l", typ: '2', link: "d"},
		{name: "l", typ: '5', mode: 0o750}, {name: "l/f", data: "x"}},
	"dir on file": {{name: "l", data: "x"}, {name: "l", typ: '5', mode: 0o750}},
	"on empty dir": {{name: "a", typ: '5', mode: 0o700}, {name: "a", data: "x"}, {name: "b", typ: '5', mode: 0o700},
		{name: "b", typ: '2', link: "a"}},
	"link to symlink": {{name: "d/s", typ: '2', link: "../t", uid: 9, gid: 8, mtime: 5e8}, {name: "d/h", typ: '1',
		link: "d/s"},
		{name: "e/i", typ: '1', link: "d/h"}},
	"link to dangling symlink": {{name: "s", typ: '2', link: "/no/where"}, {name: "h", typ: '1', link: "s"}},
	"link on file":             {{name: "a", data: "a"}, {name: "b", data: "b"}, {name: "b", typ: '1', link: "a"}},
	"no entries":               {},
}

func TestSameAsGNUTar(t *testing.T) {
	gnu := tool(t, "tar", "GNU tar")
	for _, name := range slices.Sorted(maps.Keys(benign)) {
		for _, format := range compressions {
			t.Run(name+"/"+format, func(t *testing.T) {
				sameAs(t, gnu, compress(t, format, tarOf(benign[name]...)))
			})
		}
	}
}

func TestSparseSameAsGNUTar(t *testing.T) {
	gnu := tool(t, "tar", "GNU tar")
	src := t.TempDir()
	f, err := os.Create(filepath.Join(src, "sparse"))
	check(t, err)
	for i := range int64(30) {
		_, err = f.WriteAt([]byte("data"), i*i*9000+i)
		check(t, err)
	}
	check(t, f.Truncate(10<<20))
	check(t, f.Close())
	for _, args := range [][]string{{"--format=gnu"}, {"--format=pax", "--sparse-version=0.0"},
		{"--format=pax", "--sparse-version=0.1"}, {"--format=pax", "--sparse-version=1.0"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			b, err := exec.Command(gnu, append(args, "-S", "-c", "-C", src, "sparse")...).Output()
			check(t, err)
			if len(b) > 1<<20 {
				t.Fatalf("archive of %d bytes is not sparse", len(b))
			}
			dir := sameAs(t, gnu, b)
			fi, err := os.Stat(filepath.Join(dir, "sparse"))
			check(t, err)
			if used := fi.Sys().(*syscall.Stat_t).Blocks * 512; used > 2<<20 {
				t.Errorf("file takes %d bytes on disk, want holes", used)
			}
		})
	}
}

// sameAs compares our result with that of GNU tar and returns ours.
func sameAs(t *testing.T, gnu string, b []byte) string {
	t.Helper()
	want := t.TempDir()
	t.Cleanup(func() { openUp(want) })
	check(t, os.Chmod(want, 0o755))
	file := filepath.Join(t.TempDir(), "archive")
	check(t, os.WriteFile(file, b, 0o644))
	if out, err := exec.Command(gnu, "-x", "-f", file, "-C", want).CombinedOutput(); err != nil {
		t.Fatalf("GNU tar: %v: %s", err, out)
	}
	dir, _, err := unpack(t, b, Options{})
	check(t, err)
	a, o := snapshot(t, want), snapshot(t, dir)
	for _, p := range slices.Sorted(maps.Keys(a)) {
		if a[p] != o[p] {
			t.Errorf("%q:\nGNU tar %s\nours    %s", p, a[p], o[p])
		}
		delete(o, p)
	}
	for p := range o {
		t.Errorf("%q only in ours", p)
	}
	return dir
}

// snapshot describes every file below dir. Hard links name the first path of
// their file; a time of this hour is "now".
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	out, first := map[string]string{}, map[uint64]string{}
	var walk func(rel string)
	walk = func(rel string) {
		path := filepath.Join(dir, rel)
		fi, err := os.Lstat(path)
		check(t, err)
		st := fi.Sys().(*syscall.Stat_t)
		mtime := fi.ModTime().UTC().Format(time.RFC3339Nano)
		if time.Since(fi.ModTime()).Abs() < time.Hour {
			mtime = "now"
		}
		s := fmt.Sprintf("%v %d:%d %s", fi.Mode(), st.Uid, st.Gid, mtime)
		if !fi.IsDir() {
			if _, ok := first[st.Ino]; !ok {
				first[st.Ino] = rel
			}
			s += fmt.Sprintf(" links=%d as=%q", st.Nlink, first[st.Ino])
		}
		if fi.Mode()&os.ModeSymlink == 0 { // it leads anywhere, to files of this machine too
			os.Chmod(path, map[bool]os.FileMode{true: 0o700}[fi.IsDir()]|0o600)
		}
		switch fi.Mode().Type() {
		case os.ModeSymlink:
			target, err := os.Readlink(path)
			check(t, err)
			s += " -> " + target
		case 0:
			s += fmt.Sprintf(" %d %s", fi.Size(), digest(t, path))
		case os.ModeDir:
			names, err := os.ReadDir(path)
			check(t, err)
			for _, n := range names {
				walk(filepath.Join(rel, n.Name()))
			}
		}
		out[rel] = s
	}
	walk(".")
	return out
}

func digest(t testing.TB, path string) string {
	f, err := os.Open(path)
	check(t, err)
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	check(t, err)
	return fmt.Sprintf("%x", h.Sum(nil)[:6])
}

// umaskTests are those whose results depend on the umask.
const umaskTests = "TestSameAsGNUTar/.*/^tar$|TestScan(Impl|Umask)"

// TestAsNobody runs the comparisons and the rules again without privileges and
// with an unusual umask. Other umasks matter to what makes files alone.
func TestAsNobody(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become nobody")
	}
	dir, err := os.MkdirTemp("", "archive-nobody")
	check(t, err)
	defer os.RemoveAll(dir)
	check(t, os.Chown(dir, 65534, 65534))
	self, err := os.ReadFile("/proc/self/exe")
	check(t, err)
	exe := filepath.Join(dir, "archive.test")
	check(t, os.WriteFile(exe, self, 0o755))
	for umask, tests := range map[string]string{
		"000": umaskTests, "027": umaskTests, "077": "SameAsGNUTar|TestRefused|TestStrict|TestScan(Seq|Impl|Umask)",
	} {
		cmd := exec.Command("sh", "-c", `umask `+umask+`; exec "$0" "$@"`, exe, "-test.run", tests)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "TMPDIR="+dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("umask %s: %v\n%s", umask, err, out)
		}
	}
}

func ownerOf(fi os.FileInfo) string {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%d:%d", st.Uid, st.Gid)
}

// TestUmasks compares as root, whose umask counts for directories without an
// entry alone.
func TestUmasks(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("others are compared by TestAsNobody")
	}
	self, err := os.Executable()
	check(t, err)
	for _, umask := range []string{"000", "027", "077"} {
		cmd := exec.Command("sh", "-c", `umask `+umask+`; exec "$0" "$@"`, self, "-test.run", umaskTests)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("umask %s: %v\n%s", umask, err, out)
		}
	}
}
