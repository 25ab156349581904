package manifest

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"stretcher/internal/text/failure"
	"stretcher/internal/text/printable"
	"stretcher/internal/text/yamldoc"
)

// Back says of which application hosts shall go back, from what to what.
type Back struct {
	Name string
	To   string // a version, or Previous
	From string // "" = the manifest's version
}

// GoingBack makes of the manifest that hosts have a draft of one by which they go
// back: for the same dest, over the same group, with the same limits, and the next
// serial.
func GoingBack(raw []byte, back Back) ([]byte, error) {
	t := findTemplates(raw)
	doc, problem := yamldoc.Parse(t.text)
	if problem != nil {
		problem.Message = t.restored(problem.Message)
		return nil, asError(raw, append(t.wrong(), problem))
	}
	var now struct {
		Name    string      `yaml:"name"`
		Version string      `yaml:"version"`
		Serial  string      `yaml:"serial"`
		Dest    string      `yaml:"dest"`
		Rollout yamldoc.Raw `yaml:"rollout"`
		Back    struct {
			To string `yaml:"to"`
		} `yaml:"rollback"`
	}
	doc.Decode(&now) // what is wrong with the rest is of no use here
	if now.Name == "" {
		now.Name = filepath.Base(now.Dest)
	}
	switch name := t.restored(now.Name); {
	case name != back.Name:
		return nil, failure.Usage("the manifest is that of %q, not of %q", name, back.Name)
	case now.Dest == "":
		return nil, failure.Usage("the manifest of %q names no dest: there is nothing to go back to", name)
	case now.Rollout.Node == nil:
		return nil, failure.Hinted("stretcher rollback DEST goes back on one host",
			failure.Usage("the manifest of %q has no rollout", name))
	}
	if now.Back.To != "" {
		return nil, failure.Hinted("the manifest that brought the version to get away from is wanted",
			failure.Usage("by the manifest of %q hosts go back themselves: none runs its version", back.Name))
	}
	if back.From == "" && !strings.Contains(now.Version, t.prefix) {
		back.From = now.Version
	}
	if back.From == back.To {
		return nil, failure.Usage("version %q is the one to get away from", back.To)
	}
	var out strings.Builder
	put := func(indent, key, value string) {
		if value != "" {
			fmt.Fprintf(&out, "%s%s: %s\n", indent, key, quoted(t.restored(value)))
		}
	}
	put("", "name", now.Name)
	put("", "version", back.title())
	put("", "dest", now.Dest)
	if n, err := strconv.ParseInt(now.Serial, 10, 64); err == nil && n > 0 && n+1 > 0 {
		fmt.Fprintf(&out, "serial: %d\n", n+1)
	}
	out.WriteString("rollback:\n")
	put("  ", "to", back.To)
	put("  ", "from", back.From)
	out.WriteString("rollout:\n")
	for line := range strings.Lines(t.restored(now.Rollout.Text())) {
		out.WriteString("  " + line)
	}
	return []byte(out.String()), nil
}

// title is what people know the way back by.
func (b Back) title() string {
	if b.To != Previous {
		return b.To
	}
	return strings.TrimSpace("before " + b.From)
}

// quoted is text as YAML. Templates stay as they are written.
func quoted(text string) string {
	if printable.Line(text) == text {
		return "'" + strings.ReplaceAll(text, "'", "''") + "'"
	}
	b, err := json.Marshal(text)
	if err != nil {
		panic(err) // it is a string
	}
	return string(b)
}
