package runid

import "testing"

func TestIsTemp(t *testing.T) {
	const run = "01900000-0000-7000-8000-00000000000a"
	for name, want := range map[string]bool{
		TempPrefix(run) + "0":       true,
		TempPrefix(run) + "12":      true,
		TempPrefix(run):             false,
		TempPrefix(run) + "x":       false,
		TempPrefix(run) + "1x":      false,
		"x" + TempPrefix(run) + "0": false,
		TempPrefix(run) + "0/tree":  false,
		TempPrefix("01900000-0000-7000-8000-00000000000A") + "0": false,
		TempPrefix("{"+run+"}") + "0":                            false,
		TempPrefix("01900000") + "0":                             false,
		TempPrefix("") + "0":                                     false,
		".stretcher-":                                            false, ".stretcher": false, "": false, "app": false,
	} {
		if got := IsTemp(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

func TestIs(t *testing.T) {
	for id, want := range map[string]bool{
		"01900000-0000-7000-8000-000000000001": true, "01900000-0000-7000-8000-00000000000F": false,
		"01900000000070008000000000000001": false, "urn:uuid:01900000-0000-7000-8000-000000000001": false,
		"": false, "..": false, "01900000-0000-7000-8000-000000000001x": false,
	} {
		if got := Is(id); got != want {
			t.Errorf("%q: %v", id, got)
		}
	}
}
