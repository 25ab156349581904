package serial

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// only trusts some keys.
func only(keys ...string) Trusted {
	return func(id string) bool {
		for _, key := range keys {
			if id == key {
				return true
			}
		}
		return false
	}
}

// newStore is one in a state directory of its own.
func newStore(t *testing.T) *Store {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return At(dir)
}

// raised is what Raise says of a serial: whether it may be deployed.
func raised(t *testing.T, s *Store, n int64, trusted Trusted, keys ...string) bool {
	t.Helper()
	floor, err := s.Raise(t.Context(), Claim{"app", n, keys}, trusted)
	if err != nil {
		t.Fatalf("raise to %d: %v", n, err)
	}
	return floor <= n
}

func TestRaise(t *testing.T) {
	s := newStore(t)
	for i, step := range []struct {
		serial int64
		keys   []string
		want   bool
	}{
		{7, []string{"a"}, true},
		{7, []string{"a"}, true}, // the same again
		{6, []string{"a"}, false},
		{6, []string{"b"}, false},
		{6, []string{"a", "b"}, false},
		{8, []string{"b"}, true},
		{7, []string{"a"}, false},
		{math.MaxInt64, []string{"a"}, true},
		{math.MaxInt64 - 1, []string{"b"}, false},
	} {
		if got := raised(t, s, step.serial, only("a", "b"), step.keys...); got != step.want {
			t.Errorf("step %d: serial %d by %v: %v, want %v", i, step.serial, step.keys, got, step.want)
		}
	}
	if floor, err := s.Floor("other", only("a", "b")); floor != 0 || err != nil {
		t.Errorf("another name has %d, %v", floor, err)
	}
}

// A key that is trusted no more takes with it what it alone has vouched for,
// and brings it back when it is trusted again.
func TestRemovedKey(t *testing.T) {
	s := newStore(t)
	both, good := only("good", "lost"), only("good")
	raised(t, s, 5, both, "good")
	raised(t, s, 6, both, "good", "lost")
	raised(t, s, math.MaxInt64, both, "lost") // as far as there are numbers
	if raised(t, s, 7, both, "good") {
		t.Error("a serial below that of a trusted key was accepted")
	}
	if raised(t, s, 5, good, "good") {
		t.Error("what another key had vouched for too was forgotten with the lost one")
	}
	if !raised(t, s, 7, good, "good") {
		t.Error("there is no way back from what the lost key has vouched for")
	}
	if raised(t, s, 8, both, "good") {
		t.Error("the key is trusted again, and what it vouched for is not")
	}
}

// What nobody vouched for says nothing where keys are asked for, nor the other
// way round.
func TestNobody(t *testing.T) {
	s := newStore(t)
	raised(t, s, math.MaxInt64, nil)
	if !raised(t, s, 1, only("a", ""), "a") {
		t.Error("a number that nobody vouched for counts where keys are asked for")
	}
	if raised(t, s, 5, nil) {
		t.Error("serials without keys are not compared")
	}
}

// A claim counts from the moment at which Raise returns, for who only reads too;
// and who only reads makes nothing.
func TestFloor(t *testing.T) {
	s := newStore(t)
	if floor, err := s.Floor("app", nil); floor != 0 || err != nil {
		t.Errorf("floor of nothing: %d, %v", floor, err)
	}
	if left, _ := os.ReadDir(s.state); len(left) != 0 {
		t.Errorf("reading has made %v", left)
	}
	raised(t, s, 3, nil)
	if floor, err := At(s.state).Floor("app", nil); floor != 3 || err != nil {
		t.Errorf("floor: %d, %v", floor, err)
	}
	if floor, err := At(filepath.Join(s.state, "none")).Floor("app", nil); floor != 0 || err != nil {
		t.Errorf("floor where there is no state directory: %d, %v", floor, err)
	}
}

// TestDamaged: what can't be told is an error for who reads and for who raises,
// and stays as it is.
func TestDamaged(t *testing.T) {
	good := `{"name":"app","serials":{"":3}}`
	for name, text := range map[string]string{
		"empty": "", "cut": good[:len(good)-3], "more": good + "{}", "zeros": "\x00\x00\x00", "null": "null", "no map": "[]",
		"another name": `{"name":"other","serials":{"":3}}`, "no serials": `{"name":"app"}`,
		"none": `{"name":"app","serials":{}}`, "zero": `{"name":"app","serials":{"":0}}`,
		"negative": `{"name":"app","serials":{"":-3}}`, "text": `{"name":"app","serials":{"":"3"}}`,
		"fraction": `{"name":"app","serials":{"":3.5}}`, "too high": `{"name":"app","serials":{"":9223372036854775808}}`,
		"too large": `{"name":"app","serials":{"":3}}` + strings.Repeat(" ", maxFile),
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			raised(t, s, 3, nil)
			if err := os.WriteFile(s.Path("app"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Floor("app", nil); !errors.Is(err, ErrDamaged) {
				t.Errorf("floor: %v", err)
			}
			if _, err := s.Raise(t.Context(), Claim{Name: "app", Serial: 9}, nil); !errors.Is(err, ErrDamaged) {
				t.Errorf("raise: %v", err)
			}
			if now, err := os.ReadFile(s.Path("app")); string(now) != text || err != nil {
				t.Errorf("the record has changed: %q, %v", now, err)
			}
		})
	}
}

// TestOdd: where others can write, or no record can be, none is believed.
func TestOdd(t *testing.T) {
	for name, spoil := range map[string]func(s *Store) error{
		"state directory for all": func(s *Store) error { return os.Chmod(s.state, 0o777) },
		"directory for all":       func(s *Store) error { return os.Chmod(filepath.Join(s.state, dirName), 0o777) },
		"directory a file": func(s *Store) error {
			dir := filepath.Join(s.state, dirName)
			return errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600))
		},
		"link": func(s *Store) error {
			return errors.Join(os.Rename(s.Path("app"), s.state+".x"), os.Symlink(s.state+".x", s.Path("app")))
		},
		"dangling link": func(s *Store) error {
			return errors.Join(os.Remove(s.Path("app")), os.Symlink(s.state+".x", s.Path("app")))
		},
		"directory in its place": func(s *Store) error {
			return errors.Join(os.Remove(s.Path("app")), os.Mkdir(s.Path("app"), 0o700))
		},
		"record for all":     func(s *Store) error { return os.Chmod(s.Path("app"), 0o602) },
		"record for a group": func(s *Store) error { return os.Chmod(s.Path("app"), 0o660) },
		"record of somebody": func(s *Store) error {
			if os.Geteuid() != 0 {
				return os.Chmod(s.Path("app"), 0o622)
			}
			return os.Lchown(s.Path("app"), 47001, 0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			raised(t, s, 3, nil)
			if err := spoil(s); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Floor("app", nil); err == nil {
				t.Error("a floor is known")
			}
			if _, err := s.Raise(t.Context(), Claim{Name: "app", Serial: 9}, nil); err == nil {
				t.Error("it was raised")
			}
		})
	}
	s := At(filepath.Join(t.TempDir(), "none"))
	if _, err := s.Raise(t.Context(), Claim{Name: "app", Serial: 9}, nil); err == nil {
		t.Error("a serial was raised without a state directory")
	}
	for _, tc := range []struct {
		claim   Claim
		trusted Trusted
	}{
		{Claim{"\xff", 9, nil}, nil}, // no record can hold that name
		{Claim{strings.Repeat("x", maxFile), 9, nil}, nil},
		{Claim{"app", 0, nil}, nil},
		{Claim{"app", -1, nil}, nil},
		{Claim{"app", 9, nil}, only()},
		{Claim{"app", 9, []string{"a"}}, nil},
	} {
		s := newStore(t)
		if _, err := s.Raise(t.Context(), tc.claim, tc.trusted); err == nil {
			t.Errorf("%.80v was taken", tc.claim)
		}
		if _, err := os.Lstat(s.Path(tc.claim.Name)); err == nil {
			t.Errorf("%.80v has left a record", tc.claim)
		}
	}
}

// TestKilled: what a run that was killed over a record has left is in nobody's
// way.
func TestKilled(t *testing.T) {
	s := newStore(t)
	raised(t, s, 3, nil)
	if err := os.WriteFile(filepath.Join(s.state, dirName, tempName), []byte(`{"name":"ap`), 0o600); err != nil {
		t.Fatal(err)
	}
	if raised(t, s, 2, nil) || !raised(t, s, 4, nil) {
		t.Error("the floor is wrong after a kill")
	}
	left, err := os.ReadDir(filepath.Join(s.state, dirName))
	if err != nil || len(left) != 1 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestTogether: of runs that raise at the same time, none that goes back gets
// through after a higher one has.
func TestTogether(t *testing.T) {
	s := newStore(t)
	var mu sync.Mutex
	var highest int64 // of those that Raise has returned for
	var all sync.WaitGroup
	for n := int64(1); n <= 20; n++ {
		all.Go(func() {
			mu.Lock()
			before := highest
			mu.Unlock()
			floor, err := s.Raise(t.Context(), Claim{Name: "app", Serial: n, Keys: []string{fmt.Sprint(n)}},
				func(string) bool { return true })
			if err != nil || floor < before {
				t.Errorf("serial %d: floor %d, %d before: %v", n, floor, before, err)
				return
			}
			if floor <= n {
				mu.Lock()
				highest = max(highest, n)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if floor, err := s.Floor("app", func(string) bool { return true }); floor != 20 || err != nil {
		t.Errorf("floor: %d, %v", floor, err)
	}
}

// TestFirst: of runs that are the first ones of a host at the same time, each
// gets on, whoever of them makes the directory; and one that others can write is
// no better for that.
func TestFirst(t *testing.T) {
	for range 10 {
		s := newStore(t)
		var all sync.WaitGroup
		for n := range 8 {
			all.Go(func() {
				if _, err := s.Raise(t.Context(), Claim{Name: fmt.Sprint(n), Serial: 1}, nil); err != nil {
					t.Errorf("name %d: %v", n, err)
				}
			})
		}
		all.Wait()
	}
	s := newStore(t)
	dir := filepath.Join(s.state, dirName)
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o770)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Raise(t.Context(), Claim{Name: "app", Serial: 1}, nil); err == nil {
		t.Error("a directory that others can write was taken")
	}
}

// TestWait: who waits for another who raises ends with its run.
func TestWait(t *testing.T) {
	s := newStore(t)
	dir, err := s.open()
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := lock(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	over := errors.New("over")
	cancel(over)
	if _, err := s.Raise(ctx, Claim{Name: "app", Serial: 1}, nil); !errors.Is(err, over) {
		t.Errorf("%v", err)
	}
}

// FuzzRecord: what is read of a record is what was written, or nothing.
func FuzzRecord(f *testing.F) {
	for _, text := range []string{
		"", "{}", `{"name":"app","serials":{"":3}}`, `{"name":"app","serials":{"a":-1}}`, "null",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var r record
		if r.parse(text, "app") != nil {
			return
		}
		if r.floor(func(string) bool { return true }) <= 0 && r.floor(nil) <= 0 {
			t.Errorf("%q is a record without a floor", text)
		}
	})
}
