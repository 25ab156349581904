package docs

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"stretcher/internal/cli"
	"stretcher/internal/hooks"
	"stretcher/internal/hooks/p2"
	"stretcher/internal/hooks/porter"
	"stretcher/internal/policy"
)

// tableRows returns the cells of the table that begins with header.
func tableRows(doc, header string) [][]string {
	_, rest, found := strings.Cut(doc, header+"\n")
	if !found {
		return nil
	}
	var rows [][]string
	for i, line := range strings.Split(rest, "\n") {
		if !strings.HasPrefix(line, "|") {
			break
		}
		if i == 0 {
			continue // |---|
		}
		for range 2 { // an empty cell; the next one shares its bar
			line = strings.ReplaceAll(line, "| |", "|  |")
		}
		cells := strings.Split(strings.TrimSuffix(strings.TrimPrefix(line, "|"), "|"), " | ")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	return rows
}

func TestExitTableIsDocumented(t *testing.T) {
	var want [][]string
	for _, e := range cli.ExitTable() {
		want = append(want, []string{e[0], e[1]})
	}
	for _, name := range []string{"README.md", "docs/operations.md"} {
		if got := tableRows(readDoc(t, name), "| exit | meaning |"); !reflect.DeepEqual(got, want) {
			t.Errorf("%s lists the exit statuses\n%q, the program has\n%q", name, got, want)
		}
	}
}

func TestStatusTableIsDocumented(t *testing.T) {
	var want [][]string
	for _, e := range cli.StatusTable() {
		want = append(want, []string{e[0], e[1]})
	}
	if got := tableRows(readDoc(t, "docs/history.md"), "| exit | status |"); !reflect.DeepEqual(got, want) {
		t.Errorf("docs/history.md lists the exit statuses of stretcher status\n%q, the program has\n%q", got, want)
	}
}

func TestFleetTableIsDocumented(t *testing.T) {
	var want [][]string
	for _, e := range cli.FleetTable() {
		want = append(want, []string{e[0], e[1]})
	}
	if got := tableRows(readDoc(t, "docs/fleet.md"), "| exit | fleet status, wait |"); !reflect.DeepEqual(got, want) {
		t.Errorf("docs/fleet.md lists the exit statuses of stretcher fleet\n%q, the program has\n%q", got, want)
	}
}

func TestFlagsAreDocumented(t *testing.T) {
	doc := readDoc(t, "docs/operations.md")
	_, flags, _ := strings.Cut(doc, "\n## Flags\n")
	flags, _, _ = strings.Cut(flags, "\n## ")
	known := cli.Flags()
	for _, name := range known {
		if !regexp.MustCompile("(?m)^\\| .*`--" + regexp.QuoteMeta(name) + "[ `]").MatchString(flags) {
			t.Errorf("docs/operations.md does not describe --%s", name)
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `--([a-z-]+)").FindAllStringSubmatch(flags, -1) {
		if !slices.Contains(known, m[1]) {
			t.Errorf("docs/operations.md describes --%s, which does not exist", m[1])
		}
	}
	for _, name := range cli.Commands() {
		if !strings.Contains(doc, "stretcher "+name) {
			t.Errorf("docs/operations.md does not describe the subcommand %s", name)
		}
	}
}

// TestHookTablesAreDocumented compares the tables of docs/hooks.md with those
// of the engine and its dialects.
func TestHookTablesAreDocumented(t *testing.T) {
	doc := readDoc(t, "docs/hooks.md")
	rows := tableRows(doc, "| point | when | commands | p2 event | porter hook | OCI stage |")
	var got [][]string
	for _, row := range rows {
		got = append(got, append(row[:1:1], row[2:]...))
	}
	var want [][]string
	for _, n := range hooks.Points() {
		want = append(want, []string{
			quoted(string(n.Point)), quoted(n.Commands...), quoted(n.P2), quoted(n.Porter...), quoted(n.OCI...),
		})
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("docs/hooks.md has the points\n%q, the program has\n%q", got, want)
	}
	for _, key := range yamlKeys(reflect.TypeFor[porter.Entry]()) {
		if !strings.Contains(doc, "\n| `"+key+"` |") {
			t.Errorf("docs/hooks.md has no table row for %q", key)
		}
	}
	list, err := p2.Hooks(p2.Options{Dirs: []string{hookDir(t)}}, hooks.Init)
	if err != nil || len(list) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	for _, kv := range list[0].Env {
		if name, _, _ := strings.Cut(kv, "="); !strings.Contains(doc, "\n| `"+name+"` |") {
			t.Errorf("docs/hooks.md has no table row for %q", name)
		}
	}
}

// hookDir is a hook directory with one hook.
func hookDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hook"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// quoted is a list as a table cell has it.
func quoted(names ...string) string {
	cell := "`" + strings.Join(names, "`, `") + "`"
	return strings.TrimPrefix(cell, "``")
}

// TestPoliciesAreUnderstood: what the documents show for the host policy is one.
func TestPoliciesAreUnderstood(t *testing.T) {
	for _, name := range []string{"docs/policy.md", "docs/runas.md"} {
		found := 0
		for _, b := range blocks(readDoc(t, name)) {
			if b.kind != "yaml" {
				continue
			}
			found++
			if _, err := policy.Parse(name, []byte(b.text)); err != nil {
				t.Errorf("line %d: %v", b.line, err)
			}
		}
		if found == 0 {
			t.Errorf("%s shows no policy", name)
		}
	}
}

// TestExamplePolicy: the policy of a fleet and what one kind of host adds are
// understood, together allow what they are for, and nothing of another kind.
func TestExamplePolicy(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(root, "examples/policy"))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".", "config.yml", "config.d", "config.d/50-web.yml"} {
		if err := os.Chmod(filepath.Join(dir, name), 0o755); err != nil { // whatever umask it was cloned by
			t.Fatal(err)
		}
	}
	p, err := policy.Load(filepath.Join(dir, "config.yml"), true)
	if err != nil {
		t.Fatal(err)
	}
	if _, threshold, signed := p.Signed(); !signed || threshold != 2 || p.RunAs() == "" || p.Commands() == nil {
		t.Errorf("%s: %+v", p, p)
	}
	for _, unit := range []string{"stretcher-watch", "stretcher@"} { // which may write nowhere else
		text := readDoc(t, "examples/systemd/"+unit+".service")
		logs := regexp.MustCompile(`(?m)^LogsDirectory=(\S+)$`).FindStringSubmatch(text)
		if dir := filepath.Dir(string(p.History.JSON)); logs == nil || dir != filepath.Join("/var/log", logs[1]) {
			t.Errorf("%s can't write in %q, where history.json is: %q", unit, dir, logs)
		}
	}
	for subject, values := range map[policy.Subject][2]string{
		policy.Manifest: {"https://deploys.example.com/web/app.yml", "https://deploys.example.com/api/app.yml"},
		policy.Name:     {"web", "api"}, policy.Dest: {"/srv/web", "/srv/api"},
		policy.Strategy: {"releases", "rsync"}, policy.User: {"deploy", "www-data"},
		policy.Variable: {"DEPLOY_ENV", "AWS_SECRET_ACCESS_KEY"},
	} {
		if err := policy.Refusal(p.Ask(subject, values[0])); err != nil {
			t.Error(err)
		}
		if policy.Refusal(p.Ask(subject, values[1])) == nil {
			t.Errorf("%s %q is allowed", subject, values[1])
		}
	}
}

func yamlKeys(typ reflect.Type) []string {
	var all []string
	for _, f := range reflect.VisibleFields(typ) {
		if !f.Anonymous && f.IsExported() {
			all = append(all, f.Tag.Get("yaml"))
		}
	}
	return all
}

// namedTests finds the tests in a cell of the table of attacks: scripts, or tests
// in Go and then the directory that they are in.
var namedTests = regexp.MustCompile("`(\\w+\\.txtar)`|((?:`Test\\w+`, )*`Test\\w+`) in `([\\w/]+)`")

// TestAttacksAreTested looks for the tests that the table of attacks names.
func TestAttacksAreTested(t *testing.T) {
	rows := tableRows(readDoc(t, "docs/security.md"), "| attack | what happens | test |")
	if len(rows) < 30 {
		t.Fatalf("%d rows found", len(rows))
	}
	for _, row := range rows {
		if len(row) != 3 || row[0] == "" || row[1] == "" {
			t.Errorf("row %q", row)
			continue
		}
		if rest := namedTests.ReplaceAllString(row[2], ""); strings.Trim(rest, ", ") != "" && row[2] != "none" {
			t.Errorf("%q names %s", row[0], row[2])
		}
		for _, m := range namedTests.FindAllStringSubmatch(row[2], -1) {
			if !testsExist(t, m[1], m[2], m[3]) {
				t.Errorf("%q names %s, which does not exist", row[0], m[0])
			}
		}
	}
}

// testsExist looks for a script, or for tests in a directory.
func testsExist(t *testing.T, script, tests, dir string) bool {
	t.Helper()
	if script != "" {
		_, err := os.Stat(filepath.Join(root, "testdata/script", script))
		return err == nil
	}
	files, _ := filepath.Glob(filepath.Join(root, dir, "*_test.go"))
	text := ""
	for _, file := range files {
		text += read(t, file)
	}
	for _, name := range strings.Split(tests, ", ") {
		if !strings.Contains(text, "func "+strings.Trim(name, "`")+"(t *testing.T)") {
			return false
		}
	}
	return true
}

// TestDefendedIsAttacked: what docs/security.md says is defended where manifests
// are signed are the rows of the attacks that test/trust tries.
func TestDefendedIsAttacked(t *testing.T) {
	var got, want []string
	for _, row := range tableRows(readDoc(t, "docs/security.md"), "| attack | what keeps it off |") {
		name, _, _ := strings.Cut(strings.TrimPrefix(row[0], "**"), "**")
		got = append(got, name)
	}
	_, table, _ := strings.Cut(read(t, filepath.Join(root, "test/trust/trust_test.go")), "return []row{")
	table, _, _ = strings.Cut(table, "\n\t}\n")
	for _, m := range regexp.MustCompile(`(?m)^\t\t\{"([^"]+)", `).FindAllStringSubmatch(table, -1) {
		want = append(want, m[1])
	}
	if len(want) != 11 || !slices.Equal(got, want) {
		t.Errorf("docs/security.md has\n%q, the attacks are\n%q", got, want)
	}
}
