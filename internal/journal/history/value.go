package history

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// joinPaths keeps every byte of the paths, unlike JSON: the caller removes
// what it reads back, and must not be led to a similar name.
func joinPaths(paths []string) string {
	quoted := make([]string, len(paths))
	for i, p := range paths {
		quoted[i] = strconv.Quote(p)
	}
	return strings.Join(quoted, " ")
}

// splitPaths is the inverse of joinPaths.
func splitPaths(s string) (paths []string, err error) {
	for rest := s; rest != ""; rest = strings.TrimPrefix(rest, " ") {
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return nil, fmt.Errorf("paths %q: %w", s, err)
		}
		path, err := strconv.Unquote(quoted)
		if err != nil {
			return nil, fmt.Errorf("paths %q: %w", s, err)
		}
		paths = append(paths, path)
		rest = rest[len(quoted):]
	}
	return paths, nil
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us)
}
