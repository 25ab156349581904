package preview

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"

	"stretcher/internal/strategy"
	"stretcher/internal/text/printable"
)

// Plan is what a deployment would do.
type Plan struct {
	Dest     string // "" = only commands would run
	Strategy string
	Changes  strategy.Changes
	Commands []Count // in the order in which they would run
	Fetch    *Fetch  // nil = it is not known
	Back     *Back   // what it would go back to; nil = it brings something
}

// Back is what a host would go back to.
type Back struct {
	Version string `json:"version"`
	Run     string `json:"run"` // that deployed it
	From    From   `json:"from"`
}

// From is where a host takes from what it goes back to.
type From string

// Where it is.
const (
	Release From = "release" // it stands at dest, beside others
	Cache   From = "cache"   // its archive has been kept
	Server  From = "server"  // its archive has to be fetched again
)

func (b *Back) print(w io.Writer) {
	if b == nil {
		return
	}
	where := map[From]string{
		Release: "its release is there", Cache: "its archive has been kept", Server: "its archive has to be fetched again",
	}[b.From]
	version := "a deployment without a version"
	if b.Version != "" {
		version = fmt.Sprintf("version %q", b.Version)
	}
	fmt.Fprintf(w, "would go back to %s, of run %s: %s\n", printable.Line(version), b.Run, where)
}

// Fetch is what would be fetched of an archive.
type Fetch struct {
	Bytes  int64 `json:"bytes"` // with the index, unless that is here
	Whole  int64 `json:"whole"` // of the archive
	Ranges int   `json:"ranges"`
}

func (f *Fetch) print(w io.Writer) {
	switch {
	case f == nil:
	case f.Bytes > f.Whole:
		fmt.Fprintf(w, "would fetch %s: the whole archive, with its index\n", humanize.IBytes(uint64(f.Bytes)))
	case f.Bytes == f.Whole:
		fmt.Fprintf(w, "would fetch %s: the whole archive\n", humanize.IBytes(uint64(f.Bytes)))
	default:
		fmt.Fprintf(w, "would fetch %s of %s (%.1f %%) in %s\n", humanize.IBytes(uint64(f.Bytes)),
			humanize.IBytes(uint64(f.Whole)), 100*float64(f.Bytes)/float64(max(f.Whole, 1)),
			english.Plural(f.Ranges, "range", ""))
	}
}

// Count is how many commands would run at a point.
type Count struct {
	Point    string
	Commands int
}

// Print prints the plan for people.
func (p *Plan) Print(out io.Writer) error {
	w := bufio.NewWriter(out)
	for _, c := range p.Changes.List {
		text := c.String()
		if c.Bytes > 0 {
			text += "  " + humanize.IBytes(uint64(c.Bytes))
		}
		fmt.Fprintln(w, text)
	}
	if p.Dest != "" && len(p.Changes.List) == 0 {
		fmt.Fprintf(w, "%s: nothing to change\n", printable.Text(p.Dest))
	} else if p.Dest != "" {
		fmt.Fprintf(w, "%s: %s (%s)\n", printable.Text(p.Dest), p.Changes.Tally(), p.Strategy)
	}
	p.Back.print(w)
	p.Fetch.print(w)
	for _, note := range p.Changes.Notes {
		fmt.Fprintf(w, "note: %s\n", printable.Line(note))
	}
	var run []string
	for _, c := range p.Commands {
		if c.Commands > 0 {
			run = append(run, fmt.Sprintf("%d %s", c.Commands, c.Point))
		}
	}
	if len(run) > 0 {
		fmt.Fprintf(w, "commands that would run: %s\n", strings.Join(run, ", "))
	}
	return w.Flush()
}

// planChange is one change in JSON.
type planChange struct {
	Kind  string   `json:"kind"`
	Path  string   `json:"path"`
	Raw   []byte   `json:"raw,omitempty"` // base64 of a path that is not UTF-8
	Dir   bool     `json:"dir,omitempty"`
	What  []string `json:"what,omitempty"`
	Bytes int64    `json:"bytes,omitempty"`
}

// PrintJSON prints the plan as one object on one line.
func (p *Plan) PrintJSON(w io.Writer) error {
	commands := map[string]int{}
	for _, c := range p.Commands {
		commands[c.Point] = c.Commands
	}
	out := struct {
		Dest     string         `json:"dest"`
		Strategy string         `json:"sync_strategy"`
		Changes  []planChange   `json:"changes"`
		Bytes    int64          `json:"bytes"`
		Commands map[string]int `json:"commands"`
		Notes    []string       `json:"notes,omitempty"`
		Fetch    *Fetch         `json:"fetch,omitempty"`
		Back     *Back          `json:"back,omitempty"`
	}{p.Dest, p.Strategy, []planChange{}, p.Changes.Bytes, commands, p.Changes.Notes, p.Fetch, p.Back}
	for _, c := range p.Changes.List {
		row := planChange{Kind: c.Kind.String(), Path: c.Path, Dir: c.Dir, What: c.What, Bytes: c.Bytes}
		if !utf8.ValidString(c.Path) {
			row.Raw = []byte(c.Path)
		}
		out.Changes = append(out.Changes, row)
	}
	return printable.EncodeJSON(w, out)
}
