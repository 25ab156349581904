package fleet

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// told is what the status tells of each host: its standing, what it runs, and the
// version of its result.
func (g *group) told() string {
	g.t.Helper()
	g.asks = []string{"CONSUL_HTTP_ADDR=" + g.consul}
	text, _ := g.ask("status", "--json", g.name)
	var s struct {
		Version string
		Hosts   []struct {
			Node, Standing, Runs, Version string
			Mixed                         bool
		}
	}
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		g.t.Fatalf("%v: %s", err, text)
	}
	lines := map[string]string{}
	for _, h := range s.Hosts {
		if h.Standing == "expected" { // it is missing as soon as it has had the time to come
			h.Standing = "missing"
		}
		lines[h.Node] = fmt.Sprintf("%s %s runs %s by %s", h.Node, h.Standing, h.Runs, h.Version)
		if h.Mixed {
			lines[h.Node] += " mixed"
		}
	}
	text = s.Version
	for _, node := range g.nodes {
		text += "; " + lines[node]
	}
	return text
}

// wants wants the status to tell this of the hosts.
func (g *group) wants(want string) {
	g.t.Helper()
	if got := g.told(); got != want {
		g.t.Errorf("got  %s\nwant %s", got, want)
	}
}

// on runs a manifest on some hosts, one after the other.
func (g *group) on(url string, want int, nodes ...string) {
	g.t.Helper()
	for _, node := range nodes {
		h := g.start(node, url)
		if status := h.wait(); status != want {
			g.t.Fatalf("%s, %s: exit %d\n%s", node, url, status, h.said.String())
		}
	}
}

// TestVersionsTold: the status tells which version each host has: after hosts that had
// different ones went back by the same words, when these are sent again, and after a
// failure.
func TestVersionsTold(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 3)
	const rollout, post = "{service: web, parallel: 3}", "  post: [\"true\"]"
	g.on(g.app("one", rollout, post), 0, "h0")
	g.on(g.app("two", rollout, post), 0, "h1", "h2")
	g.on(g.app("three", rollout, post), 0, "h0", "h1")
	g.wants("three; h0 good runs three by three; h1 good runs three by three; h2 missing runs two by ")

	url := strings.TrimSpace(g.run("operator", "fleet", "rollback", "web", "--manifest", g.path("three.yml"),
		"--to", g.path("published")+"/"))
	const back = "before three; h0 good runs one by one; h1 good runs two by two; h2 good runs two by two"
	for range 2 { // and again
		g.on(url, 0, g.nodes...)
		g.wants(back)
	}
	table := g.run("operator", "fleet", "status", "web")
	page := g.run("operator", "fleet", "status", "--html", "-", "web")
	for node, version := range map[string]string{"h0": "one", "h1": "two", "h2": "two"} {
		row, shown := "", ""
		for line := range strings.Lines(table) {
			if strings.HasPrefix(line, node+" ") {
				row = strings.Join(strings.Fields(line)[:4], " ")
			}
		}
		if _, rest, ok := strings.Cut(page, ">"+node+"<"); ok {
			shown, _, _ = strings.Cut(rest, "</tr>")
		}
		if row != node+" - good "+version || !strings.Contains(shown, version) {
			t.Errorf("%s: %q, and on the page %q", node, row, shown)
		}
	}

	bad := g.app("four", "{service: web}", "  verify: [\"exit 9\"]")
	g.on(bad, 1, "h0", "h1")
	g.wants("four; h0 failed runs one by four; h1 stopped runs two by four; h2 missing runs two by ")
	text := strings.Replace(g.read("four.yml"), "sync_strategy: releases", "sync_strategy: native", 1)
	flat := g.write("flat.yml", strings.Replace(strings.Replace(text, "live-", "flat-", 1), "four", "five", 1))
	g.write("flat.yml", strings.Replace(g.read("flat.yml"), `version: "four"`, `version: "five"`, 1))
	g.on(flat, 1, "h0")
	if got := g.told(); !strings.HasPrefix(got, "five; h0 failed runs five by five; h1 missing runs two by ") {
		t.Errorf("%s\nwithout a way back dest holds what has failed", got)
	}
}
