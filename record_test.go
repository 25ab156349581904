package main

import (
	"os"
	"slices"
	"testing"

	"stretcher/internal/history"
	"stretcher/internal/process"
	"stretcher/internal/state"
)

// TestBegin: from before a command starts until it has ended there is
// always something noted by which the next run finds it.
func TestBegin(t *testing.T) {
	dir, err := state.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c := &recorder{dir: dir, row: history.Run{ID: "r"}}
	env := c.begin([]string{"PATH=" + os.Getenv("PATH")})
	mark := env[len(env)-1]
	if dir.Starting("r") != mark || len(dir.Groups("r")) != 0 {
		t.Errorf("before the start %q and groups %d are noted, want %q", dir.Starting("r"), dir.Groups("r"), mark)
	}
	_, err = process.Run(t.Context(), process.Command{Path: "true", Env: env, Started: func(pid int) {
		c.setGroup(pid)
		if dir.Starting("r") != "" || !slices.Equal(dir.Groups("r"), []int{pid}) {
			t.Errorf("after the start %q and groups %d are noted, want %d", dir.Starting("r"), dir.Groups("r"), pid)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	c.setGroup(0)
	if dir.Starting("r") != "" || dir.Groups("r") != nil {
		t.Errorf("at the end %q and groups %d are noted", dir.Starting("r"), dir.Groups("r"))
	}
	if again := c.begin(nil); slices.Equal(again, []string{mark}) {
		t.Error("two commands have the same mark")
	}
}
