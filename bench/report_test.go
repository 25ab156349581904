package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestMedians(t *testing.T) {
	for in, want := range map[string]string{
		"3 30\n1 10\n2 20\n":     "2.00 20.00\n",
		"4\n1\n3\n2\n":           "2.50\n",
		"0.125 7\n":              "0.12 7.00\n",
		"1 100\n1 200\n9 9000\n": "1.00 200.00\n",
	} {
		var out bytes.Buffer
		if err := medians(strings.NewReader(in), &out); err != nil || out.String() != want {
			t.Errorf("medians of %q: %q, %v; want %q", in, out.String(), err, want)
		}
	}
	for _, in := range []string{"", "1\nx\n"} {
		if err := medians(strings.NewReader(in), new(bytes.Buffer)); err == nil {
			t.Errorf("medians of %q: no error", in)
		}
	}
}

// figures of a deploy: seconds, CPU, peaks in KiB, bytes written, fresh and of
// the record.
const measured = `
native first 4 4 1000 2000 500 -1 0
native first 2 4 1000 2000 500 -1 0
native first 3 4 1000 2000 500 -1 0
native again 0.4 4 1000 2000 50 -1 0
native changed 2 4 1000 2000 1650 100 100
rsync first 5 4 1000 2000 500 -1 0
rsync again 0.5 4 1000 2000 50 -1 0
pipeline first 4 4 1000 0 500 -1 0
pipeline same 8 4 1000 0 500 -1 0
pipeline changed 4 4 1000 0 500 100 0
peer first 6 4 1000 0 500 -1 0
peer same 9 4 1000 0 500 -1 0
peer changed 5 4 1000 0 500 100 0
`

func readMeasured(t *testing.T, text string) *results {
	t.Helper()
	r, err := readResults(strings.NewReader(strings.TrimSpace(text)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// row finds the line of out that begins with the words, and returns the rest
// of its words, joined by one space.
func row(t *testing.T, out, words string) string {
	t.Helper()
	for line := range strings.Lines(out) {
		if rest, ok := strings.CutPrefix(strings.Join(strings.Fields(line), " ")+" ", words+" "); ok {
			return strings.TrimSpace(rest)
		}
	}
	t.Fatalf("no line %q in\n%s", words, out)
	return ""
}

func TestDeployTable(t *testing.T) {
	var out bytes.Buffer
	if err := deployTable(&out, readMeasured(t, measured), 1000, 500); err != nil {
		t.Fatal(err)
	}
	for words, want := range map[string]string{
		"native first":   "3.00 4.00 1.0 2.0 0.750 0.500 0.50 met",
		"native again":   "0.40 4.00 1.0 2.0 0.050 0.044 0.05 met",
		"native changed": "2.00 4.00 1.0 2.0 0.500 0.400 0.50 met",
		"rsync first":    "5.00 4.00 1.0 2.0 1.250 0.833 0.80 MISSED",
		"rsync again":    "0.50 4.00 1.0 2.0 0.062 0.056 0.05 MISSED",
		"pipeline first": "4.00 4.00 1.0 0.0 0.667",
		"peer first":     "6.00 4.00 1.0 0.0 1.500",
	} {
		if got := row(t, out.String(), words); got != want {
			t.Errorf("%s: %q, want %q", words, got, want)
		}
	}
	if strings.Contains(out.String(), "was not given") {
		t.Error("says that there is no peer")
	}
}

func TestDeployTableWithoutPeerHasNoVerdict(t *testing.T) {
	text, _, _ := strings.Cut(measured, "peer")
	var out bytes.Buffer
	if err := deployTable(&out, readMeasured(t, text), 1000, 500); err != nil {
		t.Fatal(err)
	}
	if got, want := row(t, out.String(), "rsync first"), "5.00 4.00 1.0 2.0 1.250 0.80"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if !strings.Contains(out.String(), "goals are parts of the time of PEER, which was not given") {
		t.Errorf("does not say what the goals are\n%s", out.String())
	}
}

func TestWrittenGoal(t *testing.T) {
	for name, c := range map[string]struct {
		written, fresh string
		want           string
	}{
		"just what changed":               {"101650", "500", "met"},
		"more by write":                   {"101651", "500", "MISSED"},
		"more in dest":                    {"1650", "501", "MISSED"},
		"not even the archive was stored": {"400", "400", "met"},
	} {
		text := strings.Replace(measured, "native changed 2 4 1000 2000 1650 100",
			"native changed 2 4 1000 2000 "+c.written+" "+c.fresh, 1)
		var out bytes.Buffer
		if err := writtenTable(&out, readMeasured(t, text), 1000, 500); err != nil {
			t.Fatal(err)
		}
		if got := row(t, out.String(), "native"); !strings.HasSuffix(got, " "+c.want) {
			t.Errorf("%s: %q, want %s", name, got, c.want)
		}
		if got := row(t, out.String(), "pipeline"); strings.Contains(got, "met") || strings.Contains(got, "MISSED") {
			t.Errorf("%s: the pipeline has a verdict: %q", name, got)
		}
	}
}

func TestScaleRows(t *testing.T) {
	r := readMeasured(t, "native first 2 1 1000 62500 0 -1 0\n"+
		"native again 0.1 1 1000 62501 0 -1 0\nrsync first 2 1 1000 70000 0 -1 0")
	var out bytes.Buffer
	if err := scaleRows(&out, r, 100_000, 400_000_000); err != nil {
		t.Fatal(err)
	}
	for words, want := range map[string]string{
		"100000 400 native first": "2.000 20.0 5.00 1.000 1.0 64.0 64 MB met",
		"100000 400 native again": "0.100 1.0 0.25 1.000 1.0 64.0 64 MB MISSED",
		"100000 400 rsync first":  "2.000 20.0 5.00 1.000 1.0 71.7",
	} {
		if got := row(t, out.String(), words); got != want {
			t.Errorf("%s: %q, want %q", words, got, want)
		}
	}
	out.Reset()
	if err := scaleRows(&out, r, 1000, 4_000_000); err != nil || strings.Contains(out.String(), "64 MB") {
		t.Errorf("1 000 files have a goal, or %v\n%s", err, out.String())
	}
}

func TestReadResultsRefusesWhatIsNotOne(t *testing.T) {
	for _, in := range []string{"native first 1 2 3 4 5", "native first 1 2 3 4 5 x", "native first 1 2 3 4 5 6 7 8"} {
		if _, err := readResults(strings.NewReader(in)); err == nil {
			t.Errorf("%q: no error", in)
		}
	}
}
