package cli

import (
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"stretcher/internal/text/failure"
	"stretcher/internal/text/redact"
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

// asTyped is an error that names a file as it was typed, not by its URL. The host
// policy, which refuses, knows URLs alone.
func asTyped(arg string, err error) error {
	url, bad := fileURL(arg)
	if err == nil || bad != nil || url == arg || Status(err) == ExitRefused {
		return err
	}
	text := strings.ReplaceAll(failure.Text(err), strconv.Quote(redact.URL(url)), strconv.Quote(arg))
	return failure.Retold(text, err)
}
