package main

import (
	"bytes"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/mod/module"
)

// renamed is the text of a file with the new path in the place of the old one.
func renamed(name string, text []byte, old, path string) ([]byte, error) {
	switch {
	case filepath.Base(name) == "go.mod":
		return moduleLine(text, old, path), nil
	case strings.HasSuffix(name, ".go"):
		changed, err := imports(text, old, path)
		if err != nil {
			return nil, err
		}
		return mentions(changed, old, path), nil
	}
	return mentions(text, old, path), nil
}

// moduleLine changes the line that names the module of a go.mod: the root's, or
// one below it.
func moduleLine(text []byte, old, path string) []byte {
	line := regexp.MustCompile(`(?m)^module ` + regexp.QuoteMeta(old) + `(/\S*)?$`)
	return line.ReplaceAll(text, []byte("module "+strings.ReplaceAll(path, "$", "$$")+"$1"))
}

// imports changes the imports of a Go file, and sorts them anew.
func imports(text []byte, old, path string) ([]byte, error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "", text, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	end := 0
	for _, spec := range file.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		below, ok := strings.CutPrefix(name, old)
		if !ok || below != "" && below[0] != '/' {
			continue
		}
		from := offset(set, spec.Path)
		out.Write(text[end:from])
		out.WriteString(strconv.Quote(path + below))
		end = from + len(spec.Path.Value)
	}
	if end == 0 {
		return text, nil
	}
	out.Write(text[end:])
	return format.Source(out.Bytes())
}

func offset(set *token.FileSet, n ast.Node) int { return set.Position(n.Pos()).Offset }

// mentions changes what names the module, or a package of it that others import,
// in text: documents, comments, and the go.mod that a document shows.
func mentions(text []byte, old, path string) []byte {
	q := regexp.QuoteMeta(old)
	_, major, _ := module.SplitPathVersion(path)
	version := "v0.0.0"
	if major != "" {
		version = strings.TrimLeft(major, "/.") + ".0.0"
	}
	for _, m := range []struct{ pattern, by string }{
		{"(^|[\"'`\\s(])" + q + `/hookenv\b`, "${1}" + path + "/hookenv"},
		{`\brequire ` + q + ` v[0-9]+\.0\.0\b`, "require " + path + " " + version},
		{`\breplace ` + q + ` =>`, "replace " + path + " =>"},
		{"\\bmodule `" + q + "`", "module `" + path + "`"},
	} {
		text = regexp.MustCompile("(?m)"+m.pattern).ReplaceAll(text, []byte(m.by))
	}
	return text
}
