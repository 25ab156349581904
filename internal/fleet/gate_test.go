package fleet

import "testing"

// TestNewer: the higher serial takes the place of the other; where one has none, who
// comes later does. The same rollout never replaces itself.
func TestNewer(t *testing.T) {
	for _, tc := range []struct {
		id           string
		mine, theirs int64
		want         bool
	}{
		{"b", 2, 1, true}, {"b", 1, 2, false}, {"b", 2, 2, true},
		{"b", 0, 0, true}, {"b", 0, 7, true}, {"b", 1, 0, true},
		{"a", 2, 1, false}, {"a", 0, 0, false},
	} {
		if got := (Entry{ID: tc.id, Serial: tc.mine}).Newer("a", tc.theirs); got != tc.want {
			t.Errorf("%q with serial %d, against \"a\" with %d: %v, want %v", tc.id, tc.mine, tc.theirs, got, tc.want)
		}
	}
}
