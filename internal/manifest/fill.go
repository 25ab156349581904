package manifest

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"stretcher/internal/text/yamldoc"
)

// wrong are the problems of templates that are none. They may be why a document
// can't be parsed.
func (t *templates) wrong() (problems []*yamldoc.Problem) {
	for _, found := range t.list {
		if found.wrong != "" {
			problems = append(problems, found.problem(found.wrong))
		}
	}
	return problems
}

func (t *template) problem(text string) *yamldoc.Problem {
	return &yamldoc.Problem{Line: t.line, Column: t.column, Message: "template: " + text}
}

// filling is the way of values into one document.
type filling struct {
	*templates
	values
	size     int  // of what has been filled in so far
	gap      bool // a template has no value
	at       yamldoc.Place
	problems []*yamldoc.Problem
}

// values are where the values of templates come from.
type values struct {
	look  Lookup
	shown func(name, value string) string // what stands there for a variable's value; nil = that
	unset bool                            // a variable that is not set is no problem
	gaps  *gaps                           // gets the scalars that have a template without a value
}

// fill puts values into the scalars of doc, which was parsed from t.text. A
// template in a comment is left alone, whatever it is.
func (t *templates) fill(doc *yamldoc.Document, v values) []*yamldoc.Problem {
	if len(t.list) == 0 {
		return nil
	}
	f := &filling{templates: t, values: v}
	doc.Fill(yamldoc.Filler{Value: f.scalar, Key: f.key, Comment: t.restored})
	if f.size > MaxSize {
		tooMuch := fmt.Sprintf("template: expands to more than %d bytes", MaxSize)
		f.problems = append(f.problems, &yamldoc.Problem{Message: tooMuch})
	}
	return f.problems
}

func (f *filling) problem(t *template, format string, args ...any) {
	p := t.problem(fmt.Sprintf(format, args...))
	p.Spot = f.at
	f.problems = append(f.problems, p)
}

// key refuses templates in a key: which keys there are does not depend on the
// environment.
func (f *filling) key(text string) string {
	f.at = yamldoc.Place{} // of no value
	for _, mark := range f.marks.FindAllString(text, -1) {
		if t := f.of(mark); t != nil {
			f.problem(t, "%s stands in a key", t.text)
		}
	}
	return text
}

// scalar is the text of a scalar with values in place of the marks. One with a
// gap is remembered, and gets what stands in for a value there.
func (f *filling) scalar(text string, at yamldoc.Place) string {
	f.gap, f.at = false, at
	out := f.value(text, f.gaps.standIn(at))
	if f.gap {
		f.gaps.add(at, strings.HasPrefix(text, f.prefix))
	}
	return out
}

// value is text with values in place of the marks; standIn is that of those that
// have none.
func (f *filling) value(text, standIn string) string {
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
			v, ok := f.eval(t)
			if !ok {
				v, f.gap = standIn, true
			}
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

// eval returns what a template stands for; ok is false where that is not known.
func (f *filling) eval(t *template) (value string, ok bool) {
	if t.wrong != "" {
		f.problem(t, "%s", t.wrong)
		return "", false
	}
	if t.must {
		v, ok := f.variable(t, t.args[0])
		if !ok {
			f.gaps.miss(t)
			if !f.unset {
				f.problem(t, "environment variable %q is not set", t.args[0])
			}
		}
		return v, ok
	}
	last := len(t.args) - 1
	for _, name := range t.args[:max(1, last)] {
		if v, _ := f.variable(t, name); v != "" {
			return v, true
		}
	}
	if last == 0 {
		return "", true
	}
	return t.args[last], true
}

// variable is what stands for a variable.
func (f *filling) variable(t *template, name string) (string, bool) {
	v, ok := f.look(name)
	if !utf8.ValidString(v) {
		f.problem(t, "environment variable %q is not UTF-8", name)
		f.gap = true
		return "", true
	}
	if ok && f.shown != nil && (v != "" || t.must) {
		v = f.shown(name, v)
	}
	return v, ok
}
