package verdict

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// TestConclude: what a report comes to is what the look at the manifest ended
// by. A refusal is always among its rulings.
func TestConclude(t *testing.T) {
	no := errors.New("not allowed")
	for _, tc := range []struct {
		name    string
		judged  error
		err     error
		as      Verdict
		want    Verdict
		rulings string
	}{
		{"nothing", nil, nil, Failed, Allowed, "allowed"},
		{"a rule", no, no, Refused, Refused, "refused"},
		{"no rule has told", nil, no, Refused, Refused, "allowed refused"},
		{"no refusal", nil, no, Failed, Failed, "allowed"},
		{"malformed", nil, no, Malformed, Malformed, "allowed"},
		{"a mirror that was not needed", no, nil, Failed, Allowed, "left out"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := &Report{URL: "s3://b/k"}
			r.Judge("allow.sources", "s3://b/a", "", tc.judged)
			r.Judge("allow.sources", "s3://b/a", "", tc.judged) // asked twice, told once
			c := r.Conclude("manifest", tc.err, tc.as)
			var got []string
			for _, one := range c.rulings {
				got = append(got, string(one.Verdict))
			}
			if c.Verdict != tc.want || strings.Join(got, " ") != tc.rulings || (c.Error == "") != (tc.err == nil) {
				t.Errorf("%s (%q) by %q, want %s by %q", c.Verdict, c.Error, got, tc.want, tc.rulings)
			}
		})
	}
}

// TestUnwanted: a report that nobody wants takes rulings.
func TestUnwanted(t *testing.T) {
	var r *Report
	r.Judge("dest", "/srv", "", nil)
	if r.Wanted() {
		t.Error("a nil report is wanted")
	}
}

// TestPrinted: what comes from a manifest can't make lines, columns or escapes,
// and secrets stay out, for people and in JSON.
func TestPrinted(t *testing.T) {
	digest := strings.Repeat("0a", 32)
	policy := `"p.yml" sha256:` + digest + `, "q.yml" sha256:0`
	r := &Report{URL: "s3://b/hidden", Policy: policy, Mask: func(s string) string {
		return strings.ReplaceAll(s, "hidden", "[TOKEN]")
	}}
	r.Judge("allow.dests", "/srv/a\nallowed\tx\x1b[1m", "below hidden", nil)
	r.Add(Ruling{Rule: "limits.archive", Subject: "archive", Verdict: Later, Place: `line 3 of "p.yml"`})
	c := r.Conclude("manifest", nil, Failed)
	var text, object bytes.Buffer
	if err := errors.Join(c.Print(&text), c.PrintJSON(&object)); err != nil {
		t.Fatal(err)
	}
	want := `manifest  s3://b/[TOKEN]
policy    "p.yml" sha256:0a0a0a0a0a0a, "q.yml" sha256:0
allowed  allow.dests     /srv/a\nallowed\tx\x1b[1m
          below [TOKEN]
later    limits.archive  archive
          line 3 of "p.yml"
verdict   allowed, as far as that is known before a deployment: 1 of 2 answers come later
`
	if text.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", text.String(), want)
	}
	var told struct {
		URL, Verdict string
		Rulings      []Ruling
	}
	if err := json.Unmarshal(object.Bytes(), &told); err != nil || told.Verdict != "allowed" || len(told.Rulings) != 2 ||
		strings.Contains(object.String(), "hidden") || !strings.Contains(object.String(), digest) ||
		strings.Count(object.String(), "\n") != 1 {
		t.Errorf("%v: %s", err, object.String())
	}
}

// TestAsk: the first no counts, and nothing is asked behind it, unless somebody
// wants to know all.
func TestAsk(t *testing.T) {
	no := errors.New("no")
	for _, wanted := range []bool{false, true} {
		asked := ""
		question := func(name string, err error) Question {
			return Question{Rule: name, Ask: func() error {
				asked += name
				return err
			}}
		}
		var r *Report
		want := "ab"
		if wanted {
			r, want = &Report{}, "abcd"
		}
		other := errors.New("another")
		err := r.Ask([]Question{question("a", nil), question("b", no), question("c", other), question("d", nil)})
		if !errors.Is(err, no) || asked != want || wanted && len(r.rulings) != 4 {
			t.Errorf("wanted %v: %v, asked %q", wanted, err, asked)
		}
	}
}
