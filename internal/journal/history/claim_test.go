package history

import (
	"path/filepath"
	"sync"
	"testing"
	"time"
)

func claimRun(id, key string) Run {
	return Run{ID: id, Started: time.Now(), EventKey: key, Process: Process{PID: 1}}
}

func openNew(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "history.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestClaim(t *testing.T) {
	dead := func(int, string) bool { return false }
	live := func(int, string) bool { return true }
	for _, tc := range []struct {
		name    string
		key     string
		finish  bool // the first run has ended
		handled bool
		force   bool
		alive   Alive
		begun   bool
	}{
		{"no key", "", false, false, false, live, true},
		{"being handled", "k", false, false, false, live, false},
		{"being handled, forced", "k", false, false, true, live, false},
		{"died", "k", false, false, false, dead, true},
		{"handled", "k", true, true, false, live, false},
		{"handled, forced", "k", true, true, true, live, true},
		{"ended but not handled", "k", true, false, false, live, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := openNew(t)
			first := claimRun("first", tc.key)
			if _, begun, err := s.Claim(t.Context(), first, false, live); !begun || err != nil {
				t.Fatalf("first: %v, %v", begun, err)
			}
			if tc.finish {
				first.Result = Good
				if err := s.Finish(t.Context(), first, tc.handled); err != nil {
					t.Fatal(err)
				}
			}
			by, begun, err := s.Claim(t.Context(), claimRun("second", tc.key), tc.force, tc.alive)
			if err != nil || begun != tc.begun || (by.ID == "first") == tc.begun {
				t.Errorf("begun = %v by %q, err = %v", begun, by.ID, err)
			}
			if _, err := s.Run(t.Context(), "second"); (err == nil) != tc.begun {
				t.Errorf("row of the second run: %v", err)
			}
		})
	}
}

func TestClaimIsWonByOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	var wg sync.WaitGroup
	wins := make(chan string, 8)
	for _, id := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		wg.Go(func() {
			s, err := Open(t.Context(), path, Options{BusyTimeout: time.Minute})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			_, begun, err := s.Claim(t.Context(), claimRun(id, "k"), false, func(int, string) bool { return true })
			if err != nil {
				t.Error(err)
			}
			if begun {
				wins <- id
			}
		})
	}
	wg.Wait()
	if len(wins) != 1 {
		t.Errorf("%d runs began", len(wins))
	}
}
