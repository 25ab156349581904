package manifest

import (
	"testing"

	"stretcher/internal/policy"
)

// TestRestrict: of each limit the tighter counts.
func TestRestrict(t *testing.T) {
	m := &Manifest{Src: []string{"s3://a/k", "s3://b/k"}, Bounds: Bounds{Limits: Limits{Archive: 10, Files: 7}}}
	host := &policy.Policy{Extract: policy.Strict, Limits: policy.Limits{Archive: 20, Unpacked: 30, Files: 5}}
	m.Restrict(host)
	if m.Limits != (Limits{10, 30, 5}) || m.Extract != policy.Strict {
		t.Errorf("limits %+v, extract %s", m.Limits, m.Extract)
	}
}

// TestPoints: the points are the keys of commands, in the order of the
// process.
func TestPoints(t *testing.T) {
	m, _, err := parsed("commands: {pre: a, post: b, verify: c, success: d, failure: e}")
	if err != nil {
		t.Fatal(err)
	}
	order := ""
	for _, p := range m.Commands.Points() {
		order += p.Name + " " + p.Commands[0].Run + " "
		if !IsPoint(p.Name) || m.Commands.At(p.Name)[0].Run != p.Commands[0].Run {
			t.Errorf("point %s", p.Name)
		}
	}
	if order != "pre a post b verify c success d failure e " {
		t.Errorf("order %q", order)
	}
	if IsPoint("sync") || m.Commands.At("sync") != nil {
		t.Error("sync is no point of commands")
	}
}
