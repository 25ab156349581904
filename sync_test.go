package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stretcher/internal/manifest"
	"stretcher/internal/strategy"
)

// refusing is a strategy that finds a layout it would destroy.
type refusing struct {
	strategy.Strategy
	err     error
	checked bool
}

func (r *refusing) CheckLayout() error { return r.err }

func (r *refusing) Check() error {
	r.checked = true
	return nil
}

// TestCheck: a layout that has been refused is looked at no further.
func TestCheck(t *testing.T) {
	r := &refusing{err: errors.New("refused")}
	if err := (Spec{Strategy: r}).check(); !errors.Is(err, r.err) || r.checked {
		t.Errorf("err = %v, checked: %v", err, r.checked)
	}
	r.err = nil
	if err := (Spec{Strategy: r}).check(); err != nil || !r.checked {
		t.Errorf("err = %v, checked: %v", err, r.checked)
	}
}

// TestIsThere: what can't be looked at is not said to be gone.
func TestIsThere(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	loop := filepath.Join(dir, "loop")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Symlink(loop, loop)); err != nil {
		t.Fatal(err)
	}
	for dest, want := range map[string]string{
		dir:                      "",
		file:                     "is gone, a command or hook has removed it: ",
		filepath.Join(file, "x"): "is gone, a command or hook has removed it: ",
		filepath.Join(dir, "x"):  "is gone, a command or hook has removed it: ",
		loop:                     "can't be looked at: ",
		filepath.Join(dir, strings.Repeat("x", 300)): "can't be looked at: ",
	} {
		r := run{synced: true}
		r.spec.Loaded = &manifest.Loaded{Manifest: &manifest.Manifest{Dest: dest}}
		said := ""
		if err := r.isThere(); err != nil {
			said = strings.TrimPrefix(err.Error(), "what was deployed ")
		}
		if !strings.HasPrefix(said, want) || want == "" && said != "" {
			t.Errorf("%.60q: %s", dest, said)
		}
	}
}
