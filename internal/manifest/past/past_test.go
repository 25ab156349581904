package past

import (
	"errors"
	"strings"
	"testing"

	"stretcher/internal/manifest"
	"stretcher/internal/strategy"
	"stretcher/internal/text/failure"
)

// TestObeys: where a host goes by the words of a manifest, and where it stays.
func TestObeys(t *testing.T) {
	release := func(run, version string, good bool) strategy.Deployment {
		return strategy.Deployment{Run: run, Version: version, Good: good}
	}
	standing := []strategy.Deployment{release("r4", "4", false), release("r3", "3", true), release("r2", "", true)}
	for _, c := range []struct{ live, to, from, want string }{
		{"r3", "previous", "3", "r2"},
		{"r3", "previous", "4", "at rest"},
		{"r3", "previous", "", "r2"},
		{"r4", "previous", "4", "r2"},
		{"r2", "previous", "3", "at rest"}, // it has no version: another one
		{"r2", "3", "3", "at rest"},
		{"r2", "3", "", "r3"},
		{"r3", "3", "", "at rest"},
		{"", "previous", "3", "not known"},
		{"gone", "3", "4", "not known"},
		{"", "3", "", "r3"},
		{"r3", "7", "", "nothing"},
	} {
		m := &manifest.Manifest{}
		m.Rollback.To, m.Rollback.From = c.to, c.from
		b := Past{Dest: "/srv/app", By: &manifest.Loaded{Manifest: m}}
		err := b.Choose(Host{There: strategy.Deployments{All: standing, Live: c.live, Previous: "r2"}})
		got := b.Standing
		switch {
		case errors.As(err, new(AtRest)):
			got = "at rest"
		case err != nil && strings.Contains(err.Error(), c.want) && failure.Hint(err) != "":
			got = c.want
		case err != nil:
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
	unread := Host{There: strategy.Deployments{All: []strategy.Deployment{release("r1", "", false)}, Live: "r1"}}
	if live, stands := unread.Holds("/srv/app"); !stands || live != (Live{}) {
		t.Errorf("of a release whose mark is gone: %+v, %v", live, stands)
	}
	if _, stands := (Host{}).Holds("/srv/app"); stands {
		t.Error("nothing stands there")
	}
}
