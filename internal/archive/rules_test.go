package archive

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// refusal is an archive, and what it is refused for by mode.
type refusal struct {
	name         string
	kind, strict error // nil: extracts
	text         string
	ents         []ent
}

const staging = ".stretcher-01a214bb-ff35-7113-a8dc-b23415331247-0"

// refusedNames are archives whose names or kinds of entries are not taken.
func refusedNames() []refusal {
	chain := []ent{{name: "l0", typ: '2', link: strings.Repeat("a/", 2000)}}
	for i := range 30 {
		chain = append(chain, ent{name: "l" + string(rune('A'+i)), typ: '2', link: strings.Repeat("l0/", 20)})
	}
	return []refusal{
		{"dot dot", ErrUnsafe, ErrUnsafe, `archive entry "../x": name leaves the root`, []ent{{name: "../x"}}},
		{"inner dot dot", ErrUnsafe, ErrUnsafe, "leaves the root", []ent{{name: "a/../../x"}}},
		{"absolute dot dot", ErrUnsafe, ErrUnsafe, "leaves the root", []ent{{name: "/../x"}}},
		{"only dot dot", ErrUnsafe, ErrUnsafe, "leaves the root", []ent{{name: "..", typ: '5'}}},
		{"PAX dot dot", ErrUnsafe, ErrUnsafe, "leaves the root", []ent{{name: "ok",
			pax: map[string]string{"path": "../x"}}}},
		{"long name dot dot", ErrUnsafe, ErrUnsafe, "leaves the root", []ent{{name: strings.Repeat("a/", 60) + "../x"}}},
		{"absolute", nil, ErrUnsafe, `name "/etc/x" is absolute`, []ent{{name: "/etc/x"}}},
		{"char device", ErrUnsafe, ErrUnsafe, "device node", []ent{{name: "null", typ: '3'}}},
		{"block device", ErrUnsafe, ErrUnsafe, "device node", []ent{{name: "sda", typ: '4'}}},
		{"FIFO", nil, ErrUnsafe, "FIFO", []ent{{name: "p", typ: '6'}}},
		{"write through symlink", ErrUnsafe, ErrUnsafe, `its parent "l" is a symlink`,
			[]ent{{name: "l", typ: '2', link: "d"}, {name: "d", typ: '5', mode: 0o755}, {name: "l/f"}}},
		{"write through outer symlink", ErrUnsafe, ErrUnsafe, "",
			[]ent{{name: "l", typ: '2', link: ".."}, {name: "l/canary", data: "x"}}},
		{"write through absolute symlink", ErrUnsafe, ErrUnsafe, "",
			[]ent{{name: "l", typ: '2', link: "/tmp"}, {name: "l/d", typ: '5'}}},
		{"mkdir through symlink", ErrUnsafe, ErrUnsafe, "",
			[]ent{{name: "a", typ: '5', mode: 0o755}, {name: "a/l", typ: '2', link: "../.."}, {name: "a/l/b/c"}}},
		{"dir replaced by symlink", ErrUnsafe, ErrUnsafe, `its parent "d" is a symlink`,
			[]ent{{name: "d", typ: '5', mode: 0o755}, {name: "d", typ: '2', link: "."}, {name: "d/f", data: "x"}}},
		{"dir replaced by outer symlink", ErrUnsafe, ErrUnsafe, "",
			[]ent{{name: "d", typ: '5', mode: 0o755}, {name: "d", typ: '2', link: ".."}, {name: "d/canary", data: "x"}}},
		{"full dir replaced by symlink", ErrMalformed, ErrMalformed, "not empty",
			[]ent{{name: "d/f"}, {name: "d", typ: '2', link: "x"}}},
		{"full dir replaced by file", ErrMalformed, ErrMalformed, "not empty", []ent{{name: "d/f"}, {name: "d"}}},
		{"chmod through symlinked dir", nil, ErrUnsafe, "",
			[]ent{{name: "root", typ: '5', mode: 0o7777}, {name: "root", typ: '2', link: "../canary"}}},
		{"symlink chain", nil, nil, "", chain},
		{"staging directory", ErrUnsafe, ErrUnsafe, "is a name of temporary directories", []ent{{name: staging, typ: '5'}}},
		{"file like a staging directory", ErrUnsafe, ErrUnsafe, "is a name of temporary", []ent{{name: "./" + staging}}},
		{"symlink like a staging directory", ErrUnsafe, ErrUnsafe, "is a name of temporary",
			[]ent{{name: staging, typ: '2', link: "x"}}},
		{"implied staging directory", ErrUnsafe, ErrUnsafe, "is a name of temporary", []ent{{name: staging + "/f"}}},
		{"inner staging directory", ErrUnsafe, ErrUnsafe, "is a name of temporary", []ent{{name: "a/" + staging + "/f"}}},
		{"nearly a staging directory", nil, nil, "", []ent{{name: staging[1:]}, {name: staging + "-x"},
			{name: strings.TrimSuffix(staging, "-0")}, {name: ".stretcher"}, {name: ".stretcher-notes-0"}}},
		{"unknown type", nil, ErrUnsafe, `unknown type 'Q'`, []ent{{name: "f", typ: 'Q', data: "x"}}},
		{"another unknown type", nil, ErrUnsafe, `unknown type 'A'`, []ent{{name: "f", typ: 'A'}}},
		{"old GNU type of many names", nil, ErrUnsafe, `unknown type 'N'`, []ent{{name: "f", typ: 'N', data: "x"}}},
		{"volume label", nil, ErrUnsafe, "volume label", []ent{{name: "v", typ: 'V'}, {name: "f"}}},
		{"file as parent", ErrMalformed, ErrMalformed, `its parent "f" is not a directory`,
			[]ent{{name: "f"}, {name: "f/g"}}},
	}
}

// refusedLinks are archives with links that lead elsewhere or nowhere.
func refusedLinks() []refusal {
	return []refusal{
		{"link outside", ErrUnsafe, ErrUnsafe, "leaves the root", []ent{{name: "h", typ: '1', link: "../canary"}}},
		{"link to nothing", ErrUnsafe, ErrUnsafe, "not an earlier file or symlink",
			[]ent{{name: "h", typ: '1', link: "later"}, {name: "later"}}},
		{"link to absolute", ErrUnsafe, ErrUnsafe, "", []ent{{name: "h", typ: '1', link: "/etc/passwd"}}},
		{"link to symlink", nil, ErrUnsafe, "",
			[]ent{{name: "s", typ: '2', link: "../canary"}, {name: "h", typ: '1', link: "s"}, {name: "h", data: "x"}}},
		{"link to inner symlink", nil, nil, "", []ent{{name: "d/s", typ: '2', link: "../t"}, {name: "d/h", typ: '1',
			link: "d/s"}}},
		{"link to symlink from above", nil, ErrUnsafe, "may leave the root",
			[]ent{{name: "d/s", typ: '2', link: "../t"}, {name: "h", typ: '1', link: "d/s"}}},
		{"link to a link to a symlink from above", nil, ErrUnsafe, "may leave the root",
			[]ent{{name: "a/b/s", typ: '2', link: "../../t"}, {name: "a/b/h", typ: '1', link: "a/b/s"},
				{name: "a/h", typ: '1', link: "a/b/h"}}},
		{"write through linked symlink", ErrUnsafe, ErrUnsafe, `its parent "h" is a symlink`,
			[]ent{{name: "s", typ: '2', link: "d"}, {name: "h", typ: '1', link: "s"}, {name: "h/f"}}},
		{"link to FIFO", ErrUnsafe, ErrUnsafe, "", []ent{{name: "p", typ: '6'}, {name: "h", typ: '1', link: "p"}}},
		{"link through symlink", ErrUnsafe, ErrUnsafe, "",
			[]ent{{name: "s", typ: '2', link: ".."}, {name: "h", typ: '1', link: "s/canary"}}},
		{"link to dir", ErrUnsafe, ErrUnsafe, "", []ent{{name: "d", typ: '5'}, {name: "h", typ: '1', link: "d"}}},
		{"link to root", ErrUnsafe, ErrUnsafe, "", []ent{{name: "h", typ: '1', link: "/"}}},
		{"link without target", ErrMalformed, ErrMalformed, "name is empty", []ent{{name: "h", typ: '1'}}},
		{"symlink without target", ErrMalformed, ErrMalformed, "without a target", []ent{{name: "s", typ: '2'}}},
		{"symlink absolute", nil, ErrUnsafe, `target "/etc" is absolute`, []ent{{name: "s", typ: '2', link: "/etc"}}},
		{"symlink outside", nil, ErrUnsafe, "may leave the root", []ent{{name: "a/s", typ: '2', link: "../../x"}}},
		{"symlink by symlink outside", nil, ErrUnsafe, "may leave the root",
			[]ent{{name: "d/l", typ: '2', link: ".."}, {name: "m", typ: '2', link: "d/l/../x"}}},
		{"symlink by deep symlink outside", nil, ErrUnsafe, "may leave the root",
			[]ent{{name: "a/b/l", typ: '2', link: "../.."}, {name: "a/b/m", typ: '2', link: "l/../x"}}},
		{"symlink up and across", nil, nil, "", []ent{{name: "a/b/s", typ: '2', link: "../../c/./d"}}},
	}
}

// refusedHeaders are archives whose headers are wrong, or are too much.
func refusedHeaders() []refusal {
	deep := strings.Repeat("d/", 1000) + "f"
	return []refusal{
		{"root as file", ErrMalformed, ErrMalformed, "root is not a directory", []ent{{name: "./", typ: '2', link: "x"}}},
		{"empty name", ErrMalformed, ErrMalformed, "name is empty", []ent{{name: ""}}},
		{"NUL in PAX path", ErrMalformed, ErrMalformed, "",
			[]ent{{name: "f", pax: map[string]string{"path": "a\x00/../../x"}}}},
		{"NUL in PAX target", ErrMalformed, ErrMalformed, "",
			[]ent{{name: "f", typ: '2', pax: map[string]string{"linkpath": "a\x00b"}}}},
		{"negative PAX size", ErrMalformed, ErrMalformed, "", []ent{{name: "f", pax: map[string]string{"size": "-1"}}}},
		{"PAX size over ustar size", ErrMalformed, ErrMalformed, "truncated",
			[]ent{{name: "f", data: "x", pax: map[string]string{"size": "99999"}}}},
		{"sparse map past the end", ErrMalformed, ErrMalformed, "",
			[]ent{{name: "f", data: "1234",
				pax: map[string]string{"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.numblocks": "2",
					"GNU.sparse.map": "0,4,9223372036854775800,4", "GNU.sparse.size": "10"}}}},
		{"sparse map of overlaps", ErrMalformed, ErrMalformed, "",
			[]ent{{name: "f", data: "1234",
				pax: map[string]string{"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.numblocks": "2",
					"GNU.sparse.map": "4,2,0,2", "GNU.sparse.size": "10"}}}},
		{"multi-volume", ErrMalformed, ErrMalformed, "another volume", []ent{{name: "f", typ: 'M'}}},
		{"Solaris header", ErrMalformed, ErrMalformed, "Solaris", []ent{{name: "f", typ: 'X'}}},
		{"name too long", ErrLimit, ErrLimit, "longer than 4096", []ent{{name: strings.Repeat("abc/", 1025)}}},
		{"target too long", ErrLimit, ErrLimit, "longer than 4096",
			[]ent{{name: "s", typ: '2', link: strings.Repeat("abc/", 1025)}}},
		{"component too long", ErrLimit, ErrLimit, "", []ent{{name: strings.Repeat("a", 300)}}},
		{"too deep", ErrLimit, ErrLimit, "deeper than 1000", []ent{{name: deep}}},
		{"nearly too deep", nil, nil, "", []ent{{name: deep[2:]}}},
	}
}

func TestRefused(t *testing.T) {
	for _, c := range slices.Concat(refusedNames(), refusedLinks(), refusedHeaders()) {
		for mode, want := range map[Mode]error{Compat: c.kind, Strict: c.strict} {
			t.Run(c.name, func(t *testing.T) {
				_, _, err := unpack(t, tarOf(c.ents...), Options{Mode: mode})
				if !errors.Is(err, want) {
					t.Fatalf("mode %d: got %v, want %v", mode, err, want)
				}
				if err == nil {
					return
				}
				if want == nil || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "\n") {
					t.Fatalf("mode %d: got %v, want a line with %q", mode, err, c.text)
				}
			})
		}
	}
}

// TestOwnerRange is for root alone: others leave owners alone.
func TestOwnerRange(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	for _, id := range []string{"-1", "4294967295", "9999999999"} {
		b := tarOf(ent{name: "f", pax: map[string]string{"uid": id}})
		if _, _, err := unpack(t, b, Options{}); !errors.Is(err, ErrMalformed) {
			t.Errorf("uid %s: %v", id, err)
		}
	}
}

func TestStrictModes(t *testing.T) {
	b := tarOf(ent{name: ".", typ: '5', mode: 0o7777}, ent{name: "suid", mode: 0o7777, uid: 12},
		ent{name: "noexec", mode: 0o655}, ent{name: "none", mode: -1}, ent{name: "d", typ: '5', mode: 0o1577},
		ent{name: "private", typ: '5', mode: 0o700, uid: 12})
	dir, res, err := unpack(t, b, Options{Mode: Strict})
	check(t, err)
	if !res.HasRoot || res.Entries != 6 {
		t.Errorf("got %+v", res)
	}
	umask := umaskOf(t)
	for name, want := range map[string]os.FileMode{".": 0o755, "suid": 0o755, "noexec": 0o644, "none": 0o600, "d": 0o755,
		"private": 0o700} {
		fi, err := os.Lstat(filepath.Join(dir, name))
		check(t, err)
		if got := fi.Mode() &^ os.ModeDir; got != want&^umask {
			t.Errorf("%s: mode %v, want %v", name, got, want&^umask)
		}
		if uid := fi.Sys().(*syscall.Stat_t).Uid; int(uid) != os.Geteuid() {
			t.Errorf("%s: owner %d", name, uid)
		}
	}
}

// umaskOf is what others than root lose of a mode.
func umaskOf(t *testing.T) os.FileMode {
	if os.Geteuid() == 0 {
		return 0
	}
	f, err := os.OpenFile(filepath.Join(t.TempDir(), "f"), os.O_CREATE|os.O_WRONLY, 0o777)
	check(t, err)
	defer f.Close()
	fi, err := f.Stat()
	check(t, err)
	return 0o777 &^ fi.Mode().Perm()
}

func TestLocalName(t *testing.T) {
	for name, want := range map[string]string{
		"a": "a", "./a/": "a", "a//./b": "a/b", ".": "", "/": "", "./": "", "/a": "a",
		"...": "...", "a/..b": "a/..b", "~": "~", `a\..\b`: `a\..\b`,
	} {
		got, abs, err := localName(name, Limits{}.withDefaults())
		if got != want || err != nil || abs != (name[0] == '/') {
			t.Errorf("%q: got %q, %v, %v", name, got, abs, err)
		}
	}
}

// TestGlobalRecords of all entries are refused where no entry could have them.
func TestGlobalRecords(t *testing.T) {
	for _, key := range []string{"path", "linkpath", "size", "GNU.sparse.map", "GNU.sparse.name"} {
		b := tarOf(ent{name: "g", typ: 'g', data: paxRecord("uid", "5") + paxRecord(key, "1")}, ent{name: "f"})
		_, _, err := unpack(t, b, Options{})
		if want := "global header: sets \"" + key + "\" of all entries"; !errors.Is(err, ErrUnsafe) || err.Error() != want {
			t.Errorf("%s: got %v, want %s", key, err, want)
		}
	}
	for _, record := range []string{paxRecord("comment", "x"), paxRecord("SCHILY.xattr.user.a", "b"), paxRecord("uname",
		"daemon"),
		paxRecord("atime", "nonsense"), ""} {
		if _, _, err := unpack(t, tarOf(ent{name: "g", typ: 'g', data: record}, ent{name: "f"}), Options{}); err != nil {
			t.Errorf("%q: %v", record, err)
		}
	}
	for _, record := range []string{paxRecord("uid", "x"), paxRecord("mtime", "yesterday"), paxRecord("gid", "1.5"),
		"junk"} {
		_, _, err := unpack(t, tarOf(ent{name: "g", typ: 'g', data: record}, ent{name: "f"}), Options{})
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", record, err)
		}
	}
}
