// Package verdict is what a host says of a manifest, rule by rule, for people
// and programs that ask before they deploy.
//
// Its words: a rule is a key of the host policy, or whatever else a deployment
// is refused for; its place is where it is written; its subject is what it is
// asked about. A ruling is the answer of one rule about one subject, a report
// all that was asked about one manifest.
//
// It decides nothing: who decides hands the rulings in. It may import
// internal/text/*.
package verdict

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"stretcher/internal/text/failure"
	"stretcher/internal/text/printable"
)

// Verdict is an answer.
type Verdict string

// The answers. Malformed and Failed are those of a whole report: nothing was refused,
// and still there would be no deployment.
const (
	Allowed   Verdict = "allowed"
	Refused   Verdict = "refused"
	Later     Verdict = "later"     // only a deployment finds out
	Malformed Verdict = "malformed" // the manifest, or what it names
	Failed    Verdict = "failed"    // something could not be looked at
	LeftOut   Verdict = "left out"  // refused, and not needed: another mirror was there
)

// Ruling is what one rule says of one subject.
type Ruling struct {
	Rule    string  `json:"rule"`    // allow.sources, trust.keys
	Place   string  `json:"place"`   // where the rule is written; "" = nowhere, it holds everywhere
	Subject string  `json:"subject"` // what was judged, without secrets
	Verdict Verdict `json:"verdict"`
	Why     string  `json:"why"`
}

// Question is one thing that a host is asked about a manifest before it is
// deployed. A no refuses the manifest.
type Question struct {
	Rule, Place, Subject string // as in the Ruling
	Why                  string // in short; "" = what the error says
	Ask                  func() error
}

// Ruling is the answer to the question.
func (q Question) Ruling(err error) Ruling {
	one := Ruling{Rule: q.Rule, Place: q.Place, Subject: q.Subject, Verdict: Allowed, Why: q.Why}
	if err != nil {
		one.Verdict, one.Why = Refused, cmp.Or(q.Why, failure.Text(err))
	}
	return one
}

// Report is all that was asked about one manifest. A nil Report takes rulings
// and forgets them: nobody wants to know.
type Report struct {
	URL    string              // of the manifest, without secrets
	Policy string              // which policy was asked
	Mask   func(string) string // keeps secrets out of what is told; nil = there are none

	rulings []Ruling
}

// Wanted tells whether somebody reads the report: then all is asked, and not
// up to the first refusal alone.
func (r *Report) Wanted() bool { return r != nil }

// Add adds a ruling. One that is in the report already, since the same was
// asked twice, stays once.
func (r *Report) Add(one Ruling) {
	if r != nil && !slices.Contains(r.rulings, one) {
		r.rulings = append(r.rulings, one)
	}
}

// Judge adds the ruling of a rule that answers by an error. why says it where
// there is none.
func (r *Report) Judge(rule, subject, why string, err error) {
	one := Ruling{Rule: rule, Subject: subject, Verdict: Allowed, Why: why}
	if err != nil {
		one.Verdict, one.Why = Refused, failure.Text(err)
	}
	r.Add(one)
}

// Refusals are the rulings by which a manifest is refused so far.
func (r *Report) Refusals() (list []Ruling) {
	if r == nil {
		return nil
	}
	for _, one := range r.rulings {
		if one.Verdict == Refused {
			list = append(list, one)
		}
	}
	return list
}

// Ask asks a host. The first no counts; who wants to know all rulings gets
// those behind it as well.
func (r *Report) Ask(list []Question) (refused error) {
	for _, q := range list {
		err := q.Ask()
		r.Add(q.Ruling(err))
		if refused = cmp.Or(refused, err); refused != nil && !r.Wanted() {
			break
		}
	}
	return refused
}

// Conclude says what all comes to: err is what ended the look at the manifest,
// and as what a deployment would end by it. A refusal that no rule has told of
// becomes a ruling by the name rule. What no refusal came of was left out.
func (r *Report) Conclude(rule string, err error, as Verdict) Conclusion {
	c := Conclusion{Report: r, Verdict: Allowed}
	if err == nil {
		for i := range r.rulings {
			if r.rulings[i].Verdict == Refused {
				r.rulings[i].Verdict = LeftOut
			}
		}
		return c
	}
	c.Verdict, c.Error = as, failure.Text(err)
	if as == Refused && !slices.ContainsFunc(r.rulings, func(one Ruling) bool { return one.Verdict == Refused }) {
		r.Judge(rule, r.URL, "", err)
	}
	return c
}

// Conclusion is a report with what it comes to.
type Conclusion struct {
	*Report
	Verdict Verdict
	Error   string // "" = there is none
}

// Print prints the conclusion for people: each ruling on a line, what it rests on
// below it, and the verdict at the end. Digests of the policy are shortened.
func (c Conclusion) Print(out io.Writer) error {
	w := bufio.NewWriter(out)
	fmt.Fprintf(w, "manifest  %s\npolicy    %s\n", c.told(c.URL), short(c.told(c.Policy)))
	var heads strings.Builder
	table := tabwriter.NewWriter(&heads, 0, 0, 2, ' ', 0)
	for _, one := range c.rulings {
		fmt.Fprintf(table, "%s\t%s\t%s\n", one.Verdict, one.Rule, cmp.Or(c.told(one.Subject), "-"))
	}
	_ = table.Flush() // a Builder has no errors
	for i, head := range slices.Collect(strings.Lines(heads.String())) {
		one := c.rulings[i]
		w.WriteString(head)
		if grounds := strings.TrimSpace(c.told(one.Why) + "  " + c.told(one.Place)); grounds != "" {
			fmt.Fprintf(w, "          %s\n", grounds)
		}
	}
	fmt.Fprintf(w, "verdict   %s\n", c.summary())
	return w.Flush()
}

// digits is how much of a digest is told to people.
const digits = 12

// short is a text in which digests are no longer than people compare them.
func short(text string) string {
	parts := strings.Split(text, " sha256:")
	for i := 1; i < len(parts); i++ {
		if n := len(parts[i]) - len(strings.TrimLeft(parts[i], "0123456789abcdef")); n > digits {
			parts[i] = parts[i][:digits] + parts[i][n:]
		}
	}
	return strings.Join(parts, " sha256:")
}

// summary is the verdict with what it rests on.
func (c Conclusion) summary() string {
	count := map[Verdict]int{}
	for _, one := range c.rulings {
		count[one.Verdict]++
	}
	text := string(c.Verdict)
	switch {
	case c.Verdict == Failed, c.Verdict == Malformed:
		return text + ": " + c.told(c.Error)
	case c.Verdict == Refused:
		text += fmt.Sprintf(": %d of %d answers", count[Refused], len(c.rulings))
	case count[Later] > 0:
		text += fmt.Sprintf(", as far as that is known before a deployment: %d of %d answers come later",
			count[Later], len(c.rulings))
	}
	return text
}

// PrintJSON is Print as one object on one line.
func (c Conclusion) PrintJSON(w io.Writer) error {
	out := struct {
		URL     string   `json:"url"`
		Policy  string   `json:"policy"`
		Verdict Verdict  `json:"verdict"`
		Error   string   `json:"error"`
		Rulings []Ruling `json:"rulings"`
	}{c.masked(c.URL), c.masked(c.Policy), c.Verdict, c.masked(c.Error), []Ruling{}}
	for _, one := range c.rulings {
		one.Place, one.Subject, one.Why = c.masked(one.Place), c.masked(one.Subject), c.masked(one.Why)
		out.Rulings = append(out.Rulings, one)
	}
	return printable.EncodeJSON(w, out)
}

// told is a text as people read it, on one line.
func (c Conclusion) told(text string) string {
	return strings.ReplaceAll(printable.Line(c.masked(text)), "\t", " ")
}

func (c Conclusion) masked(text string) string {
	if c.Mask == nil {
		return text
	}
	return c.Mask(text)
}
