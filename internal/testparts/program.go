package testparts

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// NoExitSleep is the setting of the race detector's own variable by which a
// program built with it ends at once. By default each of its processes sleeps
// for a second at its end. Tests that give a program an environment of their own
// add it.
const NoExitSleep = "GORACE=atexit_sleep_ms=0"

// Main is what TestMain of a package calls that runs the program. It removes
// what Program and Shipped have built, when all tests are done.
func Main(m *testing.M) {
	Wide()
	defer func() { _ = os.RemoveAll(builds.dir) }()
	m.Run()
}

// Wide lets more parallel tests run at once than there are processors, for tests
// that wait for other processes most of the time. TestMain calls it; the flag
// -parallel of `go test` wins.
func Wide() {
	// It is a flag that all tests have.
	_ = flag.Set("test.parallel", strconv.Itoa(4*runtime.GOMAXPROCS(0)))
}

// builds are the programs of this test process.
var builds struct {
	sync.Mutex
	dir  string
	made map[string]build
}

type build struct {
	bin string
	err error
}

// Program gives the path of the program under test, named stretcher. It has the
// race detector where the test has it.
func Program(t testing.TB) string {
	t.Helper()
	if !Race {
		return Shipped(t)
	}
	// Without -trimpath it is made of the packages that `go test -race` compiles.
	return Build(t, "stretcher", ".", "CGO_ENABLED=1", "-race")
}

// Shipped gives the path of the program as it ships: static, and without the
// race detector.
func Shipped(t testing.TB) string {
	t.Helper()
	return Build(t, "stretcher", ".", "CGO_ENABLED=0", "-trimpath", "-ldflags=-s -w")
}

// Build builds a program of this module, once for all tests of a process, and
// gives its path. pkg is its package as `go build` has it, from the module's
// root. TestMain must call Main.
func Build(t testing.TB, name, pkg, cgo string, flags ...string) string {
	t.Helper()
	builds.Lock()
	defer builds.Unlock()
	key := strings.Join(append([]string{name, pkg, cgo}, flags...), " ")
	b, made := builds.made[key]
	if !made {
		b.bin, b.err = goBuild(name, pkg, cgo, flags)
		if builds.made == nil {
			builds.made = map[string]build{}
		}
		builds.made[key] = b
	}
	if b.err != nil {
		t.Fatal(b.err)
	}
	return b.bin
}

func goBuild(name, pkg, cgo string, flags []string) (string, error) {
	root := repoRoot()
	if err := readSources(root); err != nil {
		return "", err
	}
	if builds.dir == "" {
		dir, err := os.MkdirTemp("", "stretcher-build-")
		if err != nil {
			return "", err
		}
		builds.dir = dir
	}
	// A directory of its own: what runs the program may find it in PATH.
	bin := filepath.Join(builds.dir, fmt.Sprint(len(builds.made)), name)
	args := append([]string{"build", "-buildvcs=false", "-tags", "disable_grpc_modules", "-o", bin}, flags...)
	cmd := exec.Command("go", append(args, pkg)...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s: %w\n%s", pkg, err, out)
	}
	return bin, nil
}

// readSources lists all directories with sources. `go test` takes an earlier
// result only when the files that the test has read are the same, and it does
// not see what `go build` reads.
func readSources(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != root && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		return err
	})
}
