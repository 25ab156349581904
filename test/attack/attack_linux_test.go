// Package attack deploys as root below directories of another user, who puts
// other things in the place of what a run is about to use. No round may end
// with a success of his: content of his own deployed, or something of root's
// changed that he may not change.
//
// A round counts for something when he has really moved what the run was about
// to use, and the run went on: each test asks for that. Temporary directories
// lie where he can't move them. There the tests ask that he has moved nothing
// but the decoy, which lies where such a directory would have been lost.
package attack

import (
	"os"
	"syscall"
	"testing"

	"stretcher/internal/testparts"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "attack" {
		attack(os.Args[2], os.Args[3:])
		return
	}
	if own, err := os.Executable(); err == nil {
		_ = os.Chmod(own, 0o755) // the stranger runs it
	}
	syscall.Umask(0o022) // and sees what is deployed
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

// score is what an attack has come to.
type score struct {
	rounds int
	good   int // rounds that deployed
	met    int // rounds that deployed, and in which something was moved
	moves  int
	tries  int
}

// play plays rounds of an attack, and some more until it has met a run that
// went well. prepare makes ready for a round and returns the run.
func (h *host) play(kind string, prepare func(round int) (run func() result)) (s score) {
	h.t.Helper()
	for s.rounds < rounds() || kind != "temp" && s.met == 0 && s.rounds < 10*rounds() {
		run := prepare(s.rounds)
		h.lure(s.rounds)
		var got result
		moves, tries := h.under(kind, s.rounds, func() { got = run() })
		h.judge(got.said)
		s.rounds++
		s.moves += moves
		s.tries += tries
		if got.good {
			s.good++
		}
		if got.good && moves > 0 {
			s.met++
		}
		if kind == "temp" && !got.good {
			h.t.Errorf("nobody was in the way:\n%s", got.said)
		}
	}
	h.t.Logf("%+v", s)
	return s
}

// check fails when the attack has proved nothing. seen tells whether the
// stranger could see the temporary directories of the runs.
func (s score) check(t *testing.T, kind string, seen bool) {
	t.Helper()
	switch {
	case kind != "temp" && s.met == 0:
		t.Errorf("no run went well while something was moved: %+v", s)
	case kind == "temp" && s.moves != s.rounds:
		t.Errorf("%d moves in %d rounds: the decoys alone can be moved", s.moves, s.rounds)
	case kind == "temp" && seen && s.tries == 0:
		t.Error("the stranger has not seen a temporary directory")
	}
}

// each runs a test for kinds of attacks, strategies, and TMPDIR in every kind
// of place.
func each(t *testing.T, kinds, strategies []string, test func(t *testing.T, kind, strategy, place string)) {
	t.Helper()
	needRoot(t)
	for _, kind := range kinds {
		for _, strategy := range strategies {
			for place := range places {
				t.Run(kind+"/"+strategy+"/"+place, func(t *testing.T) {
					t.Parallel()
					if strategy == "rsync" {
						testparts.Need(t, "rsync")
					}
					test(t, kind, strategy, place)
				})
			}
		}
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

// visible tells whether the stranger can see temporary directories: those of
// rsync lie where TMPDIR names, unless that is his. Others lie on the file
// system of dest, here in the state directory, which root alone can list.
func visible(strategy, place string) bool {
	return strategy == "rsync" && (place == "private" || place == "sticky")
}

// TestAttacks: every strategy, TMPDIR in every kind of place.
func TestAttacks(t *testing.T) {
	kinds, strategies := []string{"temp", "dest"}, []string{"rsync", "native", "mv", "releases"}
	each(t, kinds, strategies, func(t *testing.T, kind, strategy, place string) {
		h := newHost(t, place)
		if strategy == "releases" {
			h.keys = "releases: {keep: 1}\n" // each run removes a release
		}
		if strategy != "mv" {
			h.mustDeploy("policy.yml", strategy, 100)
		}
		s := h.play(kind, func(round int) func() result {
			if strategy == "mv" {
				must(t, os.RemoveAll(h.dest))
			}
			manifest := h.pack(strategy, round)
			return func() result { return h.stretcher("policy.yml", "--force", "file://"+manifest) }
		})
		s.check(t, kind, visible(strategy, place))
	})
}

// TestAttacksOnRollback: the way back is a deployment as well.
func TestAttacksOnRollback(t *testing.T) {
	kinds, strategies := []string{"temp", "dest"}, []string{"rsync", "native", "releases"}
	each(t, kinds, strategies, func(t *testing.T, kind, strategy, place string) {
		h := newHost(t, place)
		runs := []string{h.mustDeploy("keep.yml", strategy, 0), h.mustDeploy("keep.yml", strategy, 1)}
		next := 0
		s := h.play(kind, func(int) func() result {
			return func() result {
				got := h.stretcher("keep.yml", "rollback", h.dest, "--to", runs[next])
				if got.good {
					next = 1 - next
				}
				return got
			}
		})
		s.check(t, kind, visible(strategy, place))
	})
}

// TestAttacksOnPrune: the files of a release that is removed are the
// stranger's, and all above them is root's.
func TestAttacksOnPrune(t *testing.T) {
	each(t, []string{"prune"}, []string{"releases"}, func(t *testing.T, kind, strategy, place string) {
		h := newHost(t, place)
		h.keys, h.owner = "releases: {keep: 1}\n", stranger
		h.mustDeploy("policy.yml", strategy, 100)
		s := h.play(kind, func(round int) func() result {
			manifest := h.pack(strategy, round)
			return func() result { return h.stretcher("policy.yml", "file://"+manifest) }
		})
		s.check(t, kind, false)
	})
}
