package printable

import (
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"
)

// EncodeJSON writes v to w as JSON on one line. Odd runes are escaped as JSON
// has it, so that a program reads what was there and a terminal obeys nothing.
func EncodeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(JSON(w))
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// JSON returns a writer to w for JSON that others have encoded. Each write
// must end where a rune does.
func JSON(w io.Writer) io.Writer { return jsonWriter{w} }

type jsonWriter struct{ w io.Writer }

// Write writes p with odd runes escaped. They can only stand in strings there,
// apart from the white space between values.
func (j jsonWriter) Write(p []byte) (int, error) {
	if _, err := j.w.Write(escapeJSON(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

func escapeJSON(p []byte) []byte {
	var out []byte // nil while p is all right
	done := 0
	for i := 0; i < len(p); {
		r, n := rune(p[i]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRune(p[i:])
		}
		if space := r == '\n' || r == '\t' || r == '\r'; odd(r) && !space && (r != utf8.RuneError || n > 1) {
			out = append(out, p[done:i]...)
			if r > 0xffff { // two surrogates
				out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff)
			} else {
				out = fmt.Appendf(out, `\u%04x`, r)
			}
			done = i + n
		}
		i += n
	}
	if out == nil {
		return p
	}
	return append(out, p[done:]...)
}
