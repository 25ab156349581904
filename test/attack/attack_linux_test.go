// Package attack deploys as root below directories of another user, who puts
// other things in the place of what a run is about to use. No round may end
// with a success of his: content of his own deployed, or something of root's
// changed that he may not change.
package attack

import (
	"os"
	"strings"
	"testing"

	"stretcher/internal/testparts"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "attack" {
		attack(os.Args[2], os.Args[3:])
		return
	}
	testparts.Main(m)
}

// rounds is how often each attack is tried. Most of what can be won is won in
// the first two.
func rounds() int {
	if os.Getenv("CI") == "true" {
		return 20
	}
	return 3
}

// TestAttacks: every strategy, TMPDIR in every kind of place.
func TestAttacks(t *testing.T) {
	needRoot(t)
	for _, kind := range []string{"temp", "dest"} {
		for _, strategy := range []string{"rsync", "native", "mv", "releases"} {
			for place := range places {
				t.Run(kind+"/"+strategy+"/"+place, func(t *testing.T) {
					if strategy == "rsync" {
						testparts.Need(t, "rsync")
					}
					attackOn(t, kind, strategy, place)
				})
			}
		}
	}
}

// TestAttackOnRollback: the way back is a deployment as well.
func TestAttackOnRollback(t *testing.T) {
	needRoot(t)
	for _, strategy := range []string{"rsync", "native", "releases"} {
		t.Run(strategy, func(t *testing.T) {
			h := newHost(t, "none")
			moves := 0
			for round := range rounds() {
				for _, version := range []int{2 * round, 2*round + 1} {
					if said := h.stretcher("keep.yml", "file://"+h.pack(strategy, version)); !strings.Contains(said, "deployed ") {
						t.Fatal(said)
					}
				}
				said := ""
				moves += h.under("dest", func() { said = h.stretcher("keep.yml", "rollback", h.dest) })
				h.judge(said)
			}
			if moves == 0 {
				t.Error("the stranger has done nothing")
			}
		})
	}
}

// needRoot skips the test where there is nobody to be attacked.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("root alone can be attacked here")
	}
	t.Skip("root alone can be attacked")
}

func attackOn(t *testing.T, kind, strategy, place string) {
	h := newHost(t, place)
	moves, good := 0, 0
	for round := range rounds() {
		if strategy != "mv" && round == 0 {
			h.deploy(h.pack(strategy, 100))
		}
		manifest := h.pack(strategy, round)
		said := ""
		moves += h.under(kind, func() { said = h.deploy(manifest) })
		h.judge(said)
		if strings.Contains(said, "deployed ") {
			good++
		}
		if strategy == "mv" {
			must(t, os.RemoveAll(h.dest))
		}
	}
	t.Logf("%d rounds, %d of them deployed, %d moves", rounds(), good, moves)
	if kind == "dest" && moves == 0 {
		t.Error("the stranger has done nothing")
	}
	if kind == "temp" && good == 0 {
		t.Error("nothing was deployed")
	}
}
