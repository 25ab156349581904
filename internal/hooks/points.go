package hooks

import "slices"

// Point is a moment of a deployment at which hooks run.
type Point string

// The points, in process order.
const (
	Init        Point = "init"         // the manifest is accepted, the lock is held
	PreFetch    Point = "pre_fetch"    // before the source is fetched
	AuthFail    Point = "auth_fail"    // the manifest or its archive was refused
	PreExtract  Point = "pre_extract"  // the source is verified
	PostExtract Point = "post_extract" // the new tree is staged, the old one live
	PreSync     Point = "pre_sync"     // before the destination changes
	PostSync    Point = "post_sync"    // the destination has changed
	PostLaunch  Point = "post_launch"  // after the post and verify commands
	PrePrune    Point = "pre_prune"    // before old releases are removed
	PostPrune   Point = "post_prune"   // after that
	Finish      Point = "finish"       // after the success or failure commands
)

// Names are the names of one point in the four vocabularies; an empty one has
// no such point.
type Names struct {
	Point    Point
	Commands []string // groups of command lines of the manifest
	P2       string   // event
	Porter   []string // hooks, in the order in which they run
	OCI      []string // stages, in the order in which they run
}

// Lists are the lists of a manifest that run at the point, in the order in
// which they run: porter's, then the one that has the point's own name.
func (n Names) Lists() []string {
	if own := string(n.Point); !slices.Contains(n.Porter, own) {
		return append(slices.Clone(n.Porter), own)
	}
	return n.Porter
}

// Points returns the table of points in process order. prestart comes before
// createRuntime as in the lifecycle of the OCI runtime specification.
func Points() []Names {
	return []Names{
		{Point: Init, P2: "preparer_init"},
		{Point: PreFetch, P2: "before_install", Porter: []string{"pre_pack"}},
		{Point: AuthFail, P2: "after_auth_fail"},
		{Point: PreExtract, Commands: []string{"pre"}, OCI: []string{"prestart", "createRuntime"}},
		{Point: PostExtract, P2: "after_install", Porter: []string{"post_pack"}, OCI: []string{"createContainer"}},
		{Point: PreSync, P2: "before_uninstall", Porter: []string{"pre_provision"}},
		{Point: PostSync, Commands: []string{"post"}, P2: "before_launch", Porter: []string{"post_provision", "pre_promote"},
			OCI: []string{"startContainer"}},
		{Point: PostLaunch, P2: "after_launch", Porter: []string{"post_promote"}, OCI: []string{"poststart"}},
		{Point: PrePrune, Porter: []string{"pre_prune"}},
		{Point: PostPrune, Porter: []string{"post_prune"}},
		{Point: Finish, Commands: []string{"success", "failure"}, OCI: []string{"poststop"}},
	}
}

// Early tells whether a run comes to the point before anything is unpacked.
func (p Point) Early() bool {
	return slices.Contains([]Point{Init, PreFetch, AuthFail, PreExtract}, p)
}

// Only says what must happen before a run comes to the point; "" = nothing: all
// good runs do.
func (p Point) Only() string {
	switch p {
	case AuthFail:
		return "only when the manifest or archive is refused"
	case PrePrune, PostPrune:
		return "only when an old release is removed"
	}
	return ""
}

// Lookup returns the names of a point.
func Lookup(p Point) (Names, bool) {
	return find(func(n Names) bool { return n.Point == p })
}

// ByP2 returns the point of a p2 event.
func ByP2(event string) (Point, bool) {
	n, ok := find(func(n Names) bool { return event != "" && n.P2 == event })
	return n.Point, ok
}

// ByList returns the point of a list of the manifest: one of porter's names, or
// a point's own. A name without a point is a user-defined list.
func ByList(name string) (Point, bool) {
	n, ok := find(func(n Names) bool { return slices.Contains(n.Lists(), name) })
	return n.Point, ok
}

// ByOCI returns the point of an OCI stage or of an extension stage, which is
// a point's own name.
func ByOCI(stage string) (Point, bool) {
	n, ok := find(func(n Names) bool { return slices.Contains(n.OCI, stage) || string(n.Point) == stage })
	return n.Point, ok
}

// BeforeSync tells whether what is live at a point is still what was there
// before.
func (p Point) BeforeSync() bool {
	for _, n := range Points() {
		switch n.Point {
		case PostSync:
			return false
		case p:
			return true
		}
	}
	return false
}

// MakesTree tells whether hooks of a point find the tree that is going to be
// deployed and may change it.
func (p Point) MakesTree() bool { return p == PostExtract || p == PreSync }

func find(match func(Names) bool) (Names, bool) {
	points := Points()
	if i := slices.IndexFunc(points, match); i >= 0 {
		return points[i], true
	}
	return Names{}, false
}
