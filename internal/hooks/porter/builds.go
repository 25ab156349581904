package porter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"stretcher/internal/hooks"
	"stretcher/internal/text/runid"
)

// A build of podman's has no monitor that ends what it has started. When podman
// is stopped, or killed, what a RUN line has begun goes on, and the containers
// that it has worked in stay, with podman's files in its temporary directory.
//
// So each build has a directory of the run's for that, which goes with the run,
// and the name of a secret file in it. Nothing reads that file: podman writes
// its name down with each container that the build works in, and the processes
// there have files of that directory mounted. By both they are found.

// buildSecret is the id of the secret.
const buildSecret = "stretcher.build"

// buildDir begins the name of the directory of one container's private files.
const buildDir = "stretcher-hook-"

// marks returns the options and variables of a build by which what it leaves
// is found.
func (e *Engine) marks(ctx context.Context, private string) (args, env []string, err error) {
	path, err := e.Find(ctx)
	if err != nil || !isLocal(path) { // a daemon ends what its client has begun
		return nil, nil, err
	}
	env = []string{"TMPDIR=" + private}
	if help, err := e.quiet(ctx, "build", "--help"); err != nil || !strings.Contains(help, "--secret") {
		return nil, env, err // before version 3.1
	}
	secret := filepath.Join(private, "mark")
	if err := os.WriteFile(secret, nil, 0o600); err != nil {
		return nil, nil, err
	}
	return []string{"--secret", "id=" + buildSecret + ",src=" + secret}, env, nil
}

// endBuild removes what a build that was stopped has left: one whose directory
// is private.
func (e *Engine) endBuild(ctx context.Context, s hooks.Streams, private string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTime)
	defer cancel()
	if err := e.removeBuilds(ctx, filepath.Base(private)+"/"); err != nil {
		fmt.Fprintln(s.Stderr, err)
	}
}

// endRunBuilds does so for all builds of a run.
func (e *Engine) endRunBuilds(ctx context.Context, run string) error {
	return e.removeBuilds(ctx, runid.TempPrefix(run))
}

// removeBuilds ends the processes, and removes the containers, of the builds
// whose directory has mark in its path.
func (e *Engine) removeBuilds(ctx context.Context, mark string) error {
	path, err := e.Find(ctx)
	if err != nil || !isLocal(path) {
		return err
	}
	const looks = 3 // a client that was killed may have begun another one
	var left error
	for range looks {
		endWithin(mark)
		list, err := e.working(ctx, mark)
		if err != nil {
			return fmt.Errorf("containers of a build: %w", err)
		}
		left = nil
		for _, container := range list {
			if _, err := e.quiet(ctx, "rm", "--force", container); err != nil {
				left = errors.Join(left, fmt.Errorf("remove container %q of a build: %w", container, err))
			}
		}
		select {
		case <-ctx.Done():
			return errors.Join(left, context.Cause(ctx))
		case <-time.After(100 * time.Millisecond):
		}
	}
	return left
}

// working are the ids of the containers that builds with mark work in, as
// podman has written them down.
func (e *Engine) working(ctx context.Context, mark string) (list []string, err error) {
	store, err := e.quiet(ctx, "info", "--format", "{{.Store.GraphRoot}}\n{{.Store.GraphDriverName}}")
	root, driver, ok := strings.Cut(strings.TrimSpace(store), "\n")
	if err != nil || !ok {
		return nil, err
	}
	all, err := e.quiet(ctx, "ps", "--all", "--external", "--quiet", "--no-trunc")
	if err != nil {
		return nil, err
	}
	for _, id := range strings.Fields(all) {
		about, err := os.ReadFile(filepath.Join(root, driver+"-containers", id, "userdata", "buildah.json"))
		if err == nil && marked(about, mark) {
			list = append(list, id)
		}
	}
	return list, nil
}

// marked tells whether the secret that a build was given is named in a text,
// with mark in its path.
func marked(text []byte, mark string) bool {
	for _, secret := range bytes.Split(text, []byte("id="+buildSecret+",src="))[1:] {
		path, _, _ := bytes.Cut(secret, []byte(`"`))
		if bytes.Contains(path, []byte("/"+mark)) && bytes.Contains(path, []byte("/"+buildDir)) {
			return true
		}
	}
	return false
}
