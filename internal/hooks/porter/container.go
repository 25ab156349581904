package porter

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"stretcher/internal/hooks"
	"stretcher/internal/process"
)

// MountPoint is where containers find the tree.
const MountPoint = "/repo_root"

const (
	// imageName is the repository of every image built here; its tag tells
	// which hook the image is of.
	imageName = "localhost/stretcher-hook"
	// hookLabel is on every image built here, so that its owner can prune
	// those whose tag has moved on.
	hookLabel = "stretcher.hook"
)

// job is one container to build and run.
type job struct {
	context    string // directory the image is built from
	dockerfile string // path of the dockerfile
	tag        string // tells this hook's image from others
	container  string // name of the container
	run        string // id of the run
	hook       string // name of the hook
	tree       string // mounted at MountPoint; "" = nothing is mounted
	env        []string
}

// contain builds the image and runs the container to its end. No container
// is left, however it ended.
func (e *Engine) contain(ctx context.Context, s hooks.Streams, j job) (process.Result, error) {
	failed := process.Result{Exit: -1}
	if strings.Contains(j.tree, ",") {
		return failed, fmt.Errorf("mount %q: container engines take no comma in a path", j.tree)
	}
	private, err := os.MkdirTemp(e.Temp, buildDir)
	if err != nil {
		return failed, err
	}
	defer os.RemoveAll(private)
	image, res, err := e.build(ctx, s, j, private)
	if err != nil {
		return res, fmt.Errorf("build: %w", err)
	}
	return e.run(ctx, s, j, image, filepath.Join(private, "env"))
}

// build returns the id of the built image: a tag may move while a hook of the
// same name is built for another deployment. What the engine says of the build
// goes to stderr, since stdout is the hook's own.
func (e *Engine) build(ctx context.Context, s hooks.Streams, j job, private string) (string, process.Result, error) {
	marks, env, err := e.marks(ctx, private)
	if err != nil {
		return "", process.Result{Exit: -1}, err
	}
	idFile := filepath.Join(private, "image")
	args := slices.Concat([]string{
		"build", "--force-rm", "--iidfile", idFile, "--tag", imageName + ":" + j.tag, "--label", hookLabel + "=" + j.hook,
		"--file", j.dockerfile,
	}, marks, e.cfg.BuildArgs, []string{j.context})
	s.Stdout = s.Stderr
	res, err := e.loud(ctx, s, env, args...)
	if err != nil && (ctx.Err() != nil || res.Exit < 0) { // it was stopped, or killed
		e.endBuild(ctx, s, private)
	}
	if err != nil {
		return "", res, err
	}
	id, err := os.ReadFile(idFile)
	if err != nil || len(id) == 0 {
		return "", process.Result{Exit: -1}, fmt.Errorf("image id: %w",
			errors.Join(err, errors.New("the engine did not tell it")))
	}
	return strings.TrimSpace(string(id)), res, nil
}

func (e *Engine) run(ctx context.Context, s hooks.Streams, j job, image, envFile string) (process.Result, error) {
	file, inherited, err := split(j.env, e.environ)
	if err != nil {
		return process.Result{Exit: -1}, err
	}
	// Arguments are there for every user of the host to read; this file and
	// the engine's environment are not.
	if err := os.WriteFile(envFile, file, 0o600); err != nil {
		return process.Result{Exit: -1}, err
	}
	args := []string{
		"run", "--rm", "--name", j.container, "--label", runLabel + "=" + j.run,
		"--log-driver", "none", "--env-file", envFile,
	}
	for _, kv := range inherited {
		name, _, _ := strings.Cut(kv, "=")
		args = append(args, "--env", name)
	}
	if j.tree != "" {
		args = append(args, "--mount", "type=bind,source="+j.tree+",target="+MountPoint)
	}
	path, err := e.Find(ctx)
	if err != nil {
		return process.Result{Exit: -1}, err
	}
	if isPodman(path) {
		// Else podman hands on the proxies of this host, with their passwords.
		args = append(args, "--http-proxy=false")
	}
	args = append(slices.Concat(args, e.cfg.RunArgs), image)
	res, err := e.loud(ctx, s, inherited, args...)
	if err != nil && (ctx.Err() != nil || res.Exit < 0) {
		// The client has ended before its container: it was stopped, or killed.
		if left := e.remove(ctx, j.container); left != nil {
			fmt.Fprintln(s.Stderr, left)
		}
	}
	return res, err
}

// plain makes of any text a part of a container's name.
func plain(s string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '_', r == '-':
			return r
		}
		return '-'
	}, s), "-")
}

// imageTag names the image of a hook: a plugin's by its commit, another's by
// the service it belongs to.
func imageTag(commit, service, hook string, e *Entry) string {
	if commit != "" {
		return commit[:12] + "-" + digest(e.Repo, e.dockerfile())
	}
	return digest(service, hook, e.Dockerfile)
}

// digest tells texts apart in few letters.
func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:8])
}
