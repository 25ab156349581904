// Package lint says what is wrong with manifests, for programs that look at many:
// as JSON, and as the commands by which GitHub Actions marks lines of a file.
//
// Its words: a problem is one thing that is wrong, with where it is; a result is
// what came of looking at one manifest.
//
// It judges nothing: the error of who looked says what is wrong. It may import
// manifest, policy/verdict and the packages below text.
package lint

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"stretcher/internal/manifest"
	"stretcher/internal/policy/verdict"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/printable"
)

// Problem is one thing that is wrong with a manifest.
type Problem struct {
	File    string `json:"file"`   // as it was named, without secrets
	Line    int    `json:"line"`   // from 1; 0: it is about the whole
	Column  int    `json:"column"` // in characters, from 1; 0 = not known
	Key     string `json:"key"`    // dotted path; "" = none
	Message string `json:"message"`
	Hint    string `json:"hint"` // what to do, or ""

	inline bool // String has the hint
}

// String is the problem in a line, but for the file's name.
func (p Problem) String() string {
	text := p.Message
	if p.Key != "" {
		text = p.Key + ": " + text
	}
	switch {
	case p.Line > 0 && p.Column > 0:
		text = fmt.Sprintf("line %d:%d: %s", p.Line, p.Column, text)
	case p.Line > 0:
		text = fmt.Sprintf("line %d: %s", p.Line, text)
	}
	if p.inline && p.Hint != "" {
		text += ", " + p.Hint
	}
	return text
}

// Result is what came of looking at one manifest.
type Result struct {
	*manifest.Checked // nil, and nothing of it, unless it is good

	File     string    `json:"file"`
	Result   string    `json:"result"` // good, malformed, refused or failed
	Status   int       `json:"exit"`
	Problems []Problem `json:"problems"`
	Warnings []string  `json:"warnings"`
	Unset    []string  `json:"unset_env"` // variables for which something stands in
}

// wrong is an error with the problems that it is made of.
type wrong struct {
	error
	problems []Problem
}

// Unwrap gives the error.
func (w *wrong) Unwrap() error { return w.error }

// Keep is said, without secrets, with the problems of err, which said may have
// lost. mask keeps secrets out of them; more are the rulings of a host, where it was asked for all.
func Keep(said, err error, mask func(string) string, more ...verdict.Ruling) error {
	if said == nil {
		return nil
	}
	var of *manifest.Wrong
	var list []Problem
	for _, one := range more {
		list = append(list, Problem{Message: one.Rule + ": " + one.Why, Hint: one.Place})
	}
	if errors.As(err, &of) {
		list = nil
		for _, p := range of.Problems {
			list = append(list, Problem{
				Line: p.Line, Column: p.Column, Key: cmp.Or(p.Key, p.Within), Message: p.What(), Hint: p.Hint, inline: p.Inline,
			})
		}
	}
	for i, p := range list {
		list[i].Key, list[i].Message, list[i].Hint = mask(p.Key), mask(p.Message), mask(p.Hint)
	}
	return &wrong{said, list}
}

// Problems are those of a file that an error tells of.
func Problems(file string, err error) []Problem {
	if err == nil {
		return []Problem{}
	}
	list := Found(err)
	for i := range list {
		list[i].File = file
	}
	if len(list) > 0 {
		return list
	}
	return []Problem{{File: file, Message: failure.Text(err), Hint: failure.Hint(err)}}
}

// Found are the problems in a file that an error is made of; none when it is one of
// another kind.
func Found(err error) []Problem {
	var of *wrong
	if !errors.As(err, &of) {
		return nil
	}
	return slices.Clone(of.problems)
}

// maxSaid bounds what is said of one file.
const maxSaid = 50

// Say tells people of the problems of a file, one after the other: each as a line,
// and its hint unless that has been said. Of very many it tells the first.
func Say(file string, list []Problem, line, hint func(string)) {
	said := map[string]bool{}
	for i, p := range list {
		if i == maxSaid {
			line(fmt.Sprintf("manifest: %q: and %d more", file, len(list)-i))
			return
		}
		line(fmt.Sprintf("manifest: %q: %s", file, p))
		if p.Hint != "" && !p.inline && !said[p.Hint] {
			said[p.Hint] = true
			hint(p.Hint)
		}
	}
}

// PrintJSON prints a result as one object on one line.
func (r Result) PrintJSON(w io.Writer) error {
	r.Problems = append([]Problem{}, r.Problems...)
	r.Warnings, r.Unset = append([]string{}, r.Warnings...), append([]string{}, r.Unset...)
	return printable.EncodeJSON(w, r)
}

// PrintGitHub prints a result as commands of a workflow of GitHub Actions, one a
// line. A good one without a warning is none.
func (r Result) PrintGitHub(w io.Writer) error {
	var b strings.Builder
	for _, p := range r.Problems {
		text := p.Message
		if p.Key != "" {
			text = p.Key + ": " + text
		}
		b.WriteString(annotation("error", p, printable.Line(text), printable.Line(p.Hint)))
	}
	for _, text := range r.Warnings {
		b.WriteString(annotation("warning", Problem{File: r.File}, printable.Line(text), ""))
	}
	for _, name := range r.Unset {
		b.WriteString(annotation("notice", Problem{File: r.File}, StandsIn(name), ""))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// StandsIn says that something stands in for the value of a variable.
func StandsIn(name string) string {
	return fmt.Sprintf("environment variable %q is not set: a placeholder stands in for it", name)
}

// annotation is one command. Whatever it is made of stays inside of it.
func annotation(kind string, at Problem, text, hint string) string {
	where := "file=" + property(at.File)
	if at.Line > 0 {
		where += fmt.Sprintf(",line=%d", at.Line)
	}
	if at.Column > 0 {
		where += fmt.Sprintf(",col=%d", at.Column)
	}
	if hint != "" {
		text += "\n" + hint
	}
	return fmt.Sprintf("::%s %s,title=stretcher check::%s\n", kind, where, data(text))
}

// data is a text as the end of a command. What a terminal would obey is shown.
func data(text string) string {
	var shown strings.Builder
	for {
		line := text
		if i := strings.IndexAny(text, "\r\n"); i >= 0 {
			line = text[:i]
		}
		shown.WriteString(printable.Line(line))
		if len(line) == len(text) {
			break
		}
		shown.WriteByte(text[len(line)])
		text = text[len(line)+1:]
	}
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(shown.String())
}

// property is a text as a value before it.
func property(text string) string {
	return strings.NewReplacer(":", "%3A", ",", "%2C").Replace(data(text))
}
