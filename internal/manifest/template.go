package manifest

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"stretcher/internal/text/yamldoc"
)

// MaxSize bounds a manifest, and what its templates are filled with, in bytes.
const MaxSize = 1 << 20

// Lookup looks up variables as os.LookupEnv does.
type Lookup func(name string) (string, bool)

// template is one of these, and nothing else of what Go's text/template knows:
//
//	{{ must_env "NAME" }}                 the variable; a problem when it is not set
//	{{ env "NAME" ["OTHER" ...] "text" }} the first variable that is set and not empty, else the last argument
//
// v1.1 expanded them in the text of the manifest. Here the text is parsed
// first, with a mark in place of each template, and values are put into the
// scalars that have a mark in them. So a value adds no key, no element and no
// line, whatever it holds.
type template struct {
	text        string // as it is written
	line        int
	column      int // in characters, from 1
	must        bool
	args        []string
	left, right bool   // white space before it, after it, is dropped
	longer      int    // how much longer its line is before it than with marks, in characters
	wrong       string // why it is none, or ""
}

// templates are those of a manifest, each with its mark in the text.
type templates struct {
	list   []template
	prefix string // of all marks, and nowhere else in the text
	text   []byte // with the marks
	marks  *regexp.Regexp
}

// findTemplates puts a mark in place of each template. A mark is a word, so
// that it stands for itself in YAML wherever a template may be.
func findTemplates(raw []byte) *templates {
	text := string(raw)
	t := &templates{prefix: unusedWord(text), text: raw}
	t.marks = regexp.MustCompile(t.prefix + `([0-9]+)_`)
	var marked strings.Builder
	line, column, longer, done := 1, 1, 0, 0 // where what is done ends
	for at := 0; ; {
		next := strings.Index(text[at:], "{{")
		if next < 0 {
			break
		}
		at += next
		found, size := readTemplate(text[at:])
		if size == 0 {
			at++ // text of the user's own
			continue
		}
		before := text[done:at]
		marked.WriteString(before)
		if i := strings.LastIndexByte(before, '\n'); i >= 0 {
			line += strings.Count(before, "\n")
			before, column, longer = before[i+1:], 1, 0
		}
		column += utf8.RuneCountInString(before)
		done = at + size
		found.line, found.column, found.longer, found.text = line, column, longer, text[at:done]
		mark, length := t.mark(len(t.list)), utf8.RuneCountInString(found.text)
		marked.WriteString(mark)
		t.list = append(t.list, found)
		at, column, longer = done, column+length, longer+length-len(mark)
	}
	if len(t.list) > 0 {
		marked.WriteString(text[done:])
		t.text = []byte(marked.String())
	}
	return t
}

// unusedWord returns a word that is not in text: no text holds its own digest.
func unusedWord(text string) string {
	return fmt.Sprintf("template%xx", sha256.Sum256([]byte(text)))
}

func (t *templates) mark(i int) string { return t.prefix + strconv.Itoa(i) + "_" }

// restored is text with the templates in place of their marks.
func (t *templates) restored(text string) string {
	if !strings.Contains(text, t.prefix) {
		return text
	}
	return t.marks.ReplaceAllStringFunc(text, func(mark string) string {
		if found := t.of(mark); found != nil {
			return found.text
		}
		return mark
	})
}

// column is where what begins at a place in the text with marks does so in the
// manifest: on the same line, since no template has an end of one in it.
func (t *templates) column(at yamldoc.Place) int {
	behind, _ := slices.BinarySearchFunc(t.list, at, func(one template, at yamldoc.Place) int {
		return cmp.Or(one.line-at.Line, one.column-one.longer-at.Column, -1)
	})
	if behind == 0 || t.list[behind-1].line != at.Line {
		return at.Column
	}
	last, mark := t.list[behind-1], len(t.mark(behind-1))
	if at.Column < last.column-last.longer+mark {
		return last.column
	}
	return at.Column + last.longer + utf8.RuneCountInString(last.text) - mark
}

// of returns the template of a mark, or nil.
func (t *templates) of(mark string) *template {
	i, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(mark, t.prefix), "_"))
	if err != nil || i >= len(t.list) {
		return nil
	}
	return &t.list[i]
}

var templateHead = regexp.MustCompile("^\\{\\{(-[ \t])?[ \t]*(env|must_env)(?:[ \t\r\n\"`]|-?\\}\\}|$)")

// readTemplate reads the template that text begins with, and returns its
// length: 0 if it begins with none. What begins like one and is none is one
// that is wrong, because a misspelt template must not be taken for text.
func readTemplate(text string) (t template, size int) {
	m := templateHead.FindStringSubmatchIndex(text)
	if m == nil {
		return template{}, 0
	}
	t.left, t.must = m[2] >= 0, text[m[4]:m[5]] == "must_env"
	rest := text[m[5]:]
	for {
		arg := strings.TrimLeft(rest, " \t")
		spaced := len(arg) < len(rest)
		switch {
		case strings.HasPrefix(arg, "}}"):
			rest = arg[len("}}"):]
			t.wrong = t.miscounted()
			return t, len(text) - len(rest)
		case spaced && strings.HasPrefix(arg, "-}}"):
			rest, t.right = arg[len("-}}"):], true
			t.wrong = t.miscounted()
			return t, len(text) - len(rest)
		}
		quoted, value := readString(arg)
		if quoted == "" || !spaced {
			t.wrong = `{{ must_env "NAME" }} or {{ env "NAME" "text" }} is expected`
			return t, m[5]
		}
		t.args, rest = append(t.args, value), arg[len(quoted):]
	}
}

// miscounted tells of arguments that are too many or too few.
func (t template) miscounted() string {
	switch {
	case t.must && len(t.args) != 1:
		return "must_env needs the name of one variable"
	case len(t.args) == 0:
		return "env needs the name of a variable"
	}
	return ""
}

// readString reads the Go string on one line that text begins with.
func readString(text string) (quoted, value string) {
	if text == "" || text[0] != '"' && text[0] != '`' {
		return "", ""
	}
	quoted, err := strconv.QuotedPrefix(text)
	if err != nil || strings.Contains(quoted, "\n") {
		return "", ""
	}
	value, err = strconv.Unquote(quoted)
	if err != nil {
		return "", ""
	}
	return quoted, value
}
