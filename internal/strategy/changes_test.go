package strategy

import "testing"

func TestTally(t *testing.T) {
	changes := Changes{Bytes: 3 << 10}
	for _, k := range []Kind{Add, Modify, Add, Delete, Add, Modify} {
		changes.List = append(changes.List, Change{Kind: k})
	}
	got := changes.Tally()
	if got != (Tally{Added: 3, Changed: 2, Deleted: 1, Bytes: 3 << 10}) {
		t.Errorf("%+v", got)
	}
	if s := got.String(); s != "3 to add, 2 to change, 1 to delete, 3.0 KiB to write" {
		t.Errorf("%q", s)
	}
}
