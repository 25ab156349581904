package fleet

import (
	"slices"
	"testing"
)

// TestNaturally: numbers in names count as numbers, and equal names alone are equal.
func TestNaturally(t *testing.T) {
	want := []string{
		"", "-", "9", "10", "99999999999999999999", "100000000000000000000", "web", "web-", "web-2", "web-02", "web-2-1",
		"web-10", "web-10-9", "web-10-11", "web-a", "web1", "web10a",
	}
	slices.Sort(want[8:10]) // these are told apart by their bytes
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, naturally)
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	for _, a := range want {
		for _, b := range want {
			if naturally(a, b) != -naturally(b, a) || (naturally(a, b) == 0) != (a == b) {
				t.Errorf("%q and %q", a, b)
			}
		}
	}
}
