package wire

import (
	"strings"

	"stretcher/internal/fetch/store"
)

// EncodingOf names what the Content-Encoding of an answer says beside nothing:
// "gzip", "br, gzip". identity is nothing, and so is aws-chunked, which speaks
// of an upload.
func EncodingOf(header string) string {
	var names []string
	for name := range strings.SplitSeq(header, ",") {
		switch name = strings.ToLower(strings.TrimSpace(name)); name {
		case "", "identity", "aws-chunked":
		case "x-gzip":
			names = append(names, "gzip")
		default:
			names = append(names, store.OneLine(name))
		}
	}
	return strings.Join(names, ", ")
}
