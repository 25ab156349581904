package main

import (
	"fmt"
	"go/ast"
	"slices"
	"strconv"
	"strings"
)

func itoa(n int) string { return strconv.Itoa(n) }

// count is a number of something that has a name.
type count struct {
	what string
	n    int
}

// largest makes a measure of the highest of some counts.
func largest(name string, limit int, all []count) measure {
	slices.SortFunc(all, func(a, b count) int { return b.n - a.n })
	x := measure{name: name, limit: limit}
	for _, c := range all {
		x.value = max(x.value, c.n)
		if c.n > limit {
			x.details = append(x.details, fmt.Sprintf("%d: %s", c.n, c.what))
		}
	}
	return x
}

// widestStruct counts the fields of structs.
func widestStruct(m *module) measure {
	var all []count
	for _, f := range m.production() {
		names := map[ast.Node]string{}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.TypeSpec:
				names[n.Type] = " " + n.Name.Name
			case *ast.StructType:
				all = append(all, count{m.where(n.Pos()) + names[n], n.Fields.NumFields()})
			}
			return true
		})
	}
	return largest("fields of the widest struct", 15, all)
}

// mostMethods counts the methods of types. One that is there for each system is
// one.
func mostMethods(m *module) measure {
	methods := map[string]map[string]bool{}
	for _, f := range m.production() {
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv == nil {
				continue
			}
			of := f.dir + " " + receiver(fn.Recv.List[0].Type)
			if methods[of] == nil {
				methods[of] = map[string]bool{}
			}
			methods[of][fn.Name.Name] = true
		}
	}
	var all []count
	for of, names := range methods {
		all = append(all, count{of, len(names)})
	}
	return largest("methods of the type with most", 45, all)
}

// receiver is the name of a receiver's type.
func receiver(typ ast.Expr) string {
	switch t := typ.(type) {
	case *ast.StarExpr:
		return receiver(t.X)
	case *ast.IndexExpr:
		return receiver(t.X)
	case *ast.IndexListExpr:
		return receiver(t.X)
	case *ast.Ident:
		return t.Name
	}
	return strings.TrimSpace(fmt.Sprintf("%T", typ))
}
