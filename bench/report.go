package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// deployed names what is measured: a program, or a strategy of stretcher, and
// the case it is measured in.
type deployed struct{ program, what string }

// cost is what a deploy took, each figure a median.
type cost struct {
	seconds, cpu  float64
	peak, peakOwn float64 // KiB
	written       float64 // bytes handed to write(2)
	fresh         float64 // bytes of the files in dest that are not as they were; -1 = not looked at
	record        float64 // bytes of what it notes of dest in the state directory
}

// results are the costs of all that was measured, in the order of first
// measurement.
type results struct {
	order []deployed
	costs map[deployed]cost
}

// readResults reads lines of a program, a case and the figures of cost.
func readResults(in io.Reader) (*results, error) {
	const figures = 7
	r := &results{costs: make(map[deployed]cost)}
	lines := make(map[deployed][]string)
	for scan := bufio.NewScanner(in); scan.Scan(); {
		fields := strings.Fields(scan.Text())
		if len(fields) != 2+figures {
			return nil, fmt.Errorf("%q has not %d fields", scan.Text(), 2+figures)
		}
		d := deployed{fields[0], fields[1]}
		if lines[d] == nil {
			r.order = append(r.order, d)
		}
		lines[d] = append(lines[d], strings.Join(fields[2:], " "))
	}
	for d, rows := range lines {
		m, err := columnMedians(strings.NewReader(strings.Join(rows, "\n")))
		if err != nil {
			return nil, err
		}
		r.costs[d] = cost{m[0], m[1], m[2], m[3], m[4], m[5], m[6]}
	}
	return r, nil
}

// goal is the time that a deploy may take, as part of the peer's.
func goal(d deployed) (limit float64, ok bool) {
	switch {
	case d.program == "pipeline" || d.program == "peer":
		return 0, false
	case d.what == "again":
		return 0.05, true
	case d.program == "native" && (d.what == "first" || d.what == "changed"):
		return 0.50, true
	case d.program == "rsync" && d.what == "first":
		return 0.80, true
	}
	return 0, false
}

// ratio is d's time as part of the time that another program takes for the
// same. Others know nothing but "same" when the same is deployed again.
func (r *results) ratio(d deployed, other string) (float64, bool) {
	what := d.what
	if what == "again" {
		what = "same"
	}
	base, ok := r.costs[deployed{other, what}]
	if !ok || d.program == other || base.seconds == 0 {
		return 0, false
	}
	return r.costs[d].seconds / base.seconds, true
}

func (r *results) has(program string) bool {
	return slices.ContainsFunc(r.order, func(d deployed) bool { return d.program == program })
}

// verdict says whether d's ratio to the peer is within the goal.
func (r *results) verdict(d deployed) string {
	limit, ok := goal(d)
	if !ok {
		return ""
	}
	if ratio, ok := r.ratio(d, "peer"); ok {
		return fmt.Sprintf("%.2f %s", limit, met(ratio <= limit))
	}
	return fmt.Sprintf("%.2f", limit)
}

func met(ok bool) string {
	if ok {
		return "met"
	}
	return "MISSED"
}

// deployTable prints the deploys of a tree, whose archive has a number of
// bytes, as have the files that the changed one changes.
func deployTable(out io.Writer, r *results, archive, changed int) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "program\tcase\ttime s\tCPU s\tpeak MB\town MB\tx pipeline\tx PEER\tgoal\t")
	for _, d := range r.order {
		c := r.costs[d]
		fmt.Fprintf(w, "%s\t%s\t%.2f\t%.2f\t%.1f\t%.1f\t%s\t%s\t%s\t\n", d.program, d.what, c.seconds, c.cpu,
			kibMB(c.peak), kibMB(c.peakOwn), r.ratioText(d, "pipeline"), r.ratioText(d, "peer"), r.verdict(d))
	}
	if !r.has("peer") {
		fmt.Fprintln(w, "goals are parts of the time of PEER, which was not given\t")
	}
	return errors.Join(w.Flush(), writtenTable(out, r, archive, changed))
}

func (r *results) ratioText(d deployed, other string) string {
	ratio, ok := r.ratio(d, other)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%.3f", ratio)
}

// logged is for what the history and the log, on the terminal and in its
// file, say of the changes: so many bytes.
const logged = 100_000

// writtenTable prints what the changed deploys wrote, beside what had to be
// written.
func writtenTable(out io.Writer, r *results, archive, changed int) error {
	fmt.Fprintf(out, "\nwritten in the case changed, where %.1f MB had to be (archive: %.1f MB)\n",
		mb(changed), mb(archive))
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "program\tnew in dest MB\tby write(2) MB\tless the archive\tless the record\t"+
		"less what \"again\" writes\tgoal\t")
	for _, d := range r.order {
		c := r.costs[d]
		if d.what != "changed" {
			continue
		}
		stored := c.written - float64(archive)
		own := stored - c.record
		fresh, rest, goal := "", "", ""
		if c.fresh >= 0 {
			fresh = fmt.Sprintf("%.1f", mb(c.fresh))
		}
		if again, ok := r.costs[deployed{d.program, "again"}]; ok {
			extra := max(0, own-again.written)
			rest = fmt.Sprintf("%.1f", mb(extra))
			if d.program == "native" {
				goal = fmt.Sprintf("%.1f %s", mb(changed), met(extra <= float64(changed)+logged && c.fresh <= float64(changed)))
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%.1f\t%.1f\t%.1f\t%s\t%s\t\n", d.program, fresh, mb(c.written), mb(stored),
			mb(own), rest, goal)
	}
	return w.Flush()
}

// The goal for memory: so many files within so many MB.
const (
	goalFiles = 100_000
	goalMB    = 64
)

// scaleRows prints what deploys of a tree cost by the file and by the MB.
func scaleRows(out io.Writer, r *results, files, size int) error {
	for _, d := range r.order {
		c, goal := r.costs[d], ""
		if files >= goalFiles && d.program == "native" {
			goal = fmt.Sprintf("%d MB %s", goalMB, met(kibMB(c.peakOwn) <= goalMB))
		}
		if _, err := fmt.Fprintf(out, "%7d %8.0f  %-9s %-8s %7.3f %9.1f %8.2f %7.3f %8.1f %7.1f  %s\n", files, mb(size),
			d.program, d.what,
			c.seconds, c.seconds*1e6/float64(files), c.seconds*1e9/float64(size), c.cpu, kibMB(c.peak),
			kibMB(c.peakOwn), goal); err != nil {
			return err
		}
	}
	return nil
}

func mb[N int | float64](n N) float64 { return float64(n) / 1e6 }

func kibMB(n float64) float64 { return mb(n * 1024) }

// medians reads lines of numbers and writes one line with the median of each
// column.
func medians(in io.Reader, out io.Writer) error {
	columns, err := columnMedians(in)
	if err != nil {
		return err
	}
	row := make([]string, len(columns))
	for i, m := range columns {
		row[i] = strconv.FormatFloat(m, 'f', 2, 64)
	}
	_, err = fmt.Fprintln(out, strings.Join(row, " "))
	return err
}

func columnMedians(in io.Reader) ([]float64, error) {
	var columns [][]float64
	for lines := bufio.NewScanner(in); lines.Scan(); {
		for i, field := range strings.Fields(lines.Text()) {
			v, err := strconv.ParseFloat(field, 64)
			if err != nil {
				return nil, err
			}
			if i == len(columns) {
				columns = append(columns, nil)
			}
			columns[i] = append(columns[i], v)
		}
	}
	if len(columns) == 0 {
		return nil, errors.New("median of nothing")
	}
	row := make([]float64, len(columns))
	for i, c := range columns {
		slices.Sort(c)
		row[i] = (c[(len(c)-1)/2] + c[len(c)/2]) / 2
	}
	return row, nil
}
