// Rename gives the module another path, everywhere in one commit: in go.mod of the
// root and of the tools, in imports, and where documents tell how to import it. It
// builds, vets and tests what it has made, and leaves all as it was where that
// fails.
//
// Its words: old and path are the module's path before and after; a mention is a
// place where text that is no import names the module.
//
//	rename PATH   in the repository that the working directory is in
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/module"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "rename:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 || args[0] == "" {
		return errors.New("name the path: make module MODULE=git.example.org/team/stretcher/v2")
	}
	path := args[0]
	if err := check(path); err != nil {
		return err
	}
	root, err := git(".", "rev-parse", "--show-toplevel")
	if err != nil {
		return fmt.Errorf("this is no clone: %w", err)
	}
	r := &repository{root: root}
	old, err := r.path()
	if err != nil {
		return err
	}
	if err := r.ready(); err != nil {
		return err
	}
	changed, err := r.rename(old, path)
	switch {
	case err != nil:
		return errors.Join(err, r.restore())
	case changed == 0:
		fmt.Printf("the module is %s already\n", path)
	default:
		fmt.Printf("the module is %s now: %d files in one commit\n", path, changed)
	}
	return nil
}

// check refuses what can't be the path of a module that Go fetches.
func check(path string) error {
	if err := module.CheckPath(path); err != nil {
		return fmt.Errorf("%q is no path of a module: a host and a path, as git.example.org/team/stretcher/v2 (%w)",
			path, reason(err))
	}
	if _, major, _ := module.SplitPathVersion(path); major == "" {
		fmt.Fprintf(os.Stderr, "rename: versions from v2.0.0 on need a path that ends in /v2: %s/v2\n", path)
	}
	return nil
}

// reason is what is wrong with a path, without the path.
func reason(err error) error {
	var invalid *module.InvalidPathError
	if errors.As(err, &invalid) {
		return invalid.Err
	}
	return err
}

// repository is a clone.
type repository struct{ root string }

// path is the module's path as it is.
func (r *repository) path() (string, error) {
	text, err := os.ReadFile(filepath.Join(r.root, "go.mod"))
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	path, ok := strings.CutPrefix(line, "module ")
	if !ok {
		return "", errors.New("go.mod does not begin with the module's path")
	}
	return strings.TrimSpace(path), nil
}

// ready tells whether a commit could be made that holds nothing else.
func (r *repository) ready() error {
	if out, err := git(r.root, "status", "--porcelain"); err != nil || out != "" {
		return errors.Join(fmt.Errorf("there are changes that are not committed:\n%s", out), err)
	}
	if _, err := git(r.root, "var", "GIT_COMMITTER_IDENT"); err != nil {
		return fmt.Errorf("git knows no name for the commit: %w", err)
	}
	return nil
}

// restore brings back the files as they were committed.
func (r *repository) restore() error {
	_, err := git(r.root, "checkout", "--quiet", "HEAD", "--", ".")
	return err
}

// first is the path that the module has where its changes come from.
const first = "stretcher"

// rename changes the files, tries what has become of them, and commits. It counts
// the files. What has come by a merge has the first path.
func (r *repository) rename(old, path string) (changed int, err error) {
	list, err := git(r.root, "ls-files", "-z")
	if err != nil {
		return 0, err
	}
	for _, name := range strings.Split(strings.TrimSuffix(list, "\x00"), "\x00") {
		if strings.HasPrefix(name, "tools/rename/") {
			continue // its tests speak of both paths
		}
		for _, was := range slices.Compact([]string{old, first}) {
			did, err := r.change(name, was, path)
			if err != nil {
				return changed, fmt.Errorf("%s: %w", name, err)
			}
			if did {
				changed++
			}
		}
	}
	if changed == 0 {
		return 0, nil
	}
	return changed, r.commit(path)
}

// commit tries what has become of the files, and commits it.
func (r *repository) commit(path string) error {
	for _, command := range [][]string{
		{".", "go", "build", "-tags", "disable_grpc_modules", "./..."},
		{".", "go", "vet", "-tags", "disable_grpc_modules", "./..."},
		{".", "go", "test", "-tags", "disable_grpc_modules", "./hookenv/..."},
		{"tools", "go", "vet", "./measure", "./rename"},
	} {
		if out, err := r.command(command[0], command[1], command[2:]...); err != nil {
			return fmt.Errorf("%s in %s: %w\n%s", strings.Join(command[1:], " "), command[0], err, out)
		}
	}
	if _, err := git(r.root, "add", "--update"); err != nil {
		return err
	}
	_, err := git(r.root, "commit", "--quiet", "-m", "all: name the module "+path)
	return err
}

// change renames in one file, and tells whether there was anything to rename.
func (r *repository) change(name, old, path string) (changed bool, err error) {
	file := filepath.Join(r.root, name)
	info, err := os.Lstat(file)
	if err != nil || !info.Mode().IsRegular() || old == path {
		return false, err
	}
	text, err := os.ReadFile(file)
	if err != nil || bytes.IndexByte(text, 0) >= 0 || !bytes.Contains(text, []byte(old)) {
		return false, err
	}
	now, err := renamed(name, text, old, path)
	if err != nil || bytes.Equal(now, text) {
		return false, err
	}
	return true, os.WriteFile(file, now, info.Mode().Perm())
}

// command runs one in a directory of the repository.
func (r *repository) command(dir, name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = filepath.Join(r.root, dir)
	return cmd.CombinedOutput()
}

// git runs git in a directory, and returns what it prints.
func git(dir string, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSuffix(stdout.String(), "\n"), nil
}
