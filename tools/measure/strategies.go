package main

import (
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
)

// The package that joins the strategies, and the only one that may know which
// one it has.
const allStrategies = "internal/strategy/all"

// strategyTests counts the places that ask which strategy it is: a comparison
// with a strategy's name, or a test for a strategy's type. What a strategy says
// of itself does not count, nor what the benchmarks print.
func strategyTests(m *module) measure {
	s := strategies{module: m, names: m.strategyNames(), consts: m.constants()}
	var found []string
	for _, f := range m.production() {
		if f.dir == allStrategies || f.dir == "bench" {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if name := s.asked(f, n); name != "" {
				found = append(found, m.where(n.Pos())+": "+name)
			}
			return true
		})
	}
	return measure{"tests on which sync strategy it is", len(found), 0, found}
}

// strategies knows the strategies' names.
type strategies struct {
	*module
	names  []string
	consts map[string]string // "DIR.NAME" to a constant's text
}

// strategyNames are the packages beside allStrategies that it imports.
func (m *module) strategyNames() (names []string) {
	for _, f := range m.production() {
		if f.dir != allStrategies {
			continue
		}
		for _, spec := range f.ast.Imports {
			dir, _ := m.imported(text(spec.Path))
			if path.Dir(dir) == path.Dir(allStrategies) {
				names = append(names, path.Base(dir))
			}
		}
	}
	return names
}

// constants are the constants of all packages that are texts.
func (m *module) constants() map[string]string {
	all := map[string]string{}
	for _, f := range m.production() {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			for i := 0; ok && i < len(spec.Values); i++ {
				if lit, isLit := spec.Values[i].(*ast.BasicLit); isLit && lit.Kind == token.STRING {
					all[f.dir+"."+spec.Names[i].Name] = text(lit)
				}
			}
			return true
		})
	}
	return all
}

func text(lit *ast.BasicLit) string {
	s, _ := strconv.Unquote(lit.Value)
	return s
}

// asked is the strategy that a node asks for, "" for other nodes.
func (s strategies) asked(f file, n ast.Node) string {
	switch n := n.(type) {
	case *ast.BinaryExpr:
		if n.Op == token.EQL || n.Op == token.NEQ {
			return s.first(f, n.X, n.Y)
		}
	case *ast.CaseClause:
		return s.first(f, n.List...)
	case *ast.TypeAssertExpr:
		return s.first(f, n.Type)
	}
	return ""
}

// first is the first of some operands that is a strategy's name or type.
func (s strategies) first(f file, operands ...ast.Expr) string {
	for _, e := range operands {
		if name := s.strategy(f, e); name != "" {
			return name
		}
	}
	return ""
}

func (s strategies) strategy(f file, e ast.Expr) string {
	value := ""
	switch e := e.(type) {
	case *ast.BasicLit:
		value = text(e)
	case *ast.Ident:
		value = s.consts[f.dir+"."+e.Name]
	case *ast.StarExpr:
		return s.strategy(f, e.X)
	case *ast.SelectorExpr:
		value = s.selected(f, e)
	}
	if slices.Contains(s.names, value) && f.dir != path.Join(path.Dir(allStrategies), value) {
		return value
	}
	return ""
}

// selected is what a name of another package is: a constant's text, or the
// strategy that the package is.
func (s strategies) selected(f file, e *ast.SelectorExpr) string {
	of, ok := e.X.(*ast.Ident)
	if !ok {
		return ""
	}
	for _, spec := range f.ast.Imports {
		dir, ours := s.imported(text(spec.Path))
		if !ours || path.Base(dir) != of.Name {
			continue
		}
		if value, isConst := s.consts[dir+"."+e.Sel.Name]; isConst {
			return value
		}
		if path.Dir(dir) == path.Dir(allStrategies) && strings.HasSuffix(e.Sel.Name, "trategy") {
			return path.Base(dir)
		}
	}
	return ""
}
