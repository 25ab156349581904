package main

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/token"
	"go/types"
	"path"
	"path/filepath"
	"slices"
)

// story is the file that may call every other and be called by it.
const story = "deploy.go"

// rootPairs counts the pairs of files at the root that call each other: a
// function or method of the one is used in the other, and the other way round.
func rootPairs(m *module) measure {
	calls := m.rootCalls()
	var pairs []string
	for c, symbol := range calls {
		back, both := calls[call{c.to, c.from}]
		if both && c.from < c.to && c.from != story && c.to != story {
			pairs = append(pairs, fmt.Sprintf("%s and %s: %s, %s", c.from, c.to, symbol, back))
		}
	}
	slices.Sort(pairs)
	return measure{"pairs of root files that call each other", len(pairs), 0, pairs}
}

// call is that a file uses what another one has.
type call struct{ from, to string }

// rootCalls finds all calls between files of the root, each with one of the
// functions that are called.
func (m *module) rootCalls() map[call]string {
	var trees []*ast.File
	for _, f := range m.production() {
		if match, err := build.Default.MatchFile(filepath.Join(m.root, f.dir), f.name); f.dir == "." && match && err == nil {
			trees = append(trees, f.ast)
		}
	}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	// What others export is not known here. It calls nothing at the root.
	conf := types.Config{Importer: unknown{}, Error: func(error) {}}
	pkg, _ := conf.Check(m.path, m.set, trees, info)
	calls := map[call]string{}
	for id, object := range info.Uses {
		if fn, ok := object.(*types.Func); ok && fn.Pkg() == pkg {
			c := call{m.base(id.Pos()), m.base(fn.Pos())}
			if old := calls[c]; old == "" || fn.Name() < old {
				calls[c] = fn.Name()
			}
		}
	}
	return calls
}

func (m *module) base(pos token.Pos) string { return filepath.Base(m.set.Position(pos).Filename) }

// unknown imports packages of which nothing is known.
type unknown struct{}

// Import gives an empty package.
func (unknown) Import(name string) (*types.Package, error) {
	p := types.NewPackage(name, path.Base(name))
	p.MarkComplete()
	return p, nil
}
