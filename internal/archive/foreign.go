package archive

import (
	"bytes"
	"slices"

	"stretcher/internal/text/failure"
)

// foreign is a format that is no tar archive, and what to do about it.
type foreign struct {
	name, hint string
	magics     []string
}

const (
	repack   = "unpack it, and pack the tree by tar -czf"
	recoded  = "unpack it with its own program, and compress the tar archive by gzip, xz or zstd"
	notThere = "see with curl what the URL answers; perhaps it wants a login"
)

// foreignFormats are told by how their files begin.
func foreignFormats() []foreign {
	return []foreign{
		{"a zip file", repack, []string{"PK\x03\x04", "PK\x05\x06", "PK\x07\x08"}},
		{"a 7z file", repack, []string{"7z\xbc\xaf\x27\x1c"}},
		{"a RAR file", repack, []string{"Rar!\x1a\x07"}},
		{"a Debian package", "extract it by dpkg-deb -x, and pack the tree by tar -czf", []string{"!<arch>\ndebian-binary"}},
		{"an ar archive", repack, []string{"!<arch>\n"}},
		{"an RPM package", "extract it by rpm2cpio, and pack the tree by tar -czf", []string{"\xed\xab\xee\xdb"}},
		{"a cpio archive", repack, []string{"070701", "070702", "070707", "\xc7\x71", "\x71\xc7"}},
		{"a squashfs image", repack, []string{"hsqs"}},
		{"lzip data", recoded, []string{"LZIP"}},
		{"lzop data", recoded, []string{"\x89LZO\x00\r\n\x1a\n"}},
		{"lz4 data", recoded, []string{"\x04\x22\x4d\x18", "\x02\x21\x4c\x18"}},
		{"compress data (.Z)", recoded, []string{"\x1f\x9d", "\x1f\xa0"}},
		{"pack data (.z)", recoded, []string{"\x1f\x1e"}},
		{"lzma data", recoded, []string{"\x5d\x00\x00"}},
		{"a Git LFS pointer", "publish the file that it stands for: git lfs pull", []string{"version https://git-lfs"}},
		{"a PDF file", "", []string{"%PDF-"}},
		{"an ELF program", "pack it: tar -czf", []string{"\x7fELF"}},
	}
}

// looksLike names what begins with head and is no tar archive; "" if unknown.
// Compression within compression is foreign, too: GNU tar undoes one.
func looksLike(head []byte, packed bool) (name, hint string) {
	for _, f := range foreignFormats() {
		if slices.ContainsFunc(f.magics, func(m string) bool { return bytes.HasPrefix(head, []byte(m)) }) {
			return f.name, f.hint
		}
	}
	if inner := sniff(head); packed && inner != "tar" {
		return inner + " data, compressed twice", "compress the tar archive once"
	}
	text := bytes.ToLower(bytes.TrimLeft(head, "\ufeff \t\r\n"))
	switch {
	case bytes.HasPrefix(text, []byte("<!doctype html")), bytes.HasPrefix(text, []byte("<html")):
		return "an HTML page", notThere
	case bytes.HasPrefix(text, []byte("<")):
		return "an XML document", notThere
	case bytes.HasPrefix(text, []byte("{")), bytes.HasPrefix(text, []byte("[")):
		return "a JSON document", notThere
	case bytes.HasPrefix(text, []byte("#!")):
		return "a script", "pack it: tar -czf"
	}
	return "", ""
}

// notTar is the error for an input whose first entry can't be read.
func notTar(head []byte, packed bool, cause error) error {
	name, hint := looksLike(head, packed)
	if name == "" {
		return malformed("not a tar archive: %w", cause)
	}
	return hinted(hint, malformed("not a tar archive: it looks like %s", name))
}

// hinted adds what the user can do.
func hinted(hint string, err error) error { return failure.Hinted(hint, err) }
