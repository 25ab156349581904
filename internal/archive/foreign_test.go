package archive

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stretcher/internal/text/failure"
)

// TestForeign: what is no tar archive is called by its name, with what to do.
func TestForeign(t *testing.T) {
	for _, tc := range []struct{ name, data, looks, hint string }{
		{"zip", "PK\x03\x04\x0a", "a zip file", "tar -czf"},
		{"empty zip", "PK\x05\x06" + strings.Repeat("\x00", 18), "a zip file", "tar -czf"},
		{"7z", "7z\xbc\xaf\x27\x1c\x00\x04", "a 7z file", "tar -czf"},
		{"rar", "Rar!\x1a\x07\x01\x00", "a RAR file", "tar -czf"},
		{"deb", "!<arch>\ndebian-binary   1342943816", "a Debian package", "dpkg-deb"},
		{"ar", "!<arch>\nfoo.o/", "an ar archive", "tar -czf"},
		{"rpm", "\xed\xab\xee\xdb\x03\x00", "an RPM package", "rpm2cpio"},
		{"lz", "LZIP\x01\x0c", "lzip data", "gzip, xz or zstd"},
		{"lzo", "\x89LZO\x00\r\n\x1a\n\x10", "lzop data", "gzip, xz or zstd"},
		{"lz4", "\x04\x22\x4d\x18\x64", "lz4 data", "gzip, xz or zstd"},
		{"Z", "\x1f\x9d\x90", "compress data (.Z)", "gzip, xz or zstd"},
		{"lzma", "\x5d\x00\x00\x80\x00" + strings.Repeat("\xff", 8), "lzma data", "gzip, xz or zstd"},
		{"html", "\n <!DOCTYPE html><p>", "an HTML page", "curl"},
		{"html without doctype", "<HTML>" + strings.Repeat(" ", 600), "an HTML page", "curl"},
		{"xml", "<?xml version='1.0'?><Error><Code>AccessDenied", "an XML document", "curl"},
		{"json", `{"message": "Not Found"}`, "a JSON document", "curl"},
		{"lfs", "version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer", "git lfs pull"},
		{"text", "nothing of these", "", ""},
	} {
		for _, format := range []string{"tar", "gzip"} {
			t.Run(tc.name+" "+format, func(t *testing.T) {
				_, _, err := unpack(t, compress(t, format, []byte(tc.data)), Options{})
				if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "not a tar archive: ") ||
					!strings.Contains(err.Error(), tc.looks) || !strings.Contains(failure.Hint(err), tc.hint) {
					t.Errorf("%v, hint %q", err, failure.Hint(err))
				}
				if strings.Contains(err.Error(), "looks like") != (tc.looks != "") {
					t.Error(err)
				}
			})
		}
	}
}

// TestCompressedTwice: GNU tar undoes one compression.
func TestCompressedTwice(t *testing.T) {
	for _, outer := range compressions[1:] {
		for _, inner := range compressions[1:] {
			_, _, err := unpack(t, compress(t, outer, compress(t, inner, hello)), Options{})
			if err == nil || !strings.HasSuffix(err.Error(), inner+" data, compressed twice") {
				t.Errorf("%s of %s: %v", outer, inner, err)
			}
		}
	}
}

// TestNamedLikeForeign: a tar archive stays one, whatever its first name is.
func TestNamedLikeForeign(t *testing.T) {
	for _, name := range []string{"PK\x03\x04", "LZIP", "<html>", "{", "#!", "BZh9", "070701"} {
		dir, _, err := unpack(t, tarOf(ent{name: name, data: "x"}), Options{})
		check(t, err)
		if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}
