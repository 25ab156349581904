package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"stretcher/internal/journal/lock"
	"stretcher/internal/manifest"
	"stretcher/internal/policy"
	"stretcher/internal/text/failure"
	"stretcher/internal/trust"
)

// TestUsesUp: an event waits for what may come, and for nothing that was judged.
func TestUsesUp(t *testing.T) {
	for _, tc := range []struct {
		name             string
		err              error
		anybody, keyring bool // where anybody may send a manifest, and where keys must vouch for it
	}{
		{"good", nil, true, true},
		{"failed", errors.New("pre: exit status 1"), true, true},
		{"refused by the policy", policy.ErrRefused, true, true},
		{"an old serial", failure.Refused("serial 1 is lower than 2"), true, true},
		{"malformed", failure.Malformed("line 1"), true, true},
		{"busy", lock.ErrHeld, false, false},
		{"not there yet", notYet{failure.Refused("not signed")}, false, false},
		{"not fetched", &manifest.Unfetched{}, true, false},
		{"not vouched for", &manifest.Unvouched{}, true, false}, // which only keys can say
		{"interrupted", errors.Join(failure.Signal{Signal: syscall.SIGTERM}, &manifest.Unfetched{}), true, true},
	} {
		err := tc.err
		if err != nil {
			err = errors.Join(errors.New("manifest"), err)
		}
		if got := (&tools{}).usesUp(err); got != tc.anybody {
			t.Errorf("%s: %v", tc.name, got)
		}
		if got := (&tools{keys: &trust.Keys{}}).usesUp(err); got != tc.keyring {
			t.Errorf("%s, with keys: %v", tc.name, got)
		}
	}
}

// TestRejected: a manifest is rejected by what refuses it, not by what refuses its
// archive.
func TestRejected(t *testing.T) {
	checksum := failure.Refused("it has another checksum")
	for _, tc := range []struct {
		r    run
		want bool
	}{
		{run{}, false},
		{run{failed: failure.Refused("not signed")}, true},
		{run{failed: failure.Malformed("line 1")}, false},
		{run{failed: errors.New("no network")}, false},
		{run{failed: lock.ErrHeld}, false},
		{run{failed: checksum, heard: true}, false},
		{run{failed: fmt.Errorf("fetch: %w", policy.ErrRefused), heard: true}, true},
	} {
		if got := tc.r.isRejected(); got != tc.want {
			t.Errorf("%v, heard %v: %v", tc.r.failed, tc.r.heard, got)
		}
	}
}

func TestGone(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dangling := filepath.Join(dir, "dangling")
	if err := os.Symlink("nowhere", dangling); err != nil {
		t.Fatal(err)
	}
	gone := goneWithin(time.Minute)
	for dest, want := range map[string]bool{
		dir: false, file: false, dangling: false,
		filepath.Join(dir, "missing"):                      true,
		filepath.Join(dir, "missing", "deeper"):            true,
		filepath.Join(file, "below"):                       true,
		filepath.Join(dir, string(make([]byte, 300, 301))): false, // it can't be looked at
	} {
		if got := gone(dest); got != want {
			t.Errorf("%q: gone = %v, want %v", dest, got, want)
		}
	}
}

// TestGoneInTime: when the time is over, nothing is asked any more.
func TestGoneInTime(t *testing.T) {
	gone := goneWithin(0)
	deadline := time.Now().Add(time.Minute)
	for gone("/nowhere/at/all") { // as long as the answer comes first
		if time.Now().After(deadline) {
			t.Fatal("the time is never over")
		}
	}
	if gone("/nowhere/at/all") {
		t.Error("it has been asked after the time was over")
	}
}
