package fleet

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"stretcher/internal/testparts"
)

// TestDemo: what make demo-fleet shows comes to a good end.
func TestDemo(t *testing.T) {
	t.Parallel()
	testparts.Need(t, "consul")
	cmd := exec.CommandContext(t.Context(), "bash", "../../testdata/demo/fleet.sh", testparts.Program(t))
	cmd.Env = append(os.Environ(), testparts.NoExitSleep)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "version 3 is on all hosts") {
		t.Errorf("%v\n%s", err, out)
	}
}
