package manifest

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"stretcher/internal/text/failure"
	"stretcher/internal/text/printable"
	"stretcher/internal/text/redact"
	"stretcher/internal/text/yamldoc"
)

// Back says of which application hosts shall go back, from what to what.
type Back struct {
	Name string
	To   string // a version, or Previous
	From string // "" = the manifest's version

	Serial int64 // of the way back; 0 = the next one
	Known  int64 // the highest one that hosts are known to have; 0 = not known
}

// GoingBack makes of the manifest that hosts have a draft of one by which they go
// back: for the same dest, over the same group, with the same limits, and the next
// serial.
func GoingBack(raw []byte, back Back) ([]byte, error) {
	t := findTemplates(raw)
	now, problem := t.outline()
	if problem != nil {
		problem.Message = t.restored(problem.Message)
		return nil, asError(raw, append(t.wrong(), problem))
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
	if now.Rollback.To != "" && now.Rollback.From == "" {
		return nil, failure.Hinted("the manifest that brought the version to get away from is wanted",
			failure.Usage("by the manifest of %q hosts go back themselves: none runs its version", back.Name))
	}
	switch {
	case back.From != "":
	case now.Rollback.From != "":
		back.From = now.Rollback.From // who has not gone back yet does so now
	case !strings.Contains(now.Version, t.prefix):
		back.From = now.Version
	}
	if back.From == back.To {
		return nil, failure.Usage("version %q is the one to get away from", back.To)
	}
	if back.From == "" && back.To == Previous {
		return nil, failure.Hinted("--from VERSION says it; with --back-to VERSION, too, none goes further",
			failure.Usage("the manifest of %q has no version to get away from: each host would go back wherever it is",
				back.Name))
	}
	now.Version, now.Rollback.To, now.Rollback.From = back.title(), back.To, back.From
	if err := now.raise(back); err != nil {
		return nil, err
	}
	return []byte(now.text(t)), nil
}

// raise gives a way back a serial above those that hosts have.
func (o *outline) raise(back Back) error {
	n, err := strconv.ParseInt(o.Serial, 10, 64)
	if o.Serial = ""; err != nil || n < back.Known {
		n = back.Known
	}
	switch {
	case back.Serial > 0 && back.Serial <= n:
		return failure.Usage("serial %d is not above %d, which hosts have: they would refuse it", back.Serial, n)
	case n > 0 && n+1 > 0:
		o.Serial = strconv.FormatInt(n+1, 10)
	}
	return nil
}

// Told is a URL as others may read it; "" of one that holds a secret.
func Told(url string, masked func(string) string) string {
	if redact.URL(url) != url || redact.Hides(url) || masked(url) != url {
		return ""
	}
	return url
}

// maxOutline bounds what is recorded of a manifest.
const maxOutline = 2 << 10

// Outline is what of a manifest GoingBack needs, as a manifest that has no more; ""
// of one that is for one host alone, or says too much, or a secret.
func Outline(raw []byte, masked func(string) string) string {
	text, _ := outlined(raw, masked)
	return text
}

// Lacking tells why there is no Outline of a manifest; "" where there is one.
func Lacking(raw []byte, masked func(string) string) string {
	_, why := outlined(raw, masked)
	return why
}

// outlined is an outline, or why there is none.
func outlined(raw []byte, masked func(string) string) (text, why string) {
	t := findTemplates(raw)
	now, problem := t.outline()
	switch {
	case problem != nil:
		return "", "it can't be read without the values of its templates"
	case now.Dest == "" || now.Rollout.Node == nil:
		return "", "it names no dest, or no rollout, without the values of its templates"
	}
	text = now.text(t)
	switch {
	case len(text) > maxOutline:
		return "", "what it says of dest and rollout is more than 2 KiB"
	case masked(text) != text:
		return "", "what it says of dest and rollout has the value of a variable in it, which may be a secret"
	}
	return text, ""
}

// outline is what of a manifest a way back is made of.
type outline struct {
	Name     string `yaml:"name"`
	Version  string `yaml:"version"`
	Serial   string `yaml:"serial"`
	Dest     string `yaml:"dest"`
	Rollback struct {
		To   string `yaml:"to"`
		From string `yaml:"from"`
	} `yaml:"rollback"`
	Rollout yamldoc.Raw `yaml:"rollout"`
}

// outline reads it. What is wrong with the rest is of no use.
func (t *templates) outline() (now outline, problem *yamldoc.Problem) {
	doc, problem := yamldoc.Parse(t.text)
	if problem != nil {
		return now, problem
	}
	doc.Decode(&now)
	if now.Name == "" {
		now.Name = filepath.Base(now.Dest)
	}
	return now, nil
}

// text is the outline as YAML.
func (o *outline) text(t *templates) string {
	var out strings.Builder
	put := func(indent, key, value string) {
		if value != "" {
			fmt.Fprintf(&out, "%s%s: %s\n", indent, key, quoted(t.restored(value)))
		}
	}
	put("", "name", o.Name)
	put("", "version", o.Version)
	put("", "dest", o.Dest)
	if n, err := strconv.ParseInt(o.Serial, 10, 64); err == nil {
		fmt.Fprintf(&out, "serial: %d\n", n)
	}
	if o.Rollback.To != "" {
		out.WriteString("rollback:\n")
		put("  ", "to", o.Rollback.To)
		put("  ", "from", o.Rollback.From)
	}
	out.WriteString("rollout:\n")
	for line := range strings.Lines(t.restored(o.Rollout.Text())) {
		out.WriteString("  " + line)
	}
	return out.String()
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
