package porter

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"stretcher/internal/hooks"
	"stretcher/internal/testparts"
)

// repository is a bare repository that plugins are fetched from, with a work
// tree to fill it.
type repository struct {
	t         *testing.T
	work, url string
}

func newRepository(t *testing.T) *repository {
	t.Helper()
	testparts.Need(t, "git")
	dir := t.TempDir()
	r := &repository{t: t, work: filepath.Join(dir, "work"), url: "file://" + filepath.Join(dir, "plugin.git")}
	r.run(dir, "init", "--quiet", "--bare", "plugin.git")
	r.run(dir, "init", "--quiet", "--initial-branch=main", "work")
	return r
}

func (r *repository) run(dir string, args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b")
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %q: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit puts files, name and content in turns, and returns the commit.
func (r *repository) commit(files ...string) string {
	r.t.Helper()
	for pair := range slices.Chunk(files, 2) {
		write(r.t, filepath.Join(r.work, pair[0]), pair[1], 0o755)
	}
	r.run(r.work, "add", "--all")
	r.run(r.work, "commit", "--quiet", "--message", "change")
	r.push()
	return r.run(r.work, "rev-parse", "HEAD")
}

func (r *repository) push() {
	r.t.Helper()
	r.run(r.work, "push", "--quiet", "--force", "--prune", r.url, "refs/heads/*:refs/heads/*", "refs/tags/*:refs/tags/*")
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestCheckout(t *testing.T) {
	r := newRepository(t)
	first := r.commit("Dockerfile", "first", "dir/x", "x")
	r.run(r.work, "tag", "v1")
	second := r.commit("Dockerfile", "second")
	r.run(r.work, "tag", "--annotate", "--message=m", "v2")
	r.run(r.work, "branch", "v1") // a branch with the name of a tag
	third := r.commit("Dockerfile", "third")
	p := &Plugins{Dir: filepath.Join(t.TempDir(), "cache"), Environ: os.Environ()}
	for _, tt := range []struct{ ref, commit, text string }{
		{"v1", first, "first"}, {"v2", second, "second"}, {"main", third, "third"},
		{second, second, "second"}, {first[:10], first, "first"},
	} {
		dir, commit, err := p.Checkout(t.Context(), hooks.Streams{}, r.url, tt.ref)
		if err != nil || commit != tt.commit || read(t, filepath.Join(dir, "Dockerfile")) != tt.text {
			t.Errorf("%s: %q, %s, %v; want %s", tt.ref, dir, commit, err, tt.commit)
		}
	}
	for _, ref := range []string{"v3", "refs/heads/main", strings.Repeat("0", 40), first[:4], "HEAD"} {
		dir, _, err := p.Checkout(t.Context(), hooks.Streams{}, r.url, ref)
		if !errors.Is(err, ErrNoRef) || dir != "" {
			t.Errorf("%s: %q, %v; want ErrNoRef", ref, dir, err)
		}
	}
	if info, err := os.Stat(p.Dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("cache: %v, %v; want a private directory", info.Mode(), err)
	}
}

// TestBranchMovesAndCommitStays: names are asked for anew, a commit is not.
func TestBranchMovesAndCommitStays(t *testing.T) {
	r := newRepository(t)
	first := r.commit("Dockerfile", "first")
	p := &Plugins{Dir: t.TempDir(), Environ: os.Environ()}
	checkout := func(ref string) (string, error) {
		_, commit, err := p.Checkout(t.Context(), hooks.Streams{}, r.url, ref)
		return commit, err
	}
	if commit, err := checkout("main"); commit != first || err != nil {
		t.Fatalf("main = %s, %v", commit, err)
	}
	r.run(r.work, "commit", "--quiet", "--amend", "--message=rewritten")
	r.push()
	if commit, err := checkout("main"); commit == first || err != nil {
		t.Errorf("main = %s, %v; want the new commit", commit, err)
	}
	// A name that was a branch may become a directory of branches.
	r.run(r.work, "branch", "--move", "main", "main/sub")
	r.push()
	if _, err := checkout("main/sub"); err != nil {
		t.Error(err)
	}
	if _, err := checkout("main"); !errors.Is(err, ErrNoRef) {
		t.Errorf("a branch that is gone: %v", err)
	}
}

func TestCommitIsCached(t *testing.T) {
	r := newRepository(t)
	first := r.commit("Dockerfile", "first")
	p := &Plugins{Dir: t.TempDir(), Environ: os.Environ()}
	if _, _, err := p.Checkout(t.Context(), hooks.Streams{}, r.url, "main"); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(strings.TrimPrefix(r.url, "file://")); err != nil {
		t.Fatal(err)
	}
	if _, commit, err := p.Checkout(t.Context(), hooks.Streams{}, r.url, first); commit != first || err != nil {
		t.Errorf("a cached commit: %s, %v", commit, err)
	}
	if _, _, err := p.Checkout(t.Context(), hooks.Streams{}, r.url, "main"); err == nil {
		t.Error("a branch of a repository that is gone was found")
	}
}

// TestRepositoryRunsNothing: neither its filters, even those that the user
// has defined, nor submodules, nor hooks of a template.
func TestRepositoryRunsNothing(t *testing.T) {
	r := newRepository(t)
	dir := t.TempDir()
	proof := filepath.Join(dir, "proof")
	r.commit("Dockerfile", "raw", ".gitattributes", "* filter=evil diff=evil\n",
		".gitmodules", "[submodule \"s\"]\n\tpath = s\n\turl = ext::touch% "+proof+"\n\tupdate = !touch "+proof+"\n")
	write(t, filepath.Join(dir, "template/hooks/post-checkout"), "#!/bin/sh\ntouch "+proof+"\n", 0o755)
	write(t, filepath.Join(dir, "gitconfig"), "[filter \"evil\"]\n\tsmudge = touch "+proof+"; cat\n\trequired = true\n"+
		"[init]\n\ttemplateDir = "+filepath.Join(dir, "template")+"\n[core]\n\thooksPath = "+filepath.Join(dir,
		"template/hooks")+"\n", 0o644)
	// As a git hook that starts us would have it.
	environ := append(os.Environ(), "GIT_CONFIG_GLOBAL="+filepath.Join(dir, "gitconfig"), "GIT_DIR="+r.work+"/.git",
		"GIT_INDEX_FILE=/nowhere/index",
		"GIT_OBJECT_DIRECTORY=/nowhere/objects", "GIT_WORK_TREE="+r.work)
	p := &Plugins{Dir: filepath.Join(dir, "cache"), Environ: environ}
	tree, _, err := p.Checkout(t.Context(), hooks.Streams{}, r.url, "main")
	if err != nil || read(t, filepath.Join(tree, "Dockerfile")) != "raw" {
		t.Errorf("%q, %v", tree, err)
	}
	if _, err := os.Stat(proof); err == nil {
		t.Error("something of the repository was run")
	}
}

func TestCredentialsStayInside(t *testing.T) {
	testparts.Need(t, "git")
	base := testparts.Nginx(t, t.TempDir(), `location / { return 401; add_header WWW-Authenticate 'Basic realm="x"'; }`)
	repo := strings.Replace(base, "://", "://me:hunter2@", 1) + "/p.git?token=hunter2"
	p := &Plugins{Dir: t.TempDir(), Environ: os.Environ()}
	var log bytes.Buffer
	_, _, err := p.Checkout(t.Context(), hooks.Streams{Stderr: &log}, repo, "main")
	if err == nil || !strings.Contains(err.Error(), "git fetch: exit status 128: ") {
		t.Errorf("err = %v", err)
	}
	if said := log.String(); said == "" || strings.Contains(said, "hunter2") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("log %q, error %q", said, err)
	}
	err = filepath.WalkDir(p.Dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && strings.Contains(read(t, path), "hunter2") {
			t.Errorf("%q holds the password", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestBadNamesReachNoGit(t *testing.T) {
	p := &Plugins{Dir: filepath.Join(t.TempDir(), "cache"), Environ: os.Environ()}
	for _, tt := range [][2]string{{"--upload-pack=touch x", "main"}, {"ext::touch x", "main"},
		{"https://h/p", "--exec=x"}, {"https://h/p", ""}} {
		if _, _, err := p.Checkout(t.Context(), hooks.Streams{}, tt[0], tt[1]); err == nil {
			t.Errorf("%q was accepted", tt)
		}
	}
	if _, err := os.Stat(p.Dir); err == nil {
		t.Error("the cache was made for a repository that is none")
	}
}

// TestServerThatNeverAnswers: the end of the context ends git.
func TestServerThatNeverAnswers(t *testing.T) {
	testparts.Need(t, "git")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	go func() {
		c, err := l.Accept()
		if err == nil {
			defer c.Close()
		}
		cancel(enough)
		<-t.Context().Done()
	}()
	p := &Plugins{Dir: t.TempDir(), Environ: os.Environ()}
	_, _, err = p.Checkout(ctx, hooks.Streams{}, "http://"+l.Addr().String()+"/p.git", "main")
	if !errors.Is(err, enough) {
		t.Errorf("err = %v, want the context's cause", err)
	}
}

func TestConcurrentCheckouts(t *testing.T) {
	r := newRepository(t)
	want := r.commit("Dockerfile", "first")
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { // each as a process of its own would
			p := &Plugins{Dir: dir, Environ: os.Environ()}
			if _, commit, err := p.Checkout(t.Context(), hooks.Streams{}, r.url, "main"); commit != want || err != nil {
				t.Errorf("%s, %v", commit, err)
			}
		})
	}
	wg.Wait()
	if left, _ := filepath.Glob(filepath.Join(dir, "trees/*/.new-*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestPruneKeepsWhatIsUsed(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"old", "new"} {
		write(t, filepath.Join(dir, name, "file"), "", 0o644)
	}
	long := treeKeep + treeKeep/10
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	past := info.ModTime().Add(-long)
	if err := os.Chtimes(filepath.Join(dir, "old"), past, past); err != nil {
		t.Fatal(err)
	}
	prune(dir)
	left, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(left) != 1 || filepath.Base(left[0]) != "new" {
		t.Errorf("left: %q", left)
	}
}

func TestCommitsByTheirDigits(t *testing.T) {
	digits := strings.Repeat("0123456789abcdef", 5)
	for ref, want := range map[string][2]bool{ // a beginning of one, all of one
		digits[:40]: {true, true}, digits[:64]: {true, false}, digits[:7]: {true, false}, digits[:41]: {true, false},
		digits[:6]: {}, digits[:65]: {}, "": {}, "v1.2.3": {}, "ABCDEF0": {}, digits[:20] + "x" + digits[:19]: {},
		digits[:39] + "\n": {},
	} {
		if got := [2]bool{isShortCommit(ref), isFullCommit(ref)}; got != want {
			t.Errorf("%q: %v, want %v", ref, got, want)
		}
	}
}

// TestNamesLikeCommits: a branch or tag that is named as a commit is named is
// taken for none.
func TestNamesLikeCommits(t *testing.T) {
	r := newRepository(t)
	r.commit("hook", "one")
	p := &Plugins{Dir: t.TempDir(), Environ: os.Environ()}
	for _, digits := range []int{40, 64} {
		name := strings.Repeat("ab", digits/2)
		r.run(r.work, "update-ref", "refs/heads/"+name, "HEAD")
		r.run(r.work, "update-ref", "refs/tags/"+name, "HEAD")
		r.push()
		lists := Lists{"pre_pack": {{Repo: r.url, Ref: name}}}
		_, _, err := p.Checkout(t.Context(), hooks.Streams{}, r.url, name)
		if pinned := len(lists.CheckPinned("hooks")) == 0; pinned && !errors.Is(err, ErrNoRef) || pinned != (digits == 40) {
			t.Errorf("%q: pinned %v, %v", name, pinned, err)
		}
	}
}
