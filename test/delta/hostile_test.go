package delta

import (
	"crypto/sha256"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"stretcher/internal/archive/index"
	"stretcher/internal/archive/pack"
)

// versions are two of an application of some megabytes: they have most files in
// common, so that the second is fetched by ranges where the first is.
func versions(t *testing.T) (older, newer tree) {
	f := &forest{Rand: rand.New(rand.NewPCG(1, 2))}
	noise := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(f.Uint32())
		}
		return b
	}
	older = tree{"link": {target: "config"}}
	for i := range 60 {
		older[fmt.Sprintf("lib/%02d", i)] = node{mode: 0o644, time: int64(1e9 + i), content: noise(60_000)}
	}
	for _, name := range []string{"app", "config", "key"} {
		older[name] = node{mode: 0o644, time: 1e9, content: noise(5000)}
	}
	newer = tree{}
	for path, n := range older {
		newer[path] = n
	}
	newer["app"] = node{mode: 0o755, time: 2e9, content: noise(6000)}
	newer["lib/30"] = node{mode: 0o644, time: 2e9, content: noise(60_000)}
	return older, newer
}

// lies are what the author of an index may write in it, by name.
func lies() map[string]func(l *liar) {
	all := map[string]func(l *liar){
		"another archive":             func(l *liar) { l.archive[0]++ },
		"a longer archive":            func(l *liar) { l.size++ },
		"a longer stream":             func(l *liar) { l.stream++ },
		"a huge archive":              func(l *liar) { l.size, l.stream = math.MaxInt64, math.MaxInt64 },
		"no members":                  func(l *liar) { l.members = nil },
		"a million members":           func(l *liar) { l.claimed = 1_000_000 },
		"members outside":             func(l *liar) { l.member(-1).Length += 100_000; l.size += 100_000 },
		"members beside their place":  func(l *liar) { l.member(0).Length--; l.member(1).Length++ },
		"members that overlap":        overlap,
		"members unpacked elsewhere":  func(l *liar) { l.member(5).Unpacked--; l.member(6).Unpacked++ },
		"digests of other members":    func(l *liar) { l.each(func(i int) { l.member(i).Sum = l.members[0].Sum }) },
		"digests of no members":       func(l *liar) { l.each(func(i int) { l.member(i).Sum = index.Sum{1} }) },
		"digests of no files":         func(l *liar) { clear(l.sums) },
		"no files":                    func(l *liar) { l.sums = nil },
		"a digest more":               func(l *liar) { l.sums = append(l.sums, index.Sum{}) },
		"a digest of another file":    func(l *liar) { l.digestOf("app", "key") },
		"contents that are exchanged": func(l *liar) { l.sums[3], l.sums[4] = l.sums[4], l.sums[3] },
		"a content without end":       func(l *liar) { _, at := l.file("key"); l.parts[at].size = math.MaxUint64 },
		"a content that is longer":    func(l *liar) { _, at := l.file("key"); l.parts[at].size++ },
		"a mode":                      func(l *liar) { l.header("app", 100, "0006755") },
		"a mode of an old file":       func(l *liar) { l.header("lib/50", 100, "0006755") },
		"an owner of an old file":     func(l *liar) { l.header("lib/51", 108, "0000001") },
		"a target of an old link":     func(l *liar) { l.header("link", 157, "key\x00") },
		"a name that escapes":         func(l *liar) { l.header("app", 0, "../../escaped") },
		"a name that is absolute":     func(l *liar) { l.header("app", 0, "/escaped") },
		"a link that escapes":         func(l *liar) { l.header("link", 157, "../../..\x00") },
		"a file through a link":       throughLink,
		"a device":                    func(l *liar) { l.header("link", 156, "3") },
		"headers that are none":       func(l *liar) { l.parts[0].frame = make([]byte, len(l.parts[0].frame)) },
		"a million entries":           million,
		"a frame that does not end":   func(l *liar) { l.parts = append(l.parts, part{frame: make([]byte, 60<<10)}) },
		"no frame":                    func(l *liar) { l.parts = nil },
		"a frame of another version":  func(l *liar) { l.parts[0].frame = l.parts[0].frame[:512] },
	}
	for _, path := range []string{"..", "../key", "/etc/passwd", "link/key", "lib/../key", "lib//30", ".", "", "key",
		"none", strings.Repeat("n", 5000), "a\x00b"} {
		all[fmt.Sprintf("path %.20q", path)] = func(l *liar) { _, at := l.file("app"); l.parts[at].path = path }
	}
	return all
}

func overlap(l *liar) {
	l.member(3).Length += l.member(4).Length
	l.member(4).Length = 1
}

func throughLink(l *liar) {
	l.header("link", 157, "../tmp\x00")
	l.header("app", 0, "link/escaped")
}

// digestOf gives a file the digest of another.
func (l *liar) digestOf(one, other string) {
	i, _ := l.file(one)
	j, _ := l.file(other)
	l.sums[i] = l.sums[j]
}

// member is one by its number, or from behind.
func (l *liar) member(i int) *index.Member { return &l.members[(i+len(l.members))%len(l.members)] }

func (l *liar) each(f func(i int)) {
	for i := range l.members {
		f(i)
	}
}

// million puts as many empty directories into the frame, less a zero so that it
// does not take long: of 512 MB, most is the same.
func million(l *liar) {
	for i := range 1_000_000 / 128 {
		block := []byte(strings.Repeat(fmt.Sprintf("%-512s", fmt.Sprintf("d%d", i)), 128))
		l.parts = append(l.parts, part{frame: block[:64<<10]})
		l.stream += 64 << 10
	}
}

// TestHostileIndex deploys releases whose manifest vouches for an index that
// lies: either it is refused, and the host is as it was, or what is there is what
// the archive has. The same release with its own index comes to stand afterwards.
func TestHostileIndex(t *testing.T) {
	older, newer := versions(t)
	dir := t.TempDir()
	older.write(t, dir+"/older")
	newer.write(t, dir+"/newer")
	was, is := look(t, dir+"/older"), look(t, dir+"/newer")
	first, second := packed(t, dir+"/older", pack.Gzip), packed(t, dir+"/newer", pack.Gzip)
	bad := map[string][]byte{"nothing": nil, "junk": []byte("junk"), "half of it": second.index[:len(second.index)/2],
		"more than it": append(second.index[:len(second.index):len(second.index)], 0), "the older one's": first.index,
		"another version": append([]byte("stretcher index 2\n"), second.index[len(version):]...),
		"a bomb":          bomb(t, second)}
	for name, lie := range lies() {
		l := liarOf(t, second)
		lie(l)
		bad[name] = l.encode(t)
	}
	for name, data := range bad {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, h := newOrigin(t), newHost(t, "native")
			if status, log := h.deploy(o.publish("older", h.dest(), "native", first)); status != 0 {
				t.Fatalf("exit status %d\n%s", status, log)
			}
			status, log := h.deploy(o.publish("newer", h.dest(), "native", release{second.archive, data, ""}))
			got := look(t, h.live())
			if !(status == 0 && got == is) && !(status == 4 && got == was) {
				t.Errorf("exit status %d\n%s\nother than the archive's (+):\n%s", status, log, difference(got, is))
			}
			escaped := exists(h.path("escaped")) || exists("/escaped") || exists(h.path("tmp/escaped"))
			if escaped || strings.Contains(log, "panic") {
				t.Errorf("it has escaped: %v\n%s", escaped, log)
			}
			status, log = h.deploy(o.publish("again", h.dest(), "native", second))
			if got := look(t, h.live()); status != 0 || got != is {
				t.Errorf("afterwards: exit status %d\n%s\n%s", status, log, difference(got, is))
			}
		})
	}
}

// bomb has a frame of many zeros.
func bomb(t *testing.T, r release) []byte {
	z, err := zstd.NewWriter(nil)
	check(t, err)
	l := liarOf(t, r)
	l.parts = nil
	b := l.encode(t)
	return append(b, z.EncodeAll(make([]byte, 64<<20), nil)...)
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// TestHonestIndex holds that what TestHostileIndex is about happens at all: with
// its own index the newer release is fetched by ranges.
func TestHonestIndex(t *testing.T) {
	older, newer := versions(t)
	dir := t.TempDir()
	older.write(t, dir+"/older")
	newer.write(t, dir+"/newer")
	first, second := packed(t, dir+"/older", pack.Gzip), packed(t, dir+"/newer", pack.Gzip)
	if l := liarOf(t, second); sha256.Sum256(l.encode(t)) == [32]byte{} {
		t.Fatal("no index")
	}
	for _, strategy := range []string{"native", "releases", "rsync"} {
		t.Run(strategy, func(t *testing.T) {
			o, h := newOrigin(t), newHost(t, strategy)
			for _, c := range []struct {
				name string
				release
			}{{"older", first}, {"newer", second}} {
				if status, log := h.deploy(o.publish(c.name, h.dest(), strategy, c.release)); status != 0 {
					t.Fatalf("exit status %d\n%s", status, log)
				}
			}
			if got, want := look(t, h.live()), look(t, dir+"/newer"); got != want {
				t.Errorf("deployed (+), packed (-):\n%s", difference(got, want))
			}
			if sent := o.bytesOf("/newer.tar"); sent == 0 || sent > int64(len(second.archive)/5) {
				t.Errorf("%d of %d bytes were fetched", sent, len(second.archive))
			}
		})
	}
}
