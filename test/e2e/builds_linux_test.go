package e2e

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/uuid"

	"stretcher/internal/process"
	"stretcher/internal/testparts"
)

// TestBuildOfDeadRun kills a run while it builds the image of a hook: the build
// goes on, and the next run ends it.
func TestBuildOfDeadRun(t *testing.T) {
	m := newContainerMachine(t)
	variable := "TAG=" + uuid.NewString()
	m.write("slow/hook", m.read("app/hook/hook"))
	m.write("slow/Dockerfile", strings.Replace(fromScratch, "ENTRY",
		"ENV "+variable+"\nENV DO=\"print here;hang\"\nRUN [\"/hook\"]\nENTRY", 1))
	policy, err := json.Marshal(map[string]any{"hooks": map[string]any{
		"engine": m.engine.Path, "engine_args": m.engine.Args, "build_args": m.engine.Run, "run_args": m.engine.Run,
	}})
	if err != nil {
		t.Fatal(err)
	}
	m.write("policy.yml", string(policy))
	hang := m.manifest("\n  pre_pack: [{dockerfile: slow/Dockerfile}]\n")
	processes := func() (n int) {
		for _, p := range process.Table() {
			if p.HasVariable(variable) {
				n++
			}
		}
		return n
	}
	d := m.start(nil, "--config", m.path("policy.yml"), hang)
	testparts.WaitFor(t, "the build to hang", func() bool { return processes() > 0 })
	if err := d.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = d.cmd.Wait()
	// What was seen may have been the runtime, which becomes the hook.
	if !testparts.Eventually(func() bool { return processes() > 0 }) {
		t.Fatal("the build has ended by itself")
	}
	m.deploy(m.manifest(" {}\n")).wants(0, `died in step "pre_fetch"`)
	if n := processes(); n > 0 {
		t.Errorf("%d processes of the build are left", n)
	}
	out, err := exec.Command(m.engine.Path, append(m.engine.Args, "ps", "--all", "--external", "--quiet")...).Output()
	if err != nil || len(out) > 0 {
		t.Errorf("containers %q are left, %v", out, err)
	}
}
