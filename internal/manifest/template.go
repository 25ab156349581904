package manifest

import (
	"crypto/sha256"
	"fmt"
	"regexp"
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
	must        bool
	args        []string
	left, right bool   // white space before it, after it, is dropped
	wrong       string // why it is none, or ""
}

// templates are those of a manifest, each with its mark in the text.
type templates struct {
	list   []template
	prefix string // of all marks, and nowhere else in the text
	text   []byte // with the marks
}

// findTemplates puts a mark in place of each template. A mark is a word, so
// that it stands for itself in YAML wherever a template may be.
func findTemplates(raw []byte) *templates {
	text := string(raw)
	t := &templates{prefix: unusedWord(text), text: raw}
	var marked strings.Builder
	line, done := 1, 0
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
		line += strings.Count(text[done:at], "\n")
		found.line, found.text = line, text[at:at+size]
		marked.WriteString(text[done:at] + t.mark(len(t.list)))
		t.list = append(t.list, found)
		at += size
		done = at
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

// marks matches the marks in a text.
func (t *templates) marks() *regexp.Regexp {
	return regexp.MustCompile(t.prefix + `([0-9]+)_`)
}

// restored is text with the templates in place of their marks.
func (t *templates) restored(text string) string {
	if !strings.Contains(text, t.prefix) {
		return text
	}
	return t.marks().ReplaceAllStringFunc(text, func(mark string) string {
		if found := t.of(mark); found != nil {
			return found.text
		}
		return mark
	})
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

// wrong are the problems of templates that are none. They may be why a document
// can't be parsed.
func (t *templates) wrong() (problems []*yamldoc.Problem) {
	for _, found := range t.list {
		if found.wrong != "" {
			problems = append(problems, &yamldoc.Problem{Line: found.line, Message: "template: " + found.wrong})
		}
	}
	return problems
}

// filling is the way of values into one document.
type filling struct {
	*templates
	look     Lookup
	marks    *regexp.Regexp
	size     int // of what has been filled in so far
	problems []*yamldoc.Problem
}

// fill puts values into the scalars of doc, which was parsed from t.text. A
// template in a comment is left alone, whatever it is.
func (t *templates) fill(doc *yamldoc.Document, look Lookup) []*yamldoc.Problem {
	if len(t.list) == 0 {
		return nil
	}
	f := &filling{templates: t, look: look, marks: t.marks()}
	doc.Fill(yamldoc.Filler{Value: f.value, Key: f.key, Comment: t.restored})
	if f.size > MaxSize {
		tooMuch := fmt.Sprintf("template: expands to more than %d bytes", MaxSize)
		f.problems = append(f.problems, &yamldoc.Problem{Message: tooMuch})
	}
	return f.problems
}

func (f *filling) problem(t *template, format string, args ...any) {
	f.problems = append(f.problems, &yamldoc.Problem{Line: t.line, Message: "template: " + fmt.Sprintf(format, args...)})
}

// key refuses templates in a key: which keys there are does not depend on the
// environment.
func (f *filling) key(text string) string {
	for _, mark := range f.marks.FindAllString(text, -1) {
		if t := f.of(mark); t != nil {
			f.problem(t, "%s stands in a key", t.text)
		}
	}
	return text
}

// value is text with values in place of the marks.
func (f *filling) value(text string) string {
	var out strings.Builder
	end, trim := 0, false
	literal := func(s string, left bool) {
		if trim {
			s = strings.TrimLeft(s, " \t\r\n")
		}
		if left {
			s = strings.TrimRight(s, " \t\r\n")
		}
		out.WriteString(s)
	}
	for _, at := range f.marks.FindAllStringIndex(text, -1) {
		t := f.of(text[at[0]:at[1]])
		if t == nil {
			continue
		}
		literal(text[end:at[0]], t.left)
		if f.size <= MaxSize {
			v := f.eval(t)
			f.size += len(v)
			out.WriteString(v)
		}
		end, trim = at[1], t.right
	}
	if end == 0 {
		return text
	}
	literal(text[end:], false)
	return out.String()
}

// eval returns what a template stands for.
func (f *filling) eval(t *template) string {
	if t.wrong != "" {
		f.problem(t, "%s", t.wrong)
		return ""
	}
	if t.must {
		v, ok := f.variable(t, t.args[0])
		if !ok {
			f.problem(t, "environment variable %q is not set", t.args[0])
		}
		return v
	}
	last := len(t.args) - 1
	for _, name := range t.args[:max(1, last)] {
		if v, _ := f.variable(t, name); v != "" {
			return v
		}
	}
	if last == 0 {
		return ""
	}
	return t.args[last]
}

func (f *filling) variable(t *template, name string) (string, bool) {
	v, ok := f.look(name)
	if !utf8.ValidString(v) {
		f.problem(t, "environment variable %q is not UTF-8", name)
		return "", true
	}
	return v, ok
}
