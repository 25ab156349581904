package cli

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"stretcher/internal/journal/history"
	"stretcher/internal/manifest/lint"
)

// call is one call of the program in a test: what the actions were told and
// what was printed.
type call struct {
	status         int
	stdout, stderr string

	deploy   *DeployOptions
	rollback *RollbackOptions
	plan     *ManifestOptions
	check    *CheckOptions
	render   *RenderOptions
	list     *ListHooksOptions
	run      *RunHooksOptions
	install  *InstallHooksOptions
}

// callWith calls the program with args, in an environment of env alone.
func callWith(t *testing.T, env []string, args ...string) *call {
	t.Helper()
	c := &call{}
	var stdout, stderr bytes.Buffer
	p := Process{Args: append([]string{"stretcher"}, args...), Environ: append([]string{"HOME=/nowhere"}, env...),
		Stdout: &stdout, Stderr: &stderr}
	c.status = Main(t.Context(), p, c.actions())
	c.stdout, c.stderr = stdout.String(), stderr.String()
	return c
}

// actions note what they are told, and do nothing.
func (c *call) actions() Actions {
	return Actions{
		Version: "1.2.3",
		Deploying: Deploying{
			Deploy: func(_ context.Context, o DeployOptions) (string, error) {
				c.deploy = &o
				return "deployed", nil
			},
			Rollback: func(_ context.Context, o RollbackOptions) (history.Run, error) {
				c.rollback = &o
				return history.Run{ID: "1", Deployment: history.Deployment{Dest: o.Dest}, Result: history.Good}, nil
			},
		},
		Looking: Looking{
			Plan: func(_ context.Context, o ManifestOptions) (bool, error) {
				c.plan = &o
				return strings.HasSuffix(o.URL, "changes"), nil
			},
			Check: func(_ context.Context, o CheckOptions) (lint.Result, error) {
				c.check = &o
				return lint.Result{}, nil
			},
			Render: func(_ context.Context, o RenderOptions) ([]byte, []string, error) {
				c.render = &o
				return nil, nil, nil
			},
		},
		Hooking: Hooking{
			ListHooks: func(_ context.Context, o ListHooksOptions) error {
				c.list = &o
				return nil
			},
			RunHooks: func(_ context.Context, o RunHooksOptions) (int, error) {
				c.run = &o
				return 7, nil
			},
			InstallHooks: func(_ context.Context, o InstallHooksOptions) error {
				c.install = &o
				return nil
			},
		},
	}
}

// told tells whether an action was called.
func (c *call) told() bool {
	return c.deploy != nil || c.rollback != nil || c.plan != nil || c.check != nil || c.list != nil ||
		c.run != nil || c.install != nil
}
