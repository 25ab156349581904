package main

import (
	"errors"
	"testing"
)

func TestRunRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, args := range [][]string{
		nil, {"make"}, {"make", "dir"}, {"measure", "x"}, {"frobnicate"}, {"deploys", "file"}, {"scale", "file",
			"1"}, {"fresh", "dir"}, {"shape", "a", "b"}, {"serve"},
	} {
		if err := run(args); !errors.Is(err, errUsage) {
			t.Errorf("%q: %v", args, err)
		}
	}
}

func TestRunRefusesWhatIsNoNumber(t *testing.T) {
	dir := t.TempDir()
	for _, args := range [][]string{
		{"make", dir, "1", "2", "3", "x"}, {"make", dir, "-1", "2", "3", "4"}, {"deploys", "file", "1", ""}, {"scale",
			"file", "1e3", "1"},
	} {
		if err := run(args); err == nil || errors.Is(err, errUsage) {
			t.Errorf("%q: %v", args, err)
		}
	}
}
