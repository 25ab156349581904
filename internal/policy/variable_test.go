package policy

import "testing"

// TestVariable: what the schema refuses as a variable's name, the program does.
func TestVariable(t *testing.T) {
	for _, name := range []string{"", "A B", "A\nB", "A\tB", "A\u00a0B", "A=", "A*", "A?", "A\x00"} {
		if variable(name) == nil {
			t.Errorf("%q is a name", name)
		}
	}
	if err := variable("APP_ENV"); err != nil {
		t.Error(err)
	}
}
