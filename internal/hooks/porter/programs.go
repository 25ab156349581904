package porter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"stretcher/internal/disk"
	"stretcher/internal/hooks"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/yamldoc"
)

// local is the file of the archive that an entry names, and the key that does;
// "" = it needs none.
func (e *Entry) local() (key, name string) {
	switch {
	case e.Path != "":
		return "path", e.Path
	case e.Repo == "":
		return "dockerfile", e.Dockerfile
	}
	return "", ""
}

// CheckPrograms finds the files of the archive that are asked for where there
// is none: before it is unpacked, or without src. A manifest in a file has its
// directory there. Keys are below prefix.
func (l Lists) CheckPrograms(prefix string, hasSrc bool) (problems []*yamldoc.Problem) {
	for _, name := range l.names() {
		point, runs := hooks.ByList(name)
		for i := range l[name] {
			key, file := l[name][i].local()
			instead := map[string]string{"path": "run", "dockerfile": "repo"}[key]
			why := ""
			switch {
			case file == "":
			case !hasSrc:
				why = fmt.Sprintf("is a file of the archive, and there is no src: use %s", instead)
			case runs && point.Early():
				why = fmt.Sprintf("is a file of the archive, which is not unpacked yet at this point: use %s, or %s",
					later(name), instead)
			}
			if why != "" {
				at := fmt.Sprintf("%s.%s[%d].%s", prefix, name, i, key)
				problems = append(problems, &yamldoc.Problem{Key: at, Value: file, Message: why})
			}
		}
	}
	return problems
}

// later is the list to use instead of one that runs too early.
func later(name string) string {
	if name == Pack.Pre() {
		return Pack.Post()
	}
	return string(hooks.PostExtract)
}

// Late tells whether files of the archive are asked for by themselves at the
// points after the sync, where they do not come from what is deployed: that is
// somebody else's by then, perhaps.
func (l Lists) Late() bool {
	for name, list := range l {
		point, runs := hooks.ByList(name)
		for i := range list {
			if _, file := list[i].local(); file != "" && runs && !point.Early() && !point.BeforeSync() {
				return true
			}
		}
	}
	return false
}

// origin is where the file that an entry names comes from.
type origin struct {
	dir   string
	judge bool // somebody else may have had a hand in it
}

// origin returns where the files of hooks at the scope's point come from: the
// archive, or the directory that holds the manifest; "" = from nowhere.
func (s *scope) origin() origin {
	if s.Programs != "" {
		return origin{dir: s.Programs}
	}
	return origin{dir: s.Repository, judge: true}
}

// file finds a file below the origin. Its path, and its mode.
func (o origin) file(name string) (string, fs.FileMode, error) {
	path, info, err := below(o.dir, name)
	if err != nil {
		return "", 0, err
	}
	if !o.judge {
		return path, info.Mode(), nil
	}
	mode, err := disk.TrustedMode(filepath.Join(o.dir, name))
	return path, mode, err
}

// judging returns what judges the files that an entry names, where somebody
// else may have had a hand in them; nil = nobody has.
func (o origin) judging(e *Entry) func(context.Context) error {
	if _, name := e.local(); !o.judge || o.dir == "" || name == "" {
		return nil
	}
	return func(ctx context.Context) error {
		if !e.Container() {
			_, _, err := o.file(e.Path)
			return err
		}
		_, _, err := o.file(e.dockerfile())
		if err == nil {
			_, err = o.context(ctx, e.dockerfile())
		}
		return err
	}
}

// context is the directory of a dockerfile as it is named: a dockerfile may be
// a link to a shared one, and still belongs to the hook beside it. What an
// image is built from runs as well, so that all of it is judged.
func (o origin) context(ctx context.Context, dockerfile string) (string, error) {
	named := filepath.Join(o.dir, filepath.Dir(dockerfile))
	dir, err := filepath.EvalSymlinks(named)
	if err != nil || !o.judge {
		return dir, err
	}
	if dir == "/" {
		hint := "put the manifest and its dockerfiles into a directory of their own"
		return "", failure.Hinted(hint, fmt.Errorf("%q would be built from all of %q", dockerfile, dir))
	}
	return dir, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		if _, err := disk.TrustedMode(path); errors.Is(err, failure.ErrRefused) {
			return err
		}
		return nil
	})
}

// below returns the real path of the file name below dir, which no symbolic
// link may lead out of.
func below(dir, name string) (string, os.FileInfo, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", nil, err
	}
	defer root.Close()
	info, err := root.Stat(name)
	if err != nil {
		return "", nil, fmt.Errorf("%q: %w", name, errors.Unwrap(err))
	}
	if !info.Mode().IsRegular() {
		return "", nil, fmt.Errorf("%q is not a file", name)
	}
	path, err := filepath.EvalSymlinks(filepath.Join(dir, name))
	return path, info, err
}
