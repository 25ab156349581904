package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// module is the source of a Go module.
type module struct {
	root  string
	path  string // as imports have it
	set   *token.FileSet
	files []file
	err   error // of a measure that could not be taken
}

// file is a Go file.
type file struct {
	dir  string // below the root, "." for the root itself
	name string
	test bool
	text []byte
	ast  *ast.File
}

// load reads all Go files of a module, and not those of modules in it.
func load(root string) (*module, error) {
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return nil, err
	}
	m := &module{root: root, path: modulePath(mod), set: token.NewFileSet()}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && m.skips(path, d.Name()):
			return fs.SkipDir
		case d.Type().IsRegular() && strings.HasSuffix(d.Name(), ".go"):
			return m.add(path)
		}
		return nil
	})
	return m, err
}

func modulePath(mod []byte) string {
	found := regexp.MustCompile(`(?m)^module (\S+)`).FindSubmatch(mod)
	if found == nil {
		return ""
	}
	return string(found[1])
}

// skips tells whether a directory is none of the module's packages.
func (m *module) skips(path, name string) bool {
	if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" {
		return true
	}
	_, err := os.Stat(filepath.Join(path, "go.mod"))
	return err == nil
}

func (m *module) add(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	tree, err := parser.ParseFile(m.set, path, text, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	rel, err := filepath.Rel(m.root, path)
	if err != nil {
		return err
	}
	f := file{dir: filepath.ToSlash(filepath.Dir(rel)), name: filepath.Base(rel), text: text, ast: tree}
	f.test = strings.HasSuffix(f.name, "_test.go")
	m.files = append(m.files, f)
	return nil
}

// production are the files that are no tests.
func (m *module) production() []file {
	var all []file
	for _, f := range m.files {
		if !f.test {
			all = append(all, f)
		}
	}
	return all
}

// imported is the directory below the root that an import path names; false for
// packages of others.
func (m *module) imported(path string) (dir string, ours bool) {
	if path == m.path {
		return ".", true
	}
	return strings.CutPrefix(path, m.path+"/")
}

// where is a position as people read it.
func (m *module) where(pos token.Pos) string {
	p := m.set.Position(pos)
	rel, err := filepath.Rel(m.root, p.Filename)
	if err != nil {
		rel = p.Filename
	}
	return rel + ":" + itoa(p.Line)
}
