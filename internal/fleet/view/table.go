package view

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"stretcher/internal/fleet"
	"stretcher/internal/text/printable"
	"stretcher/internal/text/progress"
)

// Room is what a table may take. Zero is no limit.
type Room struct {
	Columns int
	Lines   int
}

// WriteTable writes how one rollout stands: a summary, then a line for each host.
// Within a room, lines are cut at its right, and the best hosts are left out.
func WriteTable(w io.Writer, s fleet.State, room Room) error {
	lines := []string{Summary(s)}
	switch l := Limits(s); {
	case l != "" && s.Group != "":
		lines = append(lines, s.Group+": "+l)
	case l+s.Group != "":
		lines = append(lines, l+s.Group)
	}
	hosts := s.Hosts
	left := room.Lines - len(lines) - 3 // the heading, what is left out, and the cursor's line
	hidden := 0
	if room.Lines > 0 && len(hosts) > max(left, 1) {
		hidden = len(hosts) - max(left, 1)
		hosts = hosts[:len(hosts)-hidden]
	}
	rows := [][]string{{"HOST", "ZONE", "STANDING", "RUNS", "ENDED", "TOLD"}}
	for _, h := range hosts {
		rows = append(rows, []string{h.Node, h.Zone, string(h.Standing), runs(h), ended(h), told(h)})
	}
	if room.Columns > 0 && room.Columns < wide {
		for i, row := range rows {
			rows[i] = slices.Delete(row, 4, 5)
		}
	}
	if len(hosts) > 0 {
		lines = append(lines, aligned(rows)...)
	}
	if hidden > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", hidden))
	}
	return write(w, lines, room)
}

// WriteList writes a line for each rollout.
func WriteList(w io.Writer, all []fleet.State, room Room) error {
	rows := [][]string{{"NAME", "VERSION", "VERDICT", "PHASE", "HOSTS", "GOOD", "FAILED", "MISSING", "STOPPED", "GOING"}}
	for i := range all {
		s := &all[i]
		rows = append(rows, []string{
			s.Name, s.Version, string(s.Verdict()), string(s.Phase), fmt.Sprint(len(s.Hosts)),
			fmt.Sprint(s.Count(fleet.HostGood)), fmt.Sprint(s.Count(fleet.HostFailed, fleet.HostDied)),
			fmt.Sprint(s.Count(fleet.HostMissing)), fmt.Sprint(s.Count(fleet.HostStopped)),
			fmt.Sprint(s.Count(fleet.HostWorking, fleet.HostWaiting, fleet.HostExpected)),
		})
	}
	return write(w, aligned(rows), room)
}

// wide is how wide a terminal is that shows also when the hosts ended.
const wide = 100

// widest is how wide a column gets that others stand behind.
const widest = 60

// aligned makes lines of rows: escaped, with a dash where nothing stands, so that
// scripts can cut columns.
func aligned(rows [][]string) (lines []string) {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			if row[i] = fit(printable.Line(cell), widest, i < len(row)-1); row[i] == "" {
				row[i] = "-"
			}
			width[i] = max(width[i], progress.Columns(row[i]))
		}
	}
	for _, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", width[i]-progress.Columns(cell)+2))
			}
		}
		lines = append(lines, b.String())
	}
	return lines
}

// fit cuts a text to so many columns, where it is to be cut.
func fit(text string, columns int, is bool) string {
	if !is || columns <= 0 || progress.Columns(text) <= columns {
		return text
	}
	const dots = "..."
	var b strings.Builder
	used := 0
	for _, r := range text {
		if used += progress.Columns(string(r)); used > max(columns-len(dots), 0) {
			break
		}
		b.WriteRune(r)
	}
	return b.String() + dots[:min(len(dots), columns)]
}

func write(w io.Writer, lines []string, room Room) error {
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(fit(printable.Line(line), room.Columns, room.Columns > 0) + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
