package hooks

import (
	"slices"
	"testing"
)

func TestLookupsAgreeWithTheTable(t *testing.T) {
	for _, n := range Points() {
		if got, ok := Lookup(n.Point); !ok || got.Point != n.Point {
			t.Errorf("Lookup(%q) = %v, %v", n.Point, got, ok)
		}
		check := func(by func(string) (Point, bool), names ...string) {
			for _, name := range names {
				if p, ok := by(name); !ok || p != n.Point {
					t.Errorf("%q is at %q, %v; want %q", name, p, ok, n.Point)
				}
			}
		}
		if n.P2 != "" {
			check(ByP2, n.P2)
		}
		check(ByList, append(n.Porter, string(n.Point))...)
		check(ByOCI, append(n.OCI, string(n.Point))...)
	}
}

func TestVocabulariesAreComplete(t *testing.T) {
	var p2, porter, oci int
	for _, n := range Points() {
		porter += len(n.Porter)
		oci += len(n.OCI)
		if n.P2 != "" {
			p2++
		}
	}
	// porter's ninth name, ec2_bootstrap, has no point: it is user-defined here.
	if p2 != 7 || porter != 8 || oci != 6 || len(Points()) != 11 {
		t.Errorf("p2 %d, porter %d, OCI %d, points %d", p2, porter, oci, len(Points()))
	}
}

// TestBeforeSync: what is live changes between two points, and the tree is made
// right before.
func TestBeforeSync(t *testing.T) {
	var before, make []Point
	for _, n := range Points() {
		if n.Point.BeforeSync() {
			before = append(before, n.Point)
		}
		if n.Point.MakesTree() {
			make = append(make, n.Point)
		}
	}
	if !slices.Equal(before, []Point{Init, PreFetch, AuthFail, PreExtract, PostExtract, PreSync}) {
		t.Errorf("before the sync: %q", before)
	}
	if !slices.Equal(make, []Point{PostExtract, PreSync}) || Point("").BeforeSync() {
		t.Errorf("they make the tree: %q", make)
	}
}

func TestUnknownNamesHaveNoPoint(t *testing.T) {
	for _, name := range []string{"", "ec2_bootstrap", "Pre_pack", "alert_the_operator"} {
		if p, ok := ByList(name); ok {
			t.Errorf("porter %q is at %q", name, p)
		}
		if p, ok := ByP2(name); ok {
			t.Errorf("p2 %q is at %q", name, p)
		}
		if p, ok := ByOCI(name); ok {
			t.Errorf("OCI %q is at %q", name, p)
		}
		if _, ok := Lookup(Point(name)); ok {
			t.Errorf("there is a point %q", name)
		}
	}
}
