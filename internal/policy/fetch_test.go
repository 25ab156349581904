package policy

import "testing"

func TestConnections(t *testing.T) {
	for text, want := range map[string]Connections{
		"1": 1, "16": 16, "0": 0, "17": 0, "-1": 0, "": 0, "four": 0, "4.0": 0, "99999999999999999999": 0,
	} {
		var c Connections
		if err := c.UnmarshalText([]byte(text)); (err == nil) != (want > 0) || c != want {
			t.Errorf("%q: %d, %v", text, c, err)
		}
	}
	for _, c := range []struct{ manifest, host, want Connections }{
		{0, 0, 4}, {1, 0, 1}, {16, 0, 16}, {0, 2, 2}, {0, 9, 4}, {8, 2, 2}, {2, 8, 2}, {16, 16, 16}, {1, 16, 1},
	} {
		if got := c.manifest.Restricted(c.host); got != c.want {
			t.Errorf("manifest %d, host %d: %d", c.manifest, c.host, got)
		}
	}
}
