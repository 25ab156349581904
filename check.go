package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"stretcher/internal/cli"
	"stretcher/internal/event"
	"stretcher/internal/fetch/store"
	"stretcher/internal/journal"
	"stretcher/internal/journal/runlog"
	"stretcher/internal/manifest"
	"stretcher/internal/policy"
	allstrategies "stretcher/internal/strategy/all"
	"stretcher/internal/text/printable"
	"stretcher/internal/text/progress"
	"stretcher/internal/text/redact"
)

// runCheck parses and validates a manifest and prints what would run. An
// unknown key is an error here.
func runCheck(ctx context.Context, o cli.ManifestOptions) error {
	log, closeLog := o.Open()
	defer closeLog()
	r, err := newReader(o, log)
	if err != nil {
		return err
	}
	defer r.store.Close()
	load := r.loader(manifestRules())
	load.Warn = nil // an unknown key is an error
	loaded, err := load.Load(ctx, r.event.URL)
	if err = r.use(loaded, err); err != nil {
		return maskedFailure(log, fmt.Errorf("manifest: %w", err))
	}
	if err := r.accept(); err != nil {
		return err
	}
	if o.JSON {
		return printCheckJSON(o.Stdout, r.manifest, log.Masked)
	}
	printPlan(o.Stdout, r.manifest, log.Masked)
	return nil
}

// checked is a manifest as check --json tells of it.
type checked struct {
	Name     string            `json:"name"`
	Version  string            `json:"version"`
	Src      []string          `json:"src"`
	Checksum string            `json:"checksum"`
	Dest     string            `json:"dest"`
	Strategy string            `json:"sync_strategy"` // "" = commands only
	Options  map[string]string `json:"options"`       // of the strategy, as check prints them
	Commands []checkedCommand  `json:"commands"`
	Hooks    []checkedHook     `json:"hooks"`
}

type checkedCommand struct {
	Point   string  `json:"point"`
	Run     string  `json:"run"`
	Timeout float64 `json:"timeout_s"` // 0 = none of its own
	Cwd     string  `json:"cwd"`
}

type checkedHook struct {
	Name string `json:"name"`
	What string `json:"what"`
}

// printCheckJSON prints one object on one line. Values of env are not in it.
func printCheckJSON(w io.Writer, m *manifest.Manifest, mask func(string) string) error {
	c := checked{
		Name: mask(m.Name), Version: mask(m.Version), Src: []string{}, Dest: mask(m.Dest),
		Options: map[string]string{}, Commands: []checkedCommand{}, Hooks: []checkedHook{},
	}
	for _, src := range m.Src {
		c.Src = append(c.Src, mask(redact.URL(src)))
	}
	if len(m.Src) > 0 {
		c.Checksum, c.Strategy = m.Checksum.String(), m.SyncStrategy
		for _, r := range strategyRows(m) {
			c.Options[r[0]] = mask(r[1])
		}
	}
	for _, p := range m.Commands.Points() {
		for _, line := range p.Commands {
			c.Commands = append(c.Commands, checkedCommand{p.Name, mask(line.Run), time.Duration(line.Timeout).Seconds(), mask(line.Cwd)})
		}
	}
	for _, name := range m.Hooks.Sorted() {
		for _, e := range m.Hooks[name] {
			c.Hooks = append(c.Hooks, checkedHook{name, mask(e.What())})
		}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(c)
}

// newReader puts together a run that only reads: it claims no event, takes no
// lock and writes no history.
func newReader(o cli.ManifestOptions, log *runlog.Log) (*run, error) {
	host, err := policy.Load(o.Config, o.ConfigGiven)
	if err != nil {
		return nil, err
	}
	r := &run{event: &event.Event{Source: event.Argument, URL: o.URL}, manifestURL: redact.URL(o.URL), opts: optionsOf(o.Settings), policy: host,
		log: log, screen: progress.New(o.Stderr, false), rec: journal.New(log), tmpdir: tmpdir(),
		store: store.NewSet(store.Options{UserAgent: userAgent()})}
	r.environ, r.lookup = environOf()
	if o.StateError == nil {
		r.rec = journal.Reading(o.StateDir, log)
	}
	return r, nil
}

// oneLine puts joined errors on one line.
func oneLine(text string) string { return strings.ReplaceAll(text, "\n", "; ") }

// printPlan says what a deployment of m would do. Values of env are not
// printed.
func printPlan(w io.Writer, m *manifest.Manifest, mask func(string) string) {
	row := func(key, value string) {
		if value != "" {
			fmt.Fprintf(w, "%-14s %s\n", key, printable.Text(mask(value)))
		}
	}
	row("name", m.Name)
	row("version", m.Version)
	for _, src := range m.Src {
		row("src", redact.URL(src))
	}
	if len(m.Src) > 0 {
		row("checksum", m.Checksum.String())
		row("dest", m.Dest)
		row("sync_strategy", m.SyncStrategy)
		for _, r := range strategyRows(m) {
			row(r[0], r[1])
		}
	} else {
		row("src", "none: commands only")
	}
	for _, p := range m.Commands.Points() {
		for _, c := range p.Commands {
			row(p.Name, describe(c))
		}
	}
	for _, name := range m.Hooks.Sorted() {
		for _, e := range m.Hooks[name] {
			row(name, e.What())
		}
	}
}

// strategyRows say how the strategy's own keys are set.
func strategyRows(m *manifest.Manifest) (rows [][2]string) {
	d, _ := allstrategies.List().Find(m.SyncStrategy)
	reads := func(section string) bool { return slices.Contains(d.Sections, section) }
	if reads("native") && m.Native.Checksum {
		rows = append(rows, [2]string{"native", "compares by content"})
	}
	if reads("releases") {
		rows = append(rows,
			[2]string{"releases", fmt.Sprintf("keep %d, link %s", m.Releases.KeepCount(), cmp.Or(m.Releases.Link, allstrategies.DefaultLink))},
			[2]string{"shared", strings.Join(m.Releases.Shared, " ")})
	}
	if reads("rollback") {
		back := "no"
		if !m.Rollback.Off {
			back = strings.Join(append([]string{"after a failure, then:"}, m.Rollback.Points()...), " ")
		}
		rows = append(rows, [2]string{"rollback", back})
	}
	return rows
}

func describe(c manifest.Command) string {
	text := strings.TrimSpace(c.Run)
	if c.Timeout > 0 {
		text += fmt.Sprintf("  (timeout %s)", time.Duration(c.Timeout))
	}
	if c.Cwd != "" {
		text += fmt.Sprintf("  (in %s)", c.Cwd)
	}
	return text
}
