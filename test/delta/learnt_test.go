package delta

import (
	"crypto/sha512"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stretcher/internal/archive/pack"
)

// TestLearntFromWhole deploys a release as a whole whose index exchanges what two
// files hold: what the host remembers of them is what it has read. The next
// release exchanges them in truth, with the same sizes and times.
func TestLearntFromWhole(t *testing.T) {
	older, _ := versions(t)
	newer := tree{}
	for path, n := range older {
		newer[path] = n
	}
	newer["config"], newer["key"] = older["key"], older["config"]
	dir := t.TempDir()
	older.write(t, dir+"/older")
	newer.write(t, dir+"/newer")
	first, second := packed(t, dir+"/older", pack.Gzip), packed(t, dir+"/newer", pack.Gzip)
	l := liarOf(t, first)
	i, _ := l.file("config")
	k, _ := l.file("key")
	l.sums[i], l.sums[k] = l.sums[k], l.sums[i]
	lying := release{first.archive, l.encode(t), ""}
	for _, strategy := range []string{"native", "releases"} {
		o, h := newOrigin(t), newHost(t, strategy)
		deployed(t, h, o.publish("older", h.dest(), strategy, lying), dir+"/older")
		deployed(t, h, o.publish("newer", h.dest(), strategy, second), dir+"/newer")
	}
}

// TestUnlearnt: an index says of a file what the host has, with the same size and
// time. That is found out, and the whole archive is not taken for what the index
// says of it either.
func TestUnlearnt(t *testing.T) {
	older, newer := sameTimes(t)
	dir := t.TempDir()
	older.write(t, dir+"/older")
	newer.write(t, dir+"/newer")
	first, second := packed(t, dir+"/older", pack.Gzip), packed(t, dir+"/newer", pack.Gzip)
	for _, strategy := range []string{"native", "releases"} {
		l := liarOf(t, second)
		i, _ := l.file("lib/30")
		k, _ := liarOf(t, first).file("lib/30")
		l.sums[i] = liarOf(t, first).sums[k]
		o, h := newOrigin(t), newHost(t, strategy)
		deployed(t, h, o.publish("older", h.dest(), strategy, first), dir+"/older")
		log := deployed(t, h, o.publish("newer", h.dest(), strategy, release{second.archive, l.encode(t), ""}), dir+"/newer")
		if !strings.Contains(log, "warning: taking the whole archive, which was put together: ") {
			t.Errorf("%s: the whole archive was not taken:\n%s", strategy, log)
		}
	}
}

// TestUnlearntAlone: the archive before is gone, its index is not. What is new in an
// archive is fetched, though the host is said to have it, and compared.
func TestUnlearntAlone(t *testing.T) {
	older, newer := sameTimes(t)
	dir := t.TempDir()
	older.write(t, dir+"/older")
	newer.write(t, dir+"/newer")
	first, second := packed(t, dir+"/older", pack.Gzip), packed(t, dir+"/newer", pack.Gzip)
	for _, lie := range []string{"lib/30", ""} {
		x := second.index
		if lie != "" {
			l := liarOf(t, second)
			i, _ := l.file(lie)
			k, _ := liarOf(t, first).file(lie)
			l.sums[i] = liarOf(t, first).sums[k]
			x = l.encode(t)
		}
		o, h := newOrigin(t), newHost(t, "native")
		deployed(t, h, o.publish("older", h.dest(), "native", first), dir+"/older")
		check(t, os.RemoveAll(h.path("state/cache")))
		kept, err := filepath.Glob(h.path("state/archives/*"))
		check(t, err)
		for _, name := range kept {
			if !strings.HasSuffix(name, ".idx") {
				check(t, os.Remove(name))
			}
		}
		log := deployed(t, h, o.publish("newer", h.dest(), "native", release{second.archive, x, ""}), dir+"/newer")
		parts, said := o.answered(), strings.Contains(log, "warning: fetching the whole archive: ")
		if parts == 0 || said != (lie != "") {
			t.Errorf("a lie about %q, %d parts:\n%s", lie, parts, log)
		}
	}
}

// sameTimes are two versions that differ in the content of one file alone.
func sameTimes(t *testing.T) (older, newer tree) {
	older, changed := versions(t)
	newer = tree{}
	for path, n := range older {
		newer[path] = n
	}
	n := changed["lib/30"]
	n.time = older["lib/30"].time
	newer["lib/30"] = n
	return older, newer
}

// TestUnnamedArchive: where the checksum is no sha256, nothing tells whether an
// index is of the archive. The one of the release before would have the host keep
// that.
func TestUnnamedArchive(t *testing.T) {
	older, newer := versions(t)
	dir := t.TempDir()
	older.write(t, dir+"/older")
	newer.write(t, dir+"/newer")
	first, second := packed(t, dir+"/older", pack.Gzip), packed(t, dir+"/newer", pack.Gzip)
	for _, index := range [][]byte{first.index, second.index} {
		o, h := newOrigin(t), newHost(t, "native")
		deployed(t, h, o.publish("older", h.dest(), "native", first), dir+"/older")
		url := o.publish("newer", h.dest(), "native", release{second.archive, index, ""})
		o.edit("/newer.yml", func(manifest string) string {
			_, rest, _ := strings.Cut(manifest, "checksum: ")
			was, _, _ := strings.Cut(rest, "\n")
			return strings.Replace(manifest, was, fmt.Sprintf("sha512:%x", sha512.Sum512(second.archive)), 1)
		})
		log := deployed(t, h, url, dir+"/newer")
		if sent := o.bytesOf("/newer.tar.idx"); !strings.Contains(log, "checksum is of another algorithm") || sent > 0 {
			t.Errorf("%d bytes of the index were fetched:\n%s", sent, log)
		}
	}
}

// deployed deploys, and compares what is there with a directory.
func deployed(t *testing.T, h *host, url, want string, args ...string) (log string) {
	t.Helper()
	status, log := h.deploy(append(args, url)...)
	if status != 0 {
		t.Fatalf("%s: exit status %d\n%s", h.strategy, status, log)
	}
	if got, want := look(t, h.live()), look(t, want); got != want {
		t.Errorf("%s: deployed (+), packed (-):\n%s", h.strategy, difference(got, want))
	}
	return log
}
