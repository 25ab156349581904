package strategy

import "testing"

func TestTally(t *testing.T) {
	changes := Changes{List: []Change{{Kind: Add}, {Kind: Modify}, {Kind: Add}, {Kind: Delete}, {Kind: Add}, {Kind: Modify}}, Bytes: 3 << 10}
	got := changes.Tally()
	if got != (Tally{Added: 3, Changed: 2, Deleted: 1, Bytes: 3 << 10}) {
		t.Errorf("%+v", got)
	}
	if s := got.String(); s != "3 to add, 2 to change, 1 to delete, 3.0 KiB to write" {
		t.Errorf("%q", s)
	}
}
