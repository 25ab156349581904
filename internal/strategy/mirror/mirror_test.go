package mirror

import "testing"

func TestChangeInWords(t *testing.T) {
	for _, x := range []struct {
		change Change
		want   string
	}{
		{Change{Path: "a/b", Kind: Add, Bytes: 7}, "add a/b"},
		{Change{Path: "a", Kind: Add, Dir: true}, "add a/"},
		{Change{Kind: Modify, What: []string{"mode"}, Dir: true}, "change ./ (mode)"},
		{Change{Path: "f", Kind: Modify, What: []string{"size", "time"}}, "change f (size, time)"},
		{Change{Path: "a\x1bb", Kind: Delete}, `delete "a\x1bb"`},
		{Change{Path: "a\n", Kind: Delete, Dir: true}, `delete "a\n/"`},
	} {
		if got := x.change.String(); got != x.want {
			t.Errorf("%+v: %q, want %q", x.change, got, x.want)
		}
	}
}
