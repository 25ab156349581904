package examples

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"stretcher/internal/testparts"
)

// TestLoadCounts: the program that loads the site finds each kind of answer that a
// deployment must not cause.
func TestLoadCounts(t *testing.T) {
	bin := testparts.Build(t, "load", "./examples/site/load", "CGO_ENABLED=0")
	const page, asset = "version 1 asset /a.js\n version 1\n", "version 1 \n version 1\n"
	const mixed = "version 1 asset /a.js\n version 2\n"
	for name, tt := range map[string]struct{ page, asset, wrong string }{
		"all is well":                 {page: page, asset: asset},
		"no page":                     {wrong: "404 Not Found"},
		"an empty page":               {page: "\n", wrong: "not of one version"},
		"half a page":                 {page: page[:len(page)-2], wrong: "not of one version"},
		"a page of two versions":      {page: mixed, asset: asset, wrong: "not of one version"},
		"no asset":                    {page: page, wrong: "404 Not Found"},
		"half an asset":               {page: page, asset: asset[:14], wrong: "not of one version"},
		"an asset of another version": {page: page, asset: "version 2 \n version 2\n", wrong: "its page of 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			said, ok := load(t, bin, map[string]string{"/": tt.page, "/a.js": tt.asset})
			none := strings.Contains(said, " 0 failed, 1 versions")
			if ok != (tt.wrong == "") || ok != none || !strings.Contains(said, tt.wrong) {
				t.Errorf("good: %v, it says %.300s", ok, said)
			}
		})
	}
}

// load visits a site of these files, those that are "" are not there, until it has
// been asked a few times.
func load(t *testing.T, bin string, files map[string]string) (said string, ok bool) {
	t.Helper()
	var asked atomic.Int32
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if files[r.URL.Path] == "" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, files[r.URL.Path])
	}))
	defer site.Close()
	cmd := exec.Command(bin, site.URL, filepath.Join(t.TempDir(), "seen"))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	testparts.WaitFor(t, "some requests", func() bool { return asked.Load() > 10 })
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && err != os.ErrProcessDone {
		t.Error(err)
	}
	err := cmd.Wait()
	return out.String(), err == nil
}
