package dir

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"stretcher/internal/fleet"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.json": `{"name":"web","result":"good","node":"somebody-else"}` + "\r\n", "b.json": "", "c.json": "[]",
		"d.json": `{"name":"web","result":"good","error":"` + strings.Repeat("x", 2000) + `"}`,
		"e.txt":  `{"name":"web","result":"good"}`, ".json": "", ".f.json": "{}",
	} {
		write(t, filepath.Join(dir, name), text)
	}
	if err := os.Mkdir(filepath.Join(dir, "g.json"), 0o755); err != nil {
		t.Fatal(err)
	}
	results, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range results {
		got = append(got, r.Node+" "+r.Result)
		if r.Node != "a" && !strings.HasPrefix(r.Error, "its result can't be read: ") {
			t.Errorf("%+v", r)
		}
	}
	if want := []string{"a good", "b failed", "c failed", "d failed", "g failed"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := Read(filepath.Join(dir, "none")); err == nil {
		t.Error("what is not there has results")
	}
}

// TestReadAnyResult: what Encode makes of a result, Read takes.
func TestReadAnyResult(t *testing.T) {
	dir := t.TempDir()
	r := fleet.Result{Name: "web", Result: "failed", Error: strings.Repeat("\x00é", 3000), Finished: time.Unix(1, 0).UTC()}
	b, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "h.json"), string(b)+"\n")
	got, err := Read(dir)
	if err != nil || len(got) != 1 || got[0].Name != "web" || !got[0].Finished.Equal(r.Finished) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestHosts(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hosts")
	write(t, file, "# all of them\ndeploy@web-1  # the first\n\n\tweb-2\r\nweb-3 more\n")
	got, err := Hosts(file)
	if want := []string{"web-1", "web-2", "web-3"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
	for _, text := range []string{"", "# none\n", strings.Repeat("x", maxHosts+1)} {
		write(t, file, text)
		if got, err := Hosts(file); err == nil {
			t.Errorf("%d bytes: %.20q", len(text), got)
		}
	}
}

// TestReadOthers: what is no plain file of its own is not followed, waited for or read
// without end.
func TestReadOthers(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(t.TempDir(), "secret")
	write(t, secret, `{"result":"good","version":"secret"}`)
	big, err := os.Create(filepath.Join(dir, "big.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(big.Truncate(1<<40), big.Close(), os.Symlink(secret, filepath.Join(dir, "link.json")),
		os.Symlink("loop.json", filepath.Join(dir, "loop.json")), os.Symlink("none", filepath.Join(dir, "gone.json")),
		syscall.Mkfifo(filepath.Join(dir, "fifo.json"), 0o600)); err != nil {
		t.Fatal(err)
	}
	results, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Node != "link" && (r.Result != "failed" || r.Version != "") {
			t.Errorf("%+v", r)
		}
	}
}

// FuzzRead: a file holds one result, of the host that it is named after, or tells that
// it failed.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"result":"good","node":"x"}`))
	f.Add([]byte("\xef\xbb\xbf{}"))
	f.Add([]byte(strings.Repeat("[", 2000)))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "h.json"), string(data))
		got, err := Read(dir)
		if err != nil || len(got) != 1 || got[0].Node != "h" || got[0].Result == "" {
			t.Errorf("%+v, %v", got, err)
		}
	})
}
