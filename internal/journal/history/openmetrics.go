package history

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"stretcher/internal/text/printable"
)

// maxLabel bounds a name or version in metrics, in bytes.
const maxLabel = 200

// maxPoints bounds the steps of a run in metrics: there are about thirty.
const maxPoints = 64

// family is a metric of a dest, with its samples.
type family struct {
	name    string
	kind    string // "gauge"; "" of a counter, see WriteMetrics
	help    string
	samples func(Standing) []sampled
}

// sampled is one sample: labels as name and value in turn, beside that of dest.
type sampled struct {
	labels []string
	value  string
}

// Metrics are what WriteMetrics writes.
type Metrics struct {
	Overview
	State   string // the directory of the history: a host may have several
	Version string // of the program
	Now     time.Time
}

// WriteMetrics writes what monitoring needs of each dest as OpenMetrics text,
// which is read as Prometheus' older text format, too: the textfile collector
// of node_exporter knows no other. The two name the family of a counter
// differently, so counters have no TYPE: their type is unknown, and they count
// all the same.
func WriteMetrics(w io.Writer, m Metrics) error {
	b := &exposition{bufio.NewWriter(w)}
	b.family("stretcher_build_info", "gauge", "The program that has written this.")
	b.sample("stretcher_build_info", m.sampled("1", "version", short(m.Version)))
	b.family("stretcher_metrics_timestamp_seconds", "gauge", "When this was written, in seconds since 1970.")
	b.sample("stretcher_metrics_timestamp_seconds", m.sampled(stampOf(m.Now)))
	b.family("stretcher_dests_left_out", "gauge",
		fmt.Sprintf("How many directories are not told of: there are %d at most.", maxDests))
	b.sample("stretcher_dests_left_out", m.sampled(strconv.Itoa(m.Left)))
	b.family("stretcher_runs_without_dest_total", "", "Runs that ended before it was known where to deploy, by result.")
	for _, s := range byResult(m.Nowhere) {
		b.sample("stretcher_runs_without_dest_total", m.sampled(s.value, s.labels...))
	}
	for _, f := range families() {
		b.all(f, m.Dests)
	}
	b.WriteString("# EOF\n")
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write metrics: %w", err)
	}
	return nil
}

// sampled is a sample of what is of no dest. Two files in the directory of one
// collector must not have the same.
func (m Metrics) sampled(value string, labels ...string) sampled {
	return sampled{append([]string{"state_dir", plain(m.State)}, labels...), value}
}

// families are the metrics of a dest, in the order of their lines.
func families() []family {
	return []family{
		{"stretcher_last_run_timestamp_seconds", "gauge",
			"When the last run that has ended or died did so, in seconds since 1970.",
			ofRun(last, func(r *Run) string { return stampOf(r.Finished) })},
		{"stretcher_last_run_duration_seconds", "gauge", "How long the last run took.",
			ofRun(last, func(r *Run) string { return decimal(r.Duration()) })},
		{"stretcher_last_run_result", "gauge",
			"1 for what the last run was: good, failed, refused, stopped or died.", resultOf},
		{"stretcher_last_run_info", "gauge", "What the last run was to deploy, and the step that it ended in.",
			infoOf(last, true)},
		{"stretcher_last_run_fetched_bytes", "gauge", "What the last run has fetched of archives and their indexes.",
			ofRun(last, func(r *Run) string { return strconv.FormatInt(r.Fetched, 10) })},
		{"stretcher_last_run_step_duration_seconds", "gauge",
			"How long each step of the last run took, commands and hooks by their point.", stepsOf},
		{"stretcher_last_run_unrecorded", "gauge",
			"1 where a run since could not be recorded, so that what is told of the last run is of an older one; else 0.",
			unrecordedOf},
		{"stretcher_last_success_timestamp_seconds", "gauge",
			"When the last good run ended, in seconds since 1970.",
			ofRun(good, func(r *Run) string { return stampOf(r.Finished) })},
		{"stretcher_last_failure_timestamp_seconds", "gauge",
			"When the last run ended that was not good, in seconds since 1970.",
			ofRun(bad, func(r *Run) string { return stampOf(r.Finished) })},
		{"stretcher_deployed_info", "gauge", "What the last good run has deployed.", infoOf(good, false)},
		{"stretcher_deployed_serial", "gauge", "The serial of what the last good run has deployed, if it has one.",
			ofRun(good, serialOf)},
		{"stretcher_current_run_start_timestamp_seconds", "gauge",
			"When the run began that goes on, in seconds since 1970.",
			ofRun(going, func(r *Run) string { return stampOf(r.Started) })},
		{"stretcher_runs_total", "", "Runs that have ended or died, by result.",
			func(s Standing) []sampled { return byResult(s.Count) }},
		{"stretcher_fetched_bytes_total", "", "What all runs have fetched of archives and their indexes.",
			func(s Standing) []sampled { return []sampled{{nil, strconv.FormatInt(s.Count.Fetched, 10)}} }},
	}
}

func last(s Standing) *Run  { return s.Last }
func good(s Standing) *Run  { return s.Good }
func bad(s Standing) *Run   { return s.Bad }
func going(s Standing) *Run { return s.Going }

// ofRun is one sample of a run, unless there is no such run, or nothing to say
// of it.
func ofRun(which func(Standing) *Run, value func(*Run) string) func(Standing) []sampled {
	return func(s Standing) []sampled {
		r := which(s)
		if r == nil {
			return nil
		}
		if text := value(r); text != "" {
			return []sampled{{nil, text}}
		}
		return nil
	}
}

func infoOf(which func(Standing) *Run, step bool) func(Standing) []sampled {
	return func(s Standing) []sampled {
		r := which(s)
		if r == nil {
			return nil
		}
		labels := []string{"name", short(r.Name), "version", short(r.Version)}
		if step {
			labels = append(labels, "step", short(r.Step))
		}
		return []sampled{{labels, "1"}}
	}
}

func serialOf(r *Run) string {
	if r.Serial == 0 {
		return ""
	}
	return strconv.FormatInt(r.Serial, 10)
}

// endings are the results that a run can have ended with.
func endings() []Result { return []Result{Good, Failed, Refused, Stopped, Died} }

func resultOf(s Standing) (all []sampled) {
	if s.Last == nil {
		return nil
	}
	for _, result := range endings() {
		value := "0"
		if s.Last.Result == result {
			value = "1"
		}
		all = append(all, sampled{[]string{"result", string(result)}, value})
	}
	return all
}

func unrecordedOf(s Standing) []sampled {
	if s.Unrecorded {
		return []sampled{{nil, "1"}}
	}
	return []sampled{{nil, "0"}}
}

func byResult(c Counters) (all []sampled) {
	for _, result := range endings() {
		all = append(all, sampled{[]string{"result", string(result)}, strconv.FormatInt(c.Runs[result], 10)})
	}
	return all
}

// stepsOf adds up what ran at the same point.
func stepsOf(s Standing) (all []sampled) {
	took := map[string]time.Duration{}
	for _, step := range s.Steps {
		took[short(step.Point)] += max(step.Duration, 0)
	}
	for _, point := range slices.Sorted(maps.Keys(took)) {
		if len(all) < maxPoints {
			all = append(all, sampled{[]string{"step", point}, decimal(took[point])})
		}
	}
	return all
}

// exposition is text that Prometheus reads.
type exposition struct{ *bufio.Writer }

// all writes a family, if it has a sample.
func (b *exposition) all(f family, dests []Standing) {
	begun := false
	for _, s := range dests {
		for _, one := range f.samples(s) {
			if !begun {
				b.family(f.name, f.kind, f.help)
				begun = true
			}
			one.labels = append([]string{"dest", plain(s.Dest)}, one.labels...)
			b.sample(f.name, one)
		}
	}
}

// family writes what is said of a family before its samples.
func (b *exposition) family(name, kind, help string) {
	fmt.Fprintf(b, "# HELP %s %s\n", name, help)
	if kind != "" {
		fmt.Fprintf(b, "# TYPE %s %s\n", name, kind)
	}
	for _, unit := range []string{"seconds", "bytes"} {
		if strings.HasSuffix(name, "_"+unit) {
			fmt.Fprintf(b, "# UNIT %s %s\n", name, unit)
		}
	}
}

func (b *exposition) sample(name string, s sampled) {
	b.WriteString(name)
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
	for i := 0; i+1 < len(s.labels); i += 2 {
		open := ","
		if i == 0 {
			open = "{"
		}
		fmt.Fprintf(b, `%s%s="%s"`, open, s.labels[i], escape.Replace(s.labels[i+1]))
	}
	if len(s.labels) > 0 {
		b.WriteByte('}')
	}
	fmt.Fprintf(b, " %s\n", s.value)
}

// plain is the value of a label. What is not UTF-8, or what a terminal might
// obey, is quoted as Go quotes, and what begins with a quote as well: no two
// values become the same.
func plain(s string) string {
	lines := strings.ReplaceAll(s, "\n", "")
	if printable.Line(lines) == lines && !strings.HasPrefix(s, `"`) {
		return s
	}
	return strconv.QuoteToASCII(s)
}

// short is plain of what may be of any length.
func short(s string) string {
	if len(s) <= maxLabel {
		return plain(s)
	}
	cut := maxLabel
	for cut > maxLabel-utf8.UTFMax && !utf8.RuneStart(s[cut]) { // no half rune
		cut--
	}
	return plain(s[:cut]) + "…"
}

func stampOf(t time.Time) string {
	return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', -1, 64)
}

func decimal(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }
