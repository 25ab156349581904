package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"stretcher/internal/testparts"
)

const monitoring = "../../examples/monitoring"

// TestAlertRules: promtool takes the rules, and they say what they should of series
// that it makes.
func TestAlertRules(t *testing.T) {
	t.Parallel()
	promtool := testparts.Need(t, "promtool")
	for _, args := range [][]string{
		{"check", "config", "prometheus.yml"}, {"check", "rules", "stretcher.rules.yml"},
		{"test", "rules", "stretcher.rules.test.yml"},
	} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir = monitoring
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %q: %v\n%s", args, err, out)
		}
	}
	tested := readFile(t, monitoring+"/stretcher.rules.test.yml")
	for _, name := range alertNames(t) {
		if n := strings.Count(tested, "alertname: "+name); n < 2 {
			t.Errorf("%s is tested %d times: once where it is silent, and once where it is not", name, n)
		}
	}
}

func alertNames(t *testing.T) (names []string) {
	for _, m := range regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(
		readFile(t, monitoring+"/stretcher.rules.yml"), -1) {
		names = append(names, m[1])
	}
	return names
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// monitored is a machine that a real Prometheus sees by a real node_exporter.
type monitored struct {
	*machine
	prometheus testparts.PrometheusServer
	size       map[string]int // of the archive of each dest, the last one's
	sum        int            // of all archives of the dest failed
}

func newMonitored(t *testing.T) *monitored {
	t.Helper()
	w := &monitored{machine: newMachine(t), size: map[string]int{}}
	w.write("text/empty.prom", "")
	exporter := testparts.NodeExporter(t, w.path("text"))
	config := strings.NewReplacer("30s", "1s", "localhost:9100", exporter, "stretcher.rules.yml",
		absolute(t, monitoring+"/stretcher.rules.yml")).Replace(readFile(t, monitoring+"/prometheus.yml"))
	w.write("prometheus.yml", config+w.directly())
	w.write("policy.yml", "metrics: "+w.path("text/stretcher.prom")+"\n")
	w.prometheus = testparts.Prometheus(t, w.path("prometheus.yml"))
	return w
}

// directly is a target that serves the file as OpenMetrics, of which nothing is
// kept: it must be understood.
func (w *monitored) directly() (config string) {
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Content-Type", "application/openmetrics-text; version=1.0.0; charset=utf-8")
		_, _ = io.WriteString(out, cmp.Or(w.read("text/stretcher.prom"), "# EOF\n"))
	}))
	w.t.Cleanup(server.Close)
	return fmt.Sprintf("  - job_name: directly\n    static_configs: [{targets: [%q]}]\n"+
		"    metric_relabel_configs: [{source_labels: [__name__], regex: 'stretcher_.*', action: drop}]\n",
		strings.TrimPrefix(server.URL, "http://"))
}

func absolute(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// deployment writes the manifest of a version of an application for a dest.
func (w *monitored) deployment(app, version, dest string, rest ...string) (file string) {
	w.t.Helper()
	archive := pack(w.t, map[string]string{"file": noise(5000) + version + dest})
	if w.size[dest] = len(archive); dest == "failed" {
		w.sum += len(archive)
	}
	w.write(dest+".tgz", string(archive))
	w.dest = w.path(dest)
	rest = append([]string{"name: " + app, "version: '" + version + "'", "sync_strategy: native"}, rest...)
	w.write(dest+".yml", w.manifest("file://"+w.path(dest+".tgz"), archive, rest...))
	return w.path(dest + ".yml")
}

// waitUntil waits until an expression has that many samples.
func (w *monitored) waitUntil(expr string, n int) {
	w.t.Helper()
	var got []testparts.Sample
	if !testparts.Eventually(func() bool { got = w.prometheus.Query(w.t, expr); return len(got) == n }) {
		w.t.Fatalf("%s has %v, want %d samples", expr, got, n)
	}
}

// deployAll has runs of all kinds: on the dest good one that was good, on failed one
// that failed after it had been good, on died one that was killed, on never one
// that failed, on going one that goes on, and one that was refused before any.
func (w *monitored) deployAll() {
	w.t.Helper()
	const policy = "--config=policy.yml"
	w.run(nil, policy, w.deployment("app", "1", "failed")).wants(0)
	w.waitUntil(`stretcher_runs_without_dest_total{result="refused"} == 0`, 1)
	w.run(nil, policy, w.deployment("app", "2", "failed", "commands: {post: ['exit 3']}")).wants(1)
	w.run(nil, policy, w.deployment("app", "2", "never", "commands: {pre: ['exit 3']}")).wants(1)
	waits := "commands: {pre: ['touch $STRETCHER_DEST.began; until test -e go; do sleep 0.05; done']}"
	killed := w.start(nil, policy, w.deployment("app", "2", "died", waits))
	w.waitFor("died.began", "")
	_ = killed.cmd.Process.Kill()
	_ = killed.cmd.Wait()
	w.write("mistyped.yml", "alow: {}\n")
	w.start(nil, "--config=mistyped.yml", w.path("good.yml")).ends(4)
	going := w.start(nil, policy, w.deployment("app", "2", "going", waits))
	w.waitFor("going.began", "")
	w.t.Cleanup(func() {
		w.write("go", "")
		_ = going.cmd.Wait()
	})
	w.start(nil, policy, w.deployment("app", "7", "good")).ends(0)
	w.start(nil, "metrics", "--output="+w.path("text/stretcher.prom")).ends(0)
}

// ends waits for the end of a run while others go on.
func (d *deployment) ends(code int) {
	d.t.Helper()
	_ = d.cmd.Wait()
	d.wants(code)
}

// age adds what takes days to come about: the same metrics, of another host, with
// other values.
func (w *monitored) age() {
	w.t.Helper()
	var lines []string
	old := map[string]string{
		"stretcher_last_success_timestamp_seconds": "1", "stretcher_current_run_start_timestamp_seconds": "1",
		"stretcher_metrics_timestamp_seconds": "1", "stretcher_dests_left_out": "5",
	}
	for line := range strings.Lines(w.read("text/stretcher.prom")) {
		name := regexp.MustCompile(`^(?:# (?:HELP|TYPE) )?(\w+)`).FindStringSubmatch(line)
		if name == nil || old[name[1]] == "" {
			continue
		}
		if !strings.HasPrefix(line, "#") {
			line = fmt.Sprintf("%s{host=\"old\",dest=\"/old\"} %s\n", name[1], old[name[1]])
		}
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	w.write("text/old.prom", strings.Join(lines, ""))
}

// TestE2EMonitoring: what a real Prometheus has of real deployments by a real
// node_exporter is what happened; each alert comes where it should and nowhere
// else, and each query of the dashboard and of the document has the right answer.
func TestE2EMonitoring(t *testing.T) {
	t.Parallel()
	testparts.Need(t, "prometheus")
	testparts.Need(t, "prometheus-node-exporter")
	w := newMonitored(t)
	w.deployAll()
	w.age()
	w.waitUntil("stretcher_dests_left_out == 5", 1)
	w.waitUntil(`stretcher_last_run_result{result="died"} == 1`, 1)
	w.metrics()
	w.alerts()
	w.dashboard()
	w.documented()
}

// metrics compares what there is of each dest with what happened there.
func (w *monitored) metrics() {
	w.t.Helper()
	for _, c := range [][4]string{ // dest, result, version, step; of going nothing has ended
		{"good", "good", "7", "success"}, {"failed", "failed", "2", "post"}, {"never", "failed", "2", "pre"},
		{"died", "died", "2", "pre"},
	} {
		dest := w.path(c[0])
		w.is(fmt.Sprintf("stretcher_last_run_result{dest=%q} == 1", dest), 1, "result", c[1])
		w.is(fmt.Sprintf("stretcher_last_run_info{dest=%q}", dest), 1, "version", c[2])
		w.is(fmt.Sprintf("stretcher_last_run_info{dest=%q}", dest), 1, "step", c[3])
		w.is(fmt.Sprintf("stretcher_runs_total{dest=%q,result=%q}", dest, c[1]), 1, "dest", dest)
		w.is(fmt.Sprintf("stretcher_last_run_fetched_bytes{dest=%q}", dest), float64(w.size[c[0]]), "dest", dest)
	}
	w.is(fmt.Sprintf("stretcher_deployed_info{dest=%q}", w.path("failed")), 1, "version", "1")
	w.is(fmt.Sprintf("stretcher_fetched_bytes_total{dest=%q}", w.path("failed")), float64(w.sum), "job", "node")
	w.is(`stretcher_runs_without_dest_total{result="refused"}`, 1, "job", "node")
	w.is(fmt.Sprintf("count(stretcher_current_run_start_timestamp_seconds{dest=%q})", w.path("going")), 1, "", "")
	w.is(fmt.Sprintf("count(stretcher_last_run_timestamp_seconds{dest=%q})", w.path("going")), 0, "", "")
	w.is(`count(node_textfile_scrape_error == 0)`, 1, "", "")
	w.waitUntil(`up{job="directly"} == 1 and scrape_samples_scraped{job="directly"} > 50`, 1)
}

// is wants one sample of an expression with that value, or none of 0, and the
// value of a label.
func (w *monitored) is(expr string, want float64, label, value string) {
	w.t.Helper()
	got := w.prometheus.Query(w.t, expr)
	if want == 0 && len(got) == 0 {
		return
	}
	if len(got) != 1 || got[0].Value != want || got[0].Labels[label] != value {
		w.t.Errorf("%s is %v, want %v with %s %q", expr, got, want, label, value)
	}
}

// alerts wants each alert of the rules for what it is for, pending or firing.
func (w *monitored) alerts() {
	w.t.Helper()
	want := map[string][]string{
		"StretcherRunFailed": {w.path("failed"), w.path("never")}, "StretcherRunDied": {w.path("died")},
		"StretcherNothingGood": {"/old"}, "StretcherNeverGood": {w.path("died"), w.path("never")},
		"StretcherRunHangs": {"/old"}, "StretcherRefusesEvents": {""}, "StretcherVersionsDiffer": {""},
		"StretcherMetricsOld": {"/old"}, "StretcherDestsLeftOut": {"/old"},
	}
	names, tested := slices.Sorted(slices.Values(alertNames(w.t.(*testing.T)))), slices.Sorted(maps.Keys(want))
	if !slices.Equal(names, tested) {
		w.t.Errorf("alerts %q, tested are %q", names, tested)
	}
	var got map[string][]string
	equal := func() bool {
		var data struct {
			Alerts []struct{ Labels map[string]string }
		}
		w.prometheus.Get(w.t, "/api/v1/alerts", &data)
		got = map[string][]string{}
		for _, a := range data.Alerts {
			got[a.Labels["alertname"]] = append(got[a.Labels["alertname"]], a.Labels["dest"])
		}
		for _, dests := range got {
			slices.Sort(dests)
		}
		return maps.EqualFunc(got, want, slices.Equal[[]string])
	}
	if !testparts.Eventually(equal) {
		w.t.Errorf("alerts\n%q, want\n%q", got, want)
	}
}

// board is what counts of the dashboard.
type board struct {
	Panels []struct {
		Title   string
		Targets []struct{ Expr string }
	}
	Templating struct {
		List []struct{ Query json.RawMessage }
	}
	Annotations struct {
		List []struct{ Expr string }
	}
}

// dashboard asks each query of the dashboard, with its variables as they are for
// all hosts and dests.
func (w *monitored) dashboard() {
	w.t.Helper()
	var b board
	if err := json.Unmarshal([]byte(readFile(w.t.(*testing.T), monitoring+"/dashboard.json")), &b); err != nil {
		w.t.Fatal(err)
	}
	fill := strings.NewReplacer("$instance", ".*", "$dest", ".*", "$__range", "5m", "$__rate_interval", "1m")
	right := map[string]string{ // what the only sample of a panel must be
		"Dests": "4", "Not good": "3", "Running": "2", "Versions": "1",
	}
	for _, p := range b.Panels {
		for _, target := range p.Targets {
			got := w.prometheus.Query(w.t, fill.Replace(target.Expr))
			if len(got) == 0 {
				w.t.Errorf("panel %q: %s is nothing", p.Title, target.Expr)
			} else if want := right[p.Title]; want != "" && fmt.Sprint(got[0].Value) != want {
				w.t.Errorf("panel %q: %v, want %s", p.Title, got, want)
			}
		}
	}
	for _, a := range b.Annotations.List {
		if len(w.prometheus.Query(w.t, strings.TrimSuffix(fill.Replace(a.Expr), " > 0"))) == 0 {
			w.t.Errorf("annotation: %s is nothing", a.Expr)
		}
	}
	values := regexp.MustCompile(`label_values\((.*), (\w+)\)`)
	for _, v := range b.Templating.List {
		var q struct{ Query string }
		if json.Unmarshal(v.Query, &q) != nil {
			continue // the source of the data
		}
		m := values.FindStringSubmatch(q.Query)
		if m == nil {
			w.t.Errorf("variable: %s", v.Query)
			continue
		}
		if got := w.prometheus.Query(w.t, fill.Replace(m[1])); len(got) == 0 || got[0].Labels[m[2]] == "" {
			w.t.Errorf("variable: %s is %v", q.Query, got)
		}
	}
	if len(b.Panels) < 10 || len(b.Templating.List) != 3 {
		w.t.Errorf("the dashboard has %d panels and %d variables", len(b.Panels), len(b.Templating.List))
	}
}

// documented asks the queries of docs/monitoring.md, a line each, and looks for
// each metric that is there in what the document says of it.
func (w *monitored) documented() {
	w.t.Helper()
	doc := readFile(w.t.(*testing.T), "../../docs/monitoring.md")
	_, text, _ := strings.Cut(doc, "\n```promql\n")
	text, _, _ = strings.Cut(text, "\n```")
	queries := regexp.MustCompile(`(?m)^[^#\n].*`).FindAllString(text, -1)
	for _, q := range queries {
		if len(w.prometheus.Query(w.t, q)) == 0 {
			w.t.Errorf("docs/monitoring.md: %s is nothing", q)
		}
	}
	if len(queries) < 3 {
		w.t.Errorf("queries in docs/monitoring.md: %q", queries)
	}
	for _, s := range w.prometheus.Query(w.t, `count by (__name__) ({__name__=~"stretcher_.*"})`) {
		if !strings.Contains(doc, "\n| `"+s.Labels["__name__"]+"` |") {
			w.t.Errorf("docs/monitoring.md has no row for %s", s.Labels["__name__"])
		}
	}
}
