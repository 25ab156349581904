package runlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"stretcher/internal/text/printable"
)

// maxTail bounds what Tail reads, in bytes.
const maxTail = 64 << 10

// Tail returns the last n lines, or fewer, of the part of a log that begins at
// the offset from and ends before to; to < 0 is the end of the log, whose size is
// given. More tells that the part has lines before them. Of a part that is long
// the end alone is read. Lines are escaped once more: anybody may have put
// another file there.
func Tail(log io.ReaderAt, size, from, to int64, n int) (lines []string, more bool, err error) {
	if to < 0 || to > size {
		to = size
	}
	from = min(max(from, 0), to)
	begin := max(from, to-maxTail)
	part := make([]byte, to-begin)
	got, err := log.ReadAt(part, begin)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, false, err
	}
	part, more = bytes.TrimSuffix(part[:got], []byte("\n")), begin > from
	if len(part) == 0 {
		return nil, more, nil
	}
	whole := bytes.Split(part, []byte("\n"))
	if more && len(whole) > 1 {
		whole = whole[1:] // the end of one that begins before
	}
	if len(whole) > n {
		whole, more = whole[len(whole)-n:], true
	}
	for _, line := range whole {
		lines = append(lines, string(printable.AppendLine(nil, string(line))))
	}
	return lines, more, nil
}

// maxSaid is how much of an error is looked for, in bytes: lines of it may have
// been cut.
const maxSaid = 60

// UntilFailure are the lines of a log before the one by which the program says that
// a step has failed, at which point it is "" when nobody knows: that it goes back,
// or the error that the run ended with. What looks like it may have been printed
// before: the last one counts.
func UntilFailure(lines []string, point, err string) []string {
	said := []string{fmt.Sprintf("warning: step %q has failed", point)}
	if err != "" {
		begin := printable.Line(err)
		said = append(said, "error: "+begin[:min(len(begin), maxSaid)])
	}
	for i, line := range slices.Backward(lines) {
		text := Message(line)
		if slices.ContainsFunc(said, func(begin string) bool { return strings.HasPrefix(text, begin) }) {
			return lines[:i]
		}
	}
	return lines
}

// Message is a line of a log without its time, which older programs wrote in
// another way.
func Message(line string) string {
	stamp := regexp.MustCompile(`^\d{4}[-/]\d\d[-/]\d\d[ T]\d\d:\d\d:\d\d(Z|[-+]\d\d:\d\d)? `)
	return line[len(stamp.FindString(line)):]
}
