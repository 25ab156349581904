package cli

import (
	"net/url"
	"path/filepath"
	"strings"

	"stretcher/internal/text/failure"
)

// fileURL makes a URL of a file's name; a URL stays as it is. "-" is standard
// input.
func fileURL(arg string) (string, error) {
	if arg == "-" {
		return "file:///dev/stdin", nil
	}
	if strings.Contains(arg, "://") {
		return arg, nil
	}
	if arg == "" { // as of "$(something that printed nothing)": the working directory is not meant
		return "", failure.Usage("a URL or file is expected, got %q", arg)
	}
	abs, err := filepath.Abs(arg)
	if err != nil {
		return "", err
	}
	return (&url.URL{Scheme: "file", Path: abs}).String(), nil
}
