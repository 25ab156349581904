package runlog

import "bytes"

// maxLine is where a line without an end is cut, in bytes.
const maxLine = 32 << 10

// LineWriter cuts what is written to it into lines. It is not safe for
// concurrent use.
type LineWriter struct {
	Line    func(string) // gets each line, without its LF or CRLF
	pending []byte
}

// Write never fails: it takes all of p.
func (w *LineWriter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			w.pending = append(w.pending, p...)
			break
		}
		w.emit(p[:i])
		p = p[i+1:]
	}
	for len(w.pending) >= maxLine {
		rest := w.pending[maxLine:]
		w.Line(string(w.pending[:maxLine]))
		w.pending = append([]byte(nil), rest...)
	}
	return n, nil
}

// emit logs pending followed by end as one line, cut when it is too long.
func (w *LineWriter) emit(end []byte) {
	line := append(w.pending, end...)
	w.pending = w.pending[:0]
	for len(line) > maxLine {
		w.Line(string(line[:maxLine]))
		line = line[maxLine:]
	}
	w.Line(string(bytes.TrimSuffix(line, []byte("\r"))))
}

// Close logs what has no line end yet.
func (w *LineWriter) Close() error {
	if len(w.pending) > 0 {
		w.emit(nil)
	}
	return nil
}
