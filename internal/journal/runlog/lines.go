package runlog

import "bytes"

const (
	// maxLine is where a line without an end is cut, in bytes.
	maxLine = 32 << 10
	// overlap is what is kept back at least when a line is cut before its end
	// is there: a secret of up to this length is seen as a whole.
	overlap = 4 << 10
)

// LineWriter cuts what is written to it into lines. It is not safe for
// concurrent use.
type LineWriter struct {
	Line    func(string)        // gets each line, without its LF or CRLF
	Mask    func(string) string // applied to a line before it is cut; may be nil
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
	for len(w.pending) >= maxLine+overlap {
		w.cut(overlap)
	}
	return n, nil
}

// emit logs pending followed by end as one line, cut when it is too long.
func (w *LineWriter) emit(end []byte) {
	w.pending = append(w.pending, end...)
	for len(w.pending) > maxLine {
		w.cut(0)
	}
	w.Line(string(bytes.TrimSuffix(w.pending, []byte("\r"))))
	w.pending = w.pending[:0]
}

// cut logs the first part of a line that is too long. What is pending is
// masked first, as a whole, so that no secret is logged in two halves. The last
// bytes are kept back: the beginning of a secret may be there.
func (w *LineWriter) cut(keep int) {
	if w.Mask != nil {
		w.pending = []byte(w.Mask(string(w.pending)))
	}
	n := min(maxLine, len(w.pending)-keep)
	if n <= 0 {
		return // masked, it is short
	}
	w.Line(string(w.pending[:n]))
	w.pending = append([]byte(nil), w.pending[n:]...)
}

// Close logs what has no line end yet.
func (w *LineWriter) Close() error {
	if len(w.pending) > 0 {
		w.emit(nil)
	}
	return nil
}
