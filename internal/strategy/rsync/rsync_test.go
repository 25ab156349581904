package rsync

import (
	"slices"
	"testing"

	"stretcher/internal/disk"
	"stretcher/internal/strategy"
	"stretcher/internal/strategy/strategytest"
	"stretcher/internal/testparts"
)

func TestStrategy(t *testing.T) {
	testparts.Need(t, "rsync")
	strategytest.Run(t, strategytest.Case{Definition: Definition(), Keeps: strategy.Archive})
}

// TestArguments: what is said, and what rsync gets, are v1.x's arguments in
// v1.x's order.
func TestArguments(t *testing.T) {
	for _, tc := range []struct {
		name string
		t    strategy.Target
		want []string
	}{
		{"none", strategy.Target{}, []string{"-a", "--delete", "/stage/tree/", "/srv/app/"}},
		{"verbose", strategy.Target{Options: strategy.Options{RsyncVerbose: "-vv"}},
			[]string{"-a", "--delete", "-vv", "/stage/tree/", "/srv/app/"}},
		{"all", strategy.Target{Options: strategy.Options{RsyncVerbose: "-v"}, ExcludeFrom: "list",
			Excludes: []string{"*.pid", "a b"}},
			[]string{"-a", "--delete", "-v", "--exclude-from", "/stage/tree/list", "--exclude", "*.pid", "--exclude", "a b",
				"/stage/tree/", "/srv/app/"}},
	} {
		tc.t.Dest = &disk.Dest{Given: "/srv/app"}
		r := &rsync{t: tc.t}
		if got := r.said("/stage/tree", care{}); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q", tc.name, got)
		}
	}
}
