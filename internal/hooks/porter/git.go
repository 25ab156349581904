package porter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"stretcher/internal/hooks"
	"stretcher/internal/journal/runlog"
	"stretcher/internal/process"
	"stretcher/internal/text/redact"
)

const (
	// gitTime bounds each git command: a server that stops answering must
	// not hold a deployment whose hook has no timeout.
	gitTime = 10 * time.Minute
	// lockPoll is how often a lock that another run holds is tried.
	lockPoll = 50 * time.Millisecond
	// treeKeep is how long a checked out commit is kept after its last use.
	treeKeep = 30 * 24 * time.Hour
)

// Plugins is a cache of git repositories: a bare mirror of each below
// Dir/mirrors, and its commits, checked out, below Dir/trees. Several
// processes may share it.
type Plugins struct {
	Dir     string   // made, private to its owner, when it is first used
	Environ []string // NAME=value: the environment git is given, less what would point it at another repository
}

// ErrNoRef: the repository has no tag, branch or commit of that name.
var ErrNoRef = errors.New("no such tag, branch or commit")

// isFullCommit tells whether ref is a commit by all its digits: git takes 40 of
// them for nothing else, though a tag or branch has the same name. Mirrors name
// commits by SHA-1, so that 64 digits may be such a name.
func isFullCommit(ref string) bool { return isShortCommit(ref) && len(ref) == 40 }

// isShortCommit tells whether ref may be the beginning of a commit.
func isShortCommit(ref string) bool {
	return len(ref) >= 7 && len(ref) <= 64 && strings.Trim(ref, "0123456789abcdef") == ""
}

// Checkout returns a directory with the files of the repository at ref, a
// tag, branch or commit, and the commit it is. The directory belongs to the
// cache and must not be changed. A full commit that is cached takes no
// network. Hooks, filters and submodules of the repository are not run, and
// nobody is asked for a password. Errors hold no credential.
func (p *Plugins) Checkout(ctx context.Context, s hooks.Streams, repo, ref string) (dir, commit string, err error) {
	if !validRepo(repo) || !validRef(ref) || ref == "" {
		return "", "", fmt.Errorf("plugin %q at %q: not a repository and a ref", shown(repo), ref)
	}
	key := digest(repo)
	trees := filepath.Join(p.Dir, "trees", key)
	c := clone{p: p, s: s, repo: repo, git: filepath.Join(p.Dir, "mirrors", key+".git")}
	for _, d := range []string{p.Dir, filepath.Dir(c.git), trees} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return "", "", err
		}
	}
	unlock, err := lockFile(ctx, c.git+".lock")
	if err != nil {
		return "", "", err
	}
	defer unlock()
	if isFullCommit(ref) && touch(filepath.Join(trees, ref)) {
		return filepath.Join(trees, ref), ref, nil
	}
	commit, err = c.fetch(ctx, ref)
	if err == nil {
		err = c.checkout(ctx, commit, trees)
	}
	if err != nil {
		return "", "", fmt.Errorf("plugin %q at %q: %w", shown(repo), ref, err)
	}
	return filepath.Join(trees, commit), commit, nil
}

// touch notes that a directory is in use; false when there is none.
func touch(dir string) bool {
	now := time.Now()
	return os.Chtimes(dir, now, now) == nil
}

// lockFile waits for the lock on a file, which ends with its holder.
func lockFile(ctx context.Context, name string) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			f.Close()
			return nil, fmt.Errorf("lock %q: %w", name, err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("wait for %q: %w", name, context.Cause(ctx))
		case <-time.After(lockPoll):
		}
	}
}

// clone is a mirror of one repository while it is locked.
type clone struct {
	p    *Plugins
	s    hooks.Streams
	repo string
	git  string // directory of the mirror
}

// fetch brings the mirror up to date and returns the commit that ref stands
// for. A tag goes before a branch of its name, as in git.
func (c *clone) fetch(ctx context.Context, ref string) (string, error) {
	if _, err := c.run(ctx, nil, "init", "--quiet", "--bare", "--template=", c.git); err != nil {
		return "", err
	}
	// The URL may hold a token: in the environment it is not for all to see,
	// and it never reaches the mirror's configuration.
	origin := []string{
		"GIT_CONFIG_COUNT=2", "GIT_CONFIG_KEY_0=remote.origin.url", "GIT_CONFIG_VALUE_0=" + c.repo,
		"GIT_CONFIG_KEY_1=gc.autoDetach", "GIT_CONFIG_VALUE_1=false",
	}
	_, err := c.run(ctx, origin, "fetch", "--quiet", "--force", "--prune", "--no-recurse-submodules",
		"origin", "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
	if err != nil {
		return "", err
	}
	names := []string{"refs/tags/" + ref, "refs/heads/" + ref}
	if isShortCommit(ref) {
		names = append(names, ref)
	}
	if isFullCommit(ref) {
		names = []string{ref}
	}
	for _, name := range names {
		out, err := c.run(ctx, nil, "rev-parse", "--verify", "--quiet", "--end-of-options", name+"^{commit}")
		if err == nil {
			return strings.TrimSpace(out), nil
		}
		if ctx.Err() != nil {
			return "", err
		}
	}
	return "", ErrNoRef
}

// checkout puts the commit's files below trees, whole or not at all. The
// user's and the host's git configuration is left out: the attributes of the
// repository can start no filter that nobody has defined.
func (c *clone) checkout(ctx context.Context, commit, trees string) error {
	if touch(filepath.Join(trees, commit)) {
		return nil
	}
	tmp, err := os.MkdirTemp(trees, ".new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	files := filepath.Join(tmp, "files")
	if err := os.Mkdir(files, 0o755); err != nil {
		return err
	}
	env := []string{
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_ATTR_NOSYSTEM=1",
		"GIT_INDEX_FILE=" + filepath.Join(tmp, "index"), "GIT_WORK_TREE=" + files,
	}
	if _, err := c.run(ctx, env, "read-tree", commit); err != nil {
		return err
	}
	if _, err := c.run(ctx, env, "-c", "core.hooksPath=/dev/null", "checkout-index", "--all", "--force"); err != nil {
		return err
	}
	prune(trees)
	return os.Rename(files, filepath.Join(trees, commit))
}

// prune removes what has not been used for long, and what a run that died
// has left behind. Failures leave it to the next time.
func prune(trees string) {
	entries, _ := os.ReadDir(trees)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > treeKeep {
			_ = os.RemoveAll(filepath.Join(trees, e.Name()))
		}
	}
}

// run runs git on the mirror and returns what it printed. What it complains
// of goes to the log, and its last word into the error.
func (c *clone) run(ctx context.Context, env []string, args ...string) (string, error) {
	var out bytes.Buffer
	var reason string
	said := &runlog.LineWriter{Line: func(line string) {
		line = redact.Text(line)
		if fatal, ok := strings.CutPrefix(line, "fatal: "); ok {
			reason = ": " + fatal
		}
		if c.s.Stderr != nil {
			_, _ = io.WriteString(c.s.Stderr, line+"\n")
		}
	}}
	_, err := started(ctx, c.s, process.Command{
		Path: "git", Args: args, Env: slices.Concat(gitEnv(c.p.Environ), []string{"GIT_DIR=" + c.git}, env),
		Stdout: &out, Stderr: said, Timeout: gitTime,
	})
	_ = said.Close()
	if err != nil {
		i := slices.IndexFunc(args, func(a string) bool { return a != "-c" && !strings.Contains(a, "=") })
		return "", fmt.Errorf("git %s: %w%s", args[i], err, reason)
	}
	return out.String(), nil
}

// kept are the beginnings of those GIT_ variables that say how to reach a
// server. The others, as a git hook sets them, say which repository to use.
var kept = [...]string{"GIT_SSH", "GIT_SSL_", "GIT_HTTP_", "GIT_PROXY_", "GIT_CONFIG_GLOBAL=", "GIT_CONFIG_SYSTEM=",
	"GIT_CONFIG_NOSYSTEM="}

// gitEnv is the environment of git: it asks nobody, speaks only the
// transports that validRepo accepts, and says what it says in English.
func gitEnv(environ []string) []string {
	env := slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		return strings.HasPrefix(kv, "GIT_") &&
			!slices.ContainsFunc(kept[:], func(k string) bool { return strings.HasPrefix(kv, k) })
	})
	return append(env, "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=false", "SSH_ASKPASS=false", "SSH_ASKPASS_REQUIRE=force",
		"GIT_ALLOW_PROTOCOL=file:git:http:https:ssh", "GIT_LFS_SKIP_SMUDGE=1", "LC_ALL=C")
}
