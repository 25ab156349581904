// Command fleet computes what a fleet of hosts asks of the origin, the server
// that its archives come from, by how it hears of a version. Usage:
//
//	go run ./bench/fleet [KEY=VALUE...]   print the table of docs/performance.md
//
// The keys are those of the model, see keys below; bytes and seconds, whole
// numbers. The same values give the same table.
//
// The model is one of flows. A host begins to fetch when it has heard of the
// version, which takes up to spread seconds, and its delay is over. All that it
// fetches is one flow of bytes. Each flow gets link bytes a second, and all of
// them together at most what the origin gives, in equal parts. What the model
// leaves out is small beside that: handshakes, round trips, lost packets, retries,
// and the time that a host takes to unpack.
package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "fleet: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	m := defaults()
	for _, arg := range args {
		if err := m.set(arg); err != nil {
			return err
		}
	}
	return m.print(out)
}

// keys are the values of a model by name.
func (m *model) keys() map[string]*int64 {
	return map[string]*int64{
		"hosts": &m.hosts, "seed": &m.seed, "spread": &m.spread, "delay": &m.delay, "ahead": &m.ahead,
		"link": &m.link, "origin": &m.origin,
		"manifest": &m.manifest, "archive": &m.archive, "index": &m.index, "delta": &m.delta, "ranges": &m.ranges,
	}
}

func (m *model) set(arg string) error {
	key, value, _ := strings.Cut(arg, "=")
	to := m.keys()[key]
	if to == nil {
		return fmt.Errorf("%q is none of the model's keys", key)
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 1 {
		return fmt.Errorf("%q: a number above 0 is expected", arg)
	}
	*to = n
	return nil
}

// print writes a row for each way of hearing.
func (m *model) print(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "| %d hosts | bytes | requests | at once | peak rate | done after | at %s/s, done after |\n",
		m.hosts, amount(float64(m.origin)))
	b.WriteString("|---|---|---|---|---|---|---|\n")
	for _, w := range m.ways() {
		free, bound := serve(w.flows, m.link, 0), serve(w.flows, m.link, m.origin)
		fmt.Fprintf(&b, "| %s | %s | %d | %d | %s/s | %s | %s |\n", w.name, amount(float64(free.bytes)), free.requests,
			free.atOnce, amount(free.peak), span(free.last), span(bound.last))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// amount is a number of bytes with three digits.
func amount(n float64) string {
	units := []string{"B", "kB", "MB", "GB", "TB", "PB"}
	i := 0
	for ; n >= 999.5 && i < len(units)-1; i++ {
		n /= 1000
	}
	digits := 0
	for x := n; i > 0 && x < 99.95 && digits < 2; x *= 10 {
		digits++
	}
	return strconv.FormatFloat(n, 'f', digits, 64) + " " + units[i]
}

// span is a time as people say it.
func span(seconds float64) string {
	switch {
	case seconds < 99.95:
		return strconv.FormatFloat(seconds, 'f', 1, 64) + " s"
	case seconds < 99*60:
		return strconv.FormatFloat(seconds/60, 'f', 0, 64) + " min"
	default:
		return strconv.FormatFloat(seconds/3600, 'f', 1, 64) + " h"
	}
}
