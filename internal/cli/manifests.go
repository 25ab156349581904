package cli

import (
	"net/url"
	"path/filepath"
	"strings"
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
	abs, err := filepath.Abs(arg)
	if err != nil {
		return "", err
	}
	return (&url.URL{Scheme: "file", Path: abs}).String(), nil
}
