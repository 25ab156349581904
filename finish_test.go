package main

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

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
		{"not there yet", failure.NotYet(failure.Refused("not signed")), false, false},
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
