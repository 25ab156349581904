// Package crash stops the program at each point where it can be stopped, and
// looks at what is left and at what the next run makes of it.
//
// Its words: a world is the directory that one case runs in, a crash is a row of
// the table (table_test.go has its test, cases_test.go the rows and the pairs
// that there are not), a sweep stops runs before each system call that changes
// names, a tracer is what does so.
package crash

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"stretcher/internal/manifest"
	"stretcher/internal/testparts"
)

// TestMain removes the programs that the tests have built.
func TestMain(m *testing.M) { testparts.Main(m) }

// The strategies, as manifests name them.
const (
	strategyRsync    = "rsync"
	strategyMv       = "mv"
	strategyNative   = "native"
	strategyReleases = "releases"
)

// Exit statuses, as the README lists them.
const (
	exitGood      = 0
	exitFailed    = 1
	exitMalformed = 3
	exitRefused   = 4
	exitBusy      = 75
	exitSignal    = 128
)

// What a dest of TestCrash is, as describeDest has it.
const (
	oldTree = "a=1 b=1 gone=1"
	newTree = "a=2 b=2 fresh=2"
	absent  = "absent"
	mixture = "mixture" // of each file the old or the new one
)

const (
	manyFiles = 6000    // of the archive that takes long to extract
	zeroBytes = 8 << 20 // of a file that takes no room in the archive
)

// crashArchives makes the archives that worlds deploy: small is the new tree,
// the others have more than that. cut is broken.
func crashArchives(t *testing.T) map[string][]byte {
	random := make([]byte, 1<<20)
	rng := rand.NewChaCha8([32]byte{})
	_, _ = rng.Read(random)
	small := map[string]string{"a": "2\n", "b": "2\n", "fresh": "2\n"}
	with := func(more map[string]string) map[string]string {
		for name, text := range small {
			more[name] = text
		}
		return more
	}
	many := map[string]string{}
	for i := range manyFiles {
		many[fmt.Sprintf("many/%05d", i)] = "x"
	}
	all := map[string][]byte{
		"small":  gzipped(t, small),
		"many":   gzipped(t, with(many)),
		"old":    gzipped(t, map[string]string{"a": "1\n", "b": "1\n", "gone": "1\n"}, -1),
		"zeros":  gzipped(t, with(map[string]string{"big": strings.Repeat("\x00", zeroBytes)})),
		"random": gzipped(t, with(map[string]string{"big": string(random)})),
	}
	all["cut"] = all["small"][:len(all["small"])/2]
	return all
}

// gzipped is a tar archive of files that are older than any old tree; their
// times are some seconds apart from those of other archives.
func gzipped(t *testing.T, files map[string]string, seconds ...int64) []byte {
	mtime := time.Unix(1e9, 0)
	for _, s := range seconds {
		mtime = mtime.Add(time.Duration(s) * time.Second)
	}
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	tw := tar.NewWriter(z)
	for name, text := range files {
		mode := int64(0o644)
		if strings.HasPrefix(name, "bin/") {
			mode = 0o755
		}
		h := &tar.Header{Name: name, Mode: mode, Size: int64(len(text)), ModTime: mtime, Typeflag: tar.TypeReg}
		if err := tw.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// describeDest names what is at path: files with their text (or size, when they
// are large), directories with the number of their entries.
func describeDest(path string) string {
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return absent
	case !info.IsDir():
		return "file"
	}
	var parts []string
	entries, _ := os.ReadDir(path)
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(path, e.Name()))
		text := strings.TrimSpace(string(data))
		if len(data) > 80 {
			text = strconv.Itoa(len(data))
		}
		if err != nil {
			inside, _ := os.ReadDir(filepath.Join(path, e.Name()))
			text = strconv.Itoa(len(inside))
		}
		parts = append(parts, e.Name()+"="+text)
	}
	return strings.Join(parts, " ")
}

// world is what one case runs in: its directory holds
//
//	www/        what is served: manifest.yml and app.tar.gz
//	srv/app     dest, an old tree at first
//	tmp/        TMPDIR
//	state/      the state directory
//	bin/rsync   runs faults/rsync, then rsync
//	faults/     shell code that makes a command (pre, pre2, ...) or rsync go wrong
//	order       the names of the commands that have begun
//	mark        made by faults that hang
type world struct {
	t        *testing.T
	dir      string
	bin      string // the program
	strategy string
	back     bool   // the runs are rollbacks
	to       string // the run to go back to
	archives map[string][]byte
	archive  string // the archive that is served
	extra    string // more lines of the manifest
	hangs    string // the command that has a timeout; "" = none
	shared   string // what releases share
	quiet    bool   // the manifest has no commands
	gate     *gate
	url      string
	holder   *child // has the lock, if it is not nil
}

func newWorld(t *testing.T, c crash, archives map[string][]byte) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), bin: testparts.Program(t), strategy: c.strategy, back: c.back,
		archives: archives, archive: "small", shared: "log/", hangs: c.hangs, quiet: c.quiet}
	for _, dir := range []string{"www", "srv", "tmp", "state", "bin", "faults", "home"} {
		if err := os.Mkdir(w.path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w.gate = &gate{kinds: map[string]string{}, Server: testparts.NewServer(w.path("www"), w.path("requests"))}
	srv := httptest.NewServer(w.gate)
	w.url = srv.URL
	t.Cleanup(func() { w.gate.Close(); srv.CloseClientConnections(); srv.Close() })
	t.Cleanup(w.killAll)
	w.write("bin/rsync", "#!/bin/sh\nRSYNC="+testparts.Need(t, "rsync")+
		"\ntest ! -e $WORK/faults/rsync || . $WORK/faults/rsync\nexec $RSYNC \"$@\"\n")
	if w.back {
		w.deployBoth()
	} else {
		w.seed()
	}
	return w
}

// killAll ends what a failed test has left running.
func (w *world) killAll() {
	for _, p := range testparts.ProcessesOf(w.dir) {
		pid, _, _ := strings.Cut(p, " ")
		if n, err := strconv.Atoi(pid); err == nil {
			_ = syscall.Kill(n, syscall.SIGKILL)
		}
	}
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(w.path(name), []byte(text), 0o755); err != nil {
		w.t.Fatal(err)
	}
}

// read returns the text of a file, "" when there is none.
func (w *world) read(name string) string {
	data, _ := os.ReadFile(w.path(name))
	return string(data)
}

func (w *world) exists(name string) bool {
	_, err := os.Lstat(w.path(name))
	return err == nil
}

// seed puts the old tree at dest.
func (w *world) seed() {
	w.t.Helper()
	if w.strategy == strategyReleases {
		w.seedReleases()
	} else {
		w.seedIn("srv/app")
	}
}

func (w *world) seedIn(dir string) {
	w.t.Helper()
	if err := os.MkdirAll(w.path(dir), 0o755); err != nil {
		w.t.Fatal(err)
	}
	for _, e := range strings.Fields(oldTree) {
		name, text, _ := strings.Cut(e, "=")
		w.write(dir+"/"+name, text+"\n")
	}
}

// live is the directory of the tree that is deployed, without a symlink.
func (w *world) live() string {
	if w.strategy != strategyReleases {
		return w.path("srv/app")
	}
	dir, err := filepath.EvalSymlinks(w.path("srv/app/current"))
	if err != nil {
		return w.path("srv/nowhere")
	}
	return dir
}

// describe names what is deployed, without what releases share.
func (w *world) describe() string {
	return strings.Replace(describeDest(w.live()), " log=0", "", 1)
}

// newTree is what dest is after a good deployment.
func (w *world) newTree() string {
	switch w.archive {
	case "many":
		return newTree + " many=" + strconv.Itoa(manyFiles)
	case "zeros":
		return "a=2 b=2 big=" + strconv.Itoa(zeroBytes) + " fresh=2"
	case "random":
		return "a=2 b=2 big=" + strconv.Itoa(1<<20) + " fresh=2"
	default:
		return newTree
	}
}

// staged is the pattern of what is being extracted.
func (w *world) staged(name string) string {
	if w.strategy == strategyRsync {
		return w.path("tmp/.stretcher-*/tree/" + name)
	}
	return w.path("srv/.stretcher-*/tree/" + name)
}

func (w *world) manifestURL() string { return w.url + "/manifest.yml" }

// writeManifest writes the manifest and the archive that it names. The mv
// strategy replaces nothing, so pre2 removes dest.
func (w *world) writeManifest() {
	w.t.Helper()
	data := w.archives[w.archive]
	w.write("www/app.tar.gz", string(data))
	var b strings.Builder
	fmt.Fprintf(&b, "src: %s/app.tar.gz\nchecksum: sha256:%x\ndest: %s\nsync_strategy: %s\n%s",
		w.url, sha256.Sum256(data), w.path("srv/app"), w.strategy, w.extra)
	if w.strategy == strategyReleases {
		fmt.Fprintf(&b, "releases: {keep: %d, shared: [%s]}\n", keptReleases, w.shared)
	}
	if !w.quiet {
		w.writeCommands(&b)
	}
	w.write("www/manifest.yml", b.String())
}

func (w *world) writeCommands(b *strings.Builder) {
	b.WriteString("commands:\n")
	for _, p := range new(manifest.Commands).Points() {
		fmt.Fprintf(b, "  %s:\n", p.Name)
		for _, name := range []string{p.Name, p.Name + "2"} {
			fmt.Fprintf(b, "    - {run: %q", w.commandLine(name))
			if name == w.hangs {
				fmt.Fprintf(b, ", timeout: %d", patience())
			}
			b.WriteString("}\n")
		}
	}
	if w.strategy == strategyReleases {
		fmt.Fprintf(b, "hooks: {pre_prune: [{run: %q}]}\n", w.faulty("pre_prune"))
	}
}

func (w *world) commandLine(name string) string {
	line := "echo " + name + " >> $WORK/order; "
	if name == "pre2" && w.strategy == strategyMv {
		line += "rm -rf \"$STRETCHER_DEST\" || exit; "
	}
	return line + w.faulty(name)
}

// faulty is shell code that meets its fault the first time it runs.
func (*world) faulty(name string) string {
	fault := "$WORK/faults/" + name
	return "test ! -e " + fault + " || { mv " + fault + " " + fault + ".met; . " + fault + ".met; }"
}

// fault makes a command or rsync go wrong.
func (w *world) fault(name, code string) { w.write("faults/"+name, code+"\n") }

// mend removes faults and what holds the lock.
func (w *world) mend() {
	w.t.Helper()
	faults, _ := filepath.Glob(w.path("faults/*"))
	for _, name := range faults {
		if err := os.Remove(name); err != nil {
			w.t.Fatal(err)
		}
	}
	w.gate.set("manifest.yml", "")
	w.gate.set("app.tar.gz", "")
	w.extra, w.hangs, w.shared = "", "", "log/"
	if w.holder == nil {
		return
	}
	if err := os.Remove(w.path("hold")); err != nil {
		w.t.Fatal(err)
	}
	if got := w.holder.wait(); got != exitGood {
		w.t.Fatalf("the holder of the lock: exit status %d", got)
	}
}

// holdLock runs a deployment whose pre command goes on until mend.
func (w *world) holdLock() { w.hold(w.path("srv/app")) }

func (w *world) hold(dest string) {
	w.t.Helper()
	w.write("hold", "")
	w.write("www/holder.yml", "dest: "+dest+
		"\ncommands: {pre: [\"touch $WORK/held; while test -e $WORK/hold; do sleep 0.05; done\"]}\n")
	w.holder = w.start("holder", "", w.url+"/holder.yml")
	if !w.holder.await(func() bool { return w.exists("held") }) {
		w.t.Fatal("the lock is not held")
	}
}

// mount mounts on a directory of the world, until the test ends or unmount.
func (w *world) mount(dir string, args ...string) {
	w.t.Helper()
	out, err := exec.Command("mount", append(args, w.path(dir))...).CombinedOutput()
	if err != nil {
		if os.Getenv("CI") == "true" {
			w.t.Fatalf("mount %q: %v: %s", args, err, out)
		}
		w.t.Skipf("mount is not permitted: %s", out)
	}
	mounting(dir)(w)
}

// mounting says that something will be mounted on a directory.
func mounting(dir string) func(*world) {
	return func(w *world) {
		w.t.Cleanup(func() {
			w.killAll()
			_ = exec.Command("umount", "-l", w.path(dir)).Run() // not there after unmount
		})
	}
}

// tmpfs makes dir a file system of its own with room for so many KiB.
func (w *world) tmpfs(dir string, kib int) {
	w.t.Helper()
	w.mount(dir, "-t", "tmpfs", "-o", fmt.Sprintf("mode=755,size=%dk", kib), "tmpfs")
}

// grow gives a tmpfs of a full disk more room.
func (w *world) grow(dir string) {
	w.t.Helper()
	if out, err := exec.Command("mount", "-o", "remount,size=64m", w.path(dir)).CombinedOutput(); err != nil {
		w.t.Fatalf("remount: %v: %s", err, out)
	}
}

// readOnly makes what is below dir read-only.
func (w *world) readOnly(dir string) {
	w.t.Helper()
	w.mount(dir, "--bind", w.path(dir))
	if out, err := exec.Command("mount", "-o", "remount,bind,ro", w.path(dir)).CombinedOutput(); err != nil {
		w.t.Fatalf("remount: %v: %s", err, out)
	}
}

func (w *world) unmount(dir string) {
	w.t.Helper()
	if out, err := exec.Command("umount", w.path(dir)).CombinedOutput(); err != nil {
		w.t.Fatalf("umount: %v: %s", err, out)
	}
}

// begin runs what the case is about: a deployment, asked for by an event, or a
// rollback.
func (w *world) begin(name string, args ...string) *child {
	w.t.Helper()
	if w.back {
		return w.start(name, "", append(w.rollback(), args...)...)
	}
	return w.start(name, w.event(), args...)
}

func (w *world) rollback() []string { return []string{"rollback", w.path("srv/app"), "--to", w.to} }

// event is the Consul event that asks for the case's deployment.
func (w *world) event() string {
	payload := base64.StdEncoding.EncodeToString([]byte(w.manifestURL()))
	b, _ := json.Marshal([]map[string]any{{"ID": "e5d1f7b4-0c0e-4b3e-9d55-2f1c3a7f9c11", "Name": "deploy",
		"Payload": payload, "LTime": 7}})
	return string(b)
}

// gate is a server that can be told to serve a file badly and well again
// without a change of its URL.
type gate struct {
	*testparts.Server
	mu    sync.Mutex
	kinds map[string]string // by file: "stall", "status/404", ..., "unsized"; "" = well
}

func (g *gate) set(name, kind string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.kinds[name] = kind
}

func (g *gate) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	name := path.Base(r.URL.Path)
	g.mu.Lock()
	kind := g.kinds[name]
	g.mu.Unlock()
	switch kind {
	case "":
	case "unsized":
		data, _ := os.ReadFile(filepath.Join(g.Dir, name))
		rw.(http.Flusher).Flush() // so that there is no Content-Length
		_, _ = rw.Write(data)
		return
	default:
		r.URL.Path = "/" + kind + "/" + name
	}
	g.Server.ServeHTTP(rw, r)
}
