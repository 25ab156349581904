package porter

import (
	"slices"
	"testing"
)

func TestSorted(t *testing.T) {
	lists := Lists{"zebra": nil, "post_prune": nil, "ec2_bootstrap": nil, "apple": nil, "pre_pack": nil, "post_pack": nil}
	want := []string{"pre_pack", "post_pack", "post_prune", "ec2_bootstrap", "apple", "zebra"}
	if got := lists.Sorted(); !slices.Equal(got, want) {
		t.Errorf("names = %q, want %q", got, want)
	}
}
