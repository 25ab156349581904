package keys

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Scalar is a value that is one word or text, however YAML takes it: 1.10 and yes
// are text as well.
type Scalar struct {
	Pattern string // that text has; "" = any
	Also    string // a further one; "" = none
	Wrong   string // what is said of one that has not; it completes the sentence that begins with it

	number *number // what a number must be that YAML makes of it; nil = none is one
	blank  bool    // text that holds nothing may stand there, too
	must   bool    // nothing may not, in a relaxed document neither
}

// number is what a number must be that YAML makes of a word.
type number struct {
	whole  bool
	bounds Schema
}

// Text is any text.
func Text() Scalar { return Scalar{number: &number{}} }

// Like is text that has a pattern, which knows neither lookahead nor classes of
// Unicode: several languages read it.
func Like(pattern, wrong string) Scalar {
	s := Scalar{Pattern: pattern, Wrong: wrong}
	if matches(pattern, "7") {
		s.number = &number{}
	}
	return s
}

// And is such a value that has a further pattern.
func (s Scalar) And(pattern string) Scalar {
	s.Also = pattern
	return s
}

// From is such a value, of which a number is at least so large.
func (s Scalar) From(least float64) Scalar {
	s.number = &number{bounds: Schema{"minimum": least}}
	return s
}

// Whole is such a value, of which a number is a whole one of a range.
func (s Scalar) Whole(least, most int64) Scalar {
	s.number = &number{true, Schema{"minimum": least, "maximum": most}}
	return s
}

// Must is such a value that holds something, in a relaxed document, too.
func (s Scalar) Must() Scalar {
	s.must = true
	return s
}

func (s Scalar) schema(d *Document) Schema {
	types, out := []string{"string"}, Schema{}
	if s.number != nil {
		kind := "number"
		if s.number.whole {
			kind = "integer"
		}
		types = append(types, kind)
		maps.Copy(out, s.number.bounds)
	}
	if s.Check("true") == nil {
		types = append(types, "boolean")
	}
	if out["type"] = types; !s.must {
		out["type"] = d.or(types...)
	}
	s.patterns(d, out)
	d.orTemplate(out)
	out["errorMessage"] = "It " + cmp.Or(s.Wrong, "is not a single value") + "."
	return out
}

// patterns adds those of text to a schema.
func (s Scalar) patterns(d *Document, out Schema) {
	var all []Schema
	for _, pattern := range []string{s.Pattern, s.Also} {
		if pattern == "" {
			continue
		}
		if s.blank {
			pattern += `|^\s*$`
		}
		all = append(all, Schema{"pattern": d.orFilled(pattern), "patternErrorMessage": "It " + s.Wrong + "."})
	}
	if len(all) == 1 {
		maps.Copy(out, all[0])
	} else if len(all) > 1 {
		out["allOf"] = all
	}
}

// Check tells whether a text is one.
func (s Scalar) Check(text string) error {
	for _, pattern := range []string{s.Pattern, s.Also} {
		if pattern != "" && !matches(pattern, text) {
			return errors.New(s.Wrong)
		}
	}
	return nil
}

// OneOf is one of several words.
type OneOf []string

// Check tells whether a text is one of them.
func (o OneOf) Check(text string) error {
	if slices.Contains(o, text) {
		return nil
	}
	return errors.New("is not " + o.String())
}

// String is a, b or c.
func (o OneOf) String() string {
	words := slices.DeleteFunc(slices.Clone(o), func(word string) bool { return word == "" })
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

func (o OneOf) schema(d *Document) Schema {
	words := Schema{"enum": []string(o)}
	if d.Filled == "" && !d.Relaxed {
		return words
	}
	all := []Schema{words}
	if d.Relaxed {
		all = append(all, Schema{"type": "null"})
	}
	if d.Filled != "" {
		template := Schema{"type": []string{}}
		d.orTemplate(template)
		all = append(all, Schema{"type": "string", "pattern": d.Filled}, template)
	}
	return Schema{"anyOf": all}
}

// Number is a whole number in decimal digits.
type Number struct {
	Least, Most int64 // Most is 0 where there is no bound
	Plain       bool  // with neither a sign nor zeros before it
}

// Check tells whether a number is one.
func (n Number) Check(value int64) error {
	switch {
	case n.Most == 0 && value >= n.Least:
		return nil
	case n.Most == 0 && n.Least == 0:
		return errors.New("is negative")
	case n.Most > 0 && n.Least <= value && value <= n.Most:
		return nil
	case n.Most == 0:
		return fmt.Errorf("is not a number from %d", n.Least)
	}
	return fmt.Errorf("is not a number from %d to %d", n.Least, n.Most)
}

func (n Number) schema(d *Document) Schema {
	bounds := Schema{"minimum": n.Least}
	digits := "[0-9]+"
	if n.Most > 0 {
		bounds["maximum"], digits = n.Most, "0*(?:"+between(max(1, n.Least), n.Most)+")"
	}
	pattern := "^[+]?" + digits + "$"
	switch {
	case n.Plain:
		pattern = "^[1-9][0-9]{0,18}$"
	case n.Least == 0:
		pattern = "^(?:[+]?" + digits + "|[+-]?0+)$"
	}
	return Scalar{Pattern: pattern, Wrong: "is no such number", number: &number{true, bounds}}.schema(d)
}

// between is a pattern of the numbers from least, which is 1 or more, to most in
// decimal digits.
func between(least, most int64) string {
	var all []string
	next, last := uint64(least), uint64(most) // above the greatest of most there is room
	for next <= last {
		tens := uint64(1) // so many differ in their last digits alone
		for next%(tens*10) == 0 && next+tens*10-1 <= last {
			tens *= 10
		}
		head, digit := next/tens/10, next/tens%10
		highest := min(9, digit+(last-next+1)/tens-1)
		text := fmt.Sprintf("[%d-%d]", digit, highest)
		if head > 0 {
			text = strconv.FormatUint(head, 10) + text
		}
		all = append(all, text+strings.Repeat("[0-9]", len(strconv.FormatUint(tens, 10))-1))
		next += (highest - digit + 1) * tens
	}
	return strings.Join(all, "|")
}

// Flag is true or false.
type Flag struct{}

func (Flag) schema(d *Document) Schema {
	words := "1|t|T|TRUE|true|True|0|f|F|FALSE|false|False"
	for _, word := range []string{"yes", "no", "on", "off"} {
		words += "|" + Fold(word)
	}
	s := Scalar{Pattern: "^(?:" + words + ")$", Wrong: "is not true or false"}
	s.number = &number{true, Schema{"minimum": 0, "maximum": 1}}
	return s.schema(d)
}

// Fold is a pattern of a word in upper and lower case.
func Fold(word string) string {
	var out strings.Builder
	for _, r := range word {
		upper, lower := strings.ToUpper(string(r)), strings.ToLower(string(r))
		if upper == lower {
			out.WriteRune(r)
			continue
		}
		out.WriteString("[" + lower + upper + "]")
	}
	return out.String()
}
