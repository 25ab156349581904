package manifest

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"stretcher/internal/text/printable"
	"stretcher/internal/text/redact"
)

// Checked is a manifest as check --json tells of it.
type Checked struct {
	URL      string            `json:"url,omitempty"`
	Name     string            `json:"name"`
	Version  string            `json:"version"`
	Src      []string          `json:"src"`
	Checksum string            `json:"checksum"`
	Index    string            `json:"index,omitzero"`
	Strip    int64             `json:"strip_components,omitzero"`
	Dest     string            `json:"dest"`
	Strategy string            `json:"sync_strategy"` // "" = commands only
	Options  map[string]string `json:"options"`       // of the strategy, as check prints them
	Commands []CheckedCommand  `json:"commands"`
	Hooks    []CheckedHook     `json:"hooks"`
	Serial   int64             `json:"serial,omitzero"`
	Expires  time.Time         `json:"expires,omitzero"`
	Rollout  string            `json:"rollout,omitzero"` // in words
}

// CheckedCommand is a command of it.
type CheckedCommand struct {
	Point   string  `json:"point"`
	Run     string  `json:"run"`
	Timeout float64 `json:"timeout_s"` // 0 = none of its own
	Cwd     string  `json:"cwd"`
}

// CheckedHook is a hook of it.
type CheckedHook struct {
	Name string `json:"name"`
	What string `json:"what"`
}

// Checked is Tell for programs.
func (m *Manifest) Checked(url string, kinds []Kind, mask func(string) string) *Checked {
	c := &Checked{
		URL: mask(url), Name: mask(m.Name), Version: mask(m.Version), Src: []string{}, Dest: mask(m.Dest),
		Options: map[string]string{}, Commands: []CheckedCommand{}, Hooks: []CheckedHook{},
		Serial: int64(m.Serial), Expires: m.Expires.Time,
	}
	for _, src := range m.Src {
		c.Src = append(c.Src, mask(redact.URL(src)))
	}
	if len(m.Src) > 0 {
		c.Checksum, c.Strategy, c.Strip = m.Checksum.String(), m.SyncStrategy, m.Strip
		if m.Index.Algorithm != "" {
			c.Index = m.Index.String()
		}
		for _, r := range m.kindRows(kinds) {
			c.Options[r[0]] = mask(r[1])
		}
	}
	if m.Rollback.GoesBack() {
		c.Options["rollback"] = mask(m.Rollback.String())
	}
	if m.Rollout != nil {
		c.Rollout = mask(m.Rollout.String())
	}
	for _, p := range m.Commands.Points() {
		for _, line := range p.Commands {
			c.Commands = append(c.Commands,
				CheckedCommand{p.Name, mask(line.Run), time.Duration(line.Timeout).Seconds(), mask(line.Cwd)})
		}
	}
	for _, name := range m.Hooks.Sorted() {
		for _, e := range m.Hooks[name] {
			c.Hooks = append(c.Hooks, CheckedHook{name, mask(e.What())})
		}
	}
	return c
}

// Tell says what a deployment of the manifest would do. It begins with a title,
// unless that is "". mask keeps secrets out of it; values of env are not told at
// all.
func (m *Manifest) Tell(out io.Writer, title string, kinds []Kind, mask func(string) string) error {
	var rows [][2]string
	row := func(key, value string) {
		if value != "" {
			rows = append(rows, [2]string{printable.Text(key), printable.Text(mask(value))})
		}
	}
	row("manifest", title)
	row("name", m.Name)
	row("version", m.Version)
	if m.Serial > 0 {
		row("serial", m.Serial.String())
	}
	if !m.Expires.IsZero() {
		row("expires", m.Expires.String())
	}
	for _, src := range m.Src {
		row("src", redact.URL(src))
	}
	if len(m.Src) > 0 {
		row("checksum", m.Checksum.String())
		if m.Index.Algorithm != "" {
			row("index", m.Index.String())
		}
		if m.Strip > 0 {
			row("strip_components", strconv.FormatInt(m.Strip, 10))
		}
		row("dest", m.Dest)
		row("sync_strategy", m.SyncStrategy)
		for _, r := range m.kindRows(kinds) {
			row(r[0], r[1])
		}
	} else if m.Rollback.GoesBack() {
		row("dest", m.Dest)
		row("rollback", m.Rollback.String())
	} else {
		row("src", "none: commands only")
	}
	if m.Rollout != nil {
		row("rollout", m.Rollout.String())
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
	return align(out, rows)
}

// align prints keys and their values in two columns. The first is as wide as the
// longest key, and never narrower than 14.
func align(out io.Writer, rows [][2]string) error {
	width := 14
	for _, r := range rows {
		width = max(width, len(r[0]))
	}
	w := bufio.NewWriter(out)
	for _, r := range rows {
		fmt.Fprintf(w, "%-*s %s\n", width, r[0], r[1])
	}
	return w.Flush()
}

// kindRows say how the keys are set that not every strategy reads.
func (m *Manifest) kindRows(kinds []Kind) (rows [][2]string) {
	reads := func(section string) bool {
		return slices.ContainsFunc(kinds, func(k Kind) bool {
			return k.Name == m.SyncStrategy && slices.Contains(k.Sections, section)
		})
	}
	if reads("native") && m.Native.Checksum {
		rows = append(rows, [2]string{"native", "compares by content"})
	}
	if reads("releases") {
		rows = append(rows,
			[2]string{"releases", fmt.Sprintf("keep %d, link %s", m.Releases.KeepCount(), cmp.Or(m.Releases.Link, "reflink"))},
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

func describe(c Command) string {
	text := strings.TrimSpace(c.Run)
	if c.Timeout > 0 {
		text += fmt.Sprintf("  (timeout %s)", time.Duration(c.Timeout))
	}
	if c.Cwd != "" {
		text += fmt.Sprintf("  (in %s)", c.Cwd)
	}
	return text
}
