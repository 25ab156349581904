package journal

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"stretcher/internal/journal/history"
	"stretcher/internal/journal/runlog"
	"stretcher/internal/journal/state"
	"stretcher/internal/text/runid"
)

// temp makes a temporary directory of a run, with something in it.
func temp(t *testing.T, run string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), runid.TempPrefix(run)+"0")
	file(t, filepath.Join(dir, "tree", "a"))
	return dir
}

// Only directories with names that this program gives to the run go.
func TestDirsOf(t *testing.T) {
	run, other := newID(), newID()
	own := "/tmp/" + runid.TempPrefix(run) + "0"
	for dir, want := range map[string]bool{
		own: true, "/srv/" + runid.TempPrefix(run) + "12": true,
		"/srv/app":                              false,
		"/":                                     false,
		"":                                      false,
		"/srv/" + runid.TempPrefix(run):         false,
		"/srv/" + runid.TempPrefix(run) + "x":   false,
		runid.TempPrefix(run) + "0":             false,
		"/tmp/" + runid.TempPrefix(other) + "0": false,
		own + "/":                               false,
		own + "/..":                             false,
		own + "/../app":                         false,
		own + "/.":                              false,
		"/x/../" + own:                          false,
		own + "\x00":                            false,
		own + "0/app":                           false,
	} {
		if got := dirsOf(history.Run{ID: run, Process: history.Process{Staging: []string{dir}}}); (len(got) == 1) != want {
			t.Errorf("%q: %q, want removed: %v", dir, got, want)
		}
	}
	nameless := history.Run{Process: history.Process{Staging: []string{"/tmp/.stretcher--0"}}}
	if got := dirsOf(nameless); len(got) != 0 {
		t.Errorf("a run without an id: %q", got)
	}
}

// A damaged or foreign row deletes no tree.
func TestForeignRow(t *testing.T) {
	j := open(t, "")
	app := filepath.Join(t.TempDir(), "srv", "app")
	file(t, filepath.Join(app, "index.html"))
	died := aRun(false)
	others := temp(t, newID())
	died.Staging = []string{app, others, temp(t, died.ID)}
	nameless := aRun(false)
	nameless.ID = "../" + filepath.Base(app)
	nameless.Staging = []string{app}
	for _, run := range []history.Run{died, nameless} {
		j.try(func(ctx context.Context, db *history.Store) error { return db.Begin(ctx, run) })
	}
	j.ClearDied(Hooks{})
	if !exists(filepath.Join(app, "index.html")) || !exists(others) || exists(died.Staging[2]) {
		t.Errorf("app is there: %v, that of another run: %v, the run's own: %v",
			exists(app), exists(others), exists(died.Staging[2]))
	}
}

// What a run that was reported dead has left goes, unless the process is
// there after all; containers are not tried again.
func TestClearAgain(t *testing.T) {
	for _, alive := range []bool{true, false} {
		run := aRun(alive)
		run.Staging = []string{temp(t, run.ID)}
		j := open(t, "")
		j.Begin(run, false)
		j.Containers(true)
		j.try(func(ctx context.Context, db *history.Store) error {
			_, err := db.Died(ctx, func(int, string) bool { return false })
			return err
		})
		tried := 0
		for range 2 {
			j.cleared = map[string]bool{} // as the next run has it
			j.ClearDied(Hooks{RemoveContainers: func(string) error { tried++; return errors.New("the engine hangs") }})
		}
		there := exists(run.Staging[0])
		if there != alive || j.dir.Containers(run.ID) != alive || (tried == 0) != alive || tried > 1 {
			t.Errorf("process alive: %v; staging is there: %v, containers noted: %v, tried %d times",
				alive, there, j.dir.Containers(run.ID), tried)
		}
	}
}

// sleeper starts a process that has mark in its environment, and says what
// became of it.
func sleeper(t *testing.T, mark ...string) (pid int, killed func() bool) {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	cmd.Env = mark
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	must(t, cmd.Start())
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd.Process.Pid, func() bool {
		_ = cmd.Process.Signal(os.Interrupt) // ends one that nobody has killed
		err := <-done
		return err != nil && strings.Contains(err.Error(), "killed")
	}
}

// Every kind of what a run leaves goes when it has died, of those that have a
// row and of those that have none, and nothing of one that goes on.
func TestEachLeavingGoes(t *testing.T) {
	for name, begin := range map[string]func(j *Journal, alive bool) string{
		"deployment": func(j *Journal, alive bool) string {
			run := aRun(alive)
			j.Begin(run, false)
			return run.ID
		},
		"hooks run": func(j *Journal, alive bool) string {
			run := aRun(alive)
			j.run = history.Run{ID: run.ID}
			must(t, j.dir.SetOwner(run.ID, state.Owner{What: "hooks run", PID: run.PID, Start: run.ProcStart}))
			db := j.db
			j.db = nil // as OpenNotes leaves it
			t.Cleanup(func() { _ = db.Close() })
			return run.ID
		},
	} {
		for _, alive := range []bool{false, true} {
			testEachLeaving(t, name, alive, begin)
		}
	}
}

func testEachLeaving(t *testing.T, name string, alive bool, begin func(*Journal, bool) string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	j := open(t, dir)
	run := begin(j, alive)
	staging := temp(t, run)
	j.Leave(staging)
	group, groupKilled := sleeper(t, Mark(run))
	_, startingKilled := sleeper(t, j.Starting(nil)...)
	must(t, j.dir.SetGroups(run, group))
	_, hookKilled := sleeper(t, Mark(run), "HOOK=1")
	j.Containers(true)
	record := file(t, j.dir.Tree(run))

	var said bytes.Buffer
	next, err := Open(t.Context(), dir, runlog.New(runlog.Options{Writers: []io.Writer{&said}}))
	must(t, err)
	defer next.Close()
	var removed []string
	next.ClearDied(Hooks{Mark: "HOOK", RemoveContainers: func(run string) error {
		removed = append(removed, run)
		return nil
	}})
	for what, gone := range map[string]bool{
		"group": groupKilled(), "starting": startingKilled(), "hook": hookKilled(),
		"containers": slices.Contains(removed, run), "directory": !exists(staging), "record": !exists(record),
		"notes": len(names(t, filepath.Join(dir, "running"))) == 0, "said": strings.Contains(said.String(), run),
	} {
		if gone == alive {
			t.Errorf("%s, process alive: %v: %s is gone: %v", name, alive, what, gone)
		}
	}
}

func names(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// A command's own notes go at its end, and all that it noted is read back.
func TestCommandNotes(t *testing.T) {
	j := open(t, "")
	db := j.db
	j.db = nil
	t.Cleanup(func() { _ = db.Close() })
	id := newID()
	j.BeginCommand(id, "hooks install")
	odd := "/tmp/a \"b\"\n\xff"
	j.Leave(odd)
	owner := j.dir.Owners()[id]
	if owner.What != "hooks install" || owner.PID != os.Getpid() || !slices.Equal(owner.Dirs, []string{odd}) {
		t.Errorf("noted: %+v", owner)
	}
	j.Containers(true)
	j.EndCommand()
	if left := names(t, filepath.Join(j.dir.Path(), "running")); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}

// The list says of each kind who leaves it, by what it is found and who
// removes it, and docs/operations.md names it.
func TestLeavingsAreComplete(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	must(t, err)
	for _, l := range leavings() {
		if l.what == "" || l.of == "" || l.noted == "" || l.remover == "" || (l.remove != nil) != (l.remover == anyRun) {
			t.Errorf("%q is not described, or removed by somebody else", l.what)
		}
		if !strings.Contains(string(page), "| "+l.what+" |") {
			t.Errorf("docs/operations.md does not name the %s", l.what)
		}
	}
}

// Where others can rename, a name tells nothing: what has it stays, and no run
// says so twice. A symlink in the name's place goes, not what it leads to.
func TestExposedPlaces(t *testing.T) {
	died := aRun(false)
	shared := filepath.Join(t.TempDir(), "shared")
	must(t, os.Mkdir(shared, 0o700))
	must(t, os.Chmod(shared, 0o777))
	victim := file(t, filepath.Join(shared, runid.TempPrefix(died.ID)+"0", "victim"))
	target := file(t, filepath.Join(t.TempDir(), "app", "index.html"))
	link := filepath.Join(t.TempDir(), runid.TempPrefix(died.ID)+"1")
	must(t, os.Symlink(filepath.Dir(target), link))
	died.Staging = []string{filepath.Dir(victim), link, filepath.Join(t.TempDir(), "gone", runid.TempPrefix(died.ID)+"2")}

	j := open(t, "")
	j.try(func(ctx context.Context, db *history.Store) error { return db.Begin(ctx, died) })
	j.ClearDied(Hooks{})
	if !exists(victim) || exists(link) || !exists(target) {
		t.Errorf("there: in a shared directory %v, the link %v, where it leads %v",
			exists(victim), exists(link), exists(target))
	}
	if j.hasLeft(died) {
		t.Error("each run will try again")
	}
}
