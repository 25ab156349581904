package failure

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"stretcher/internal/text/redact"
)

// TestText: paths are quoted wherever in the chain package os names them,
// and the chain stays as it was.
func TestText(t *testing.T) {
	open := &fs.PathError{Op: "open", Path: "/a b", Err: syscall.EACCES}
	rename := &os.LinkError{Op: "rename", Old: "/a b", New: "/c\n", Err: syscall.EXDEV}
	inner := &fs.PathError{Op: "walk", Path: "/x", Err: open}
	for want, err := range map[string]error{
		`open "/a b": permission denied`:                                 open,
		`rename "/a b" "/c\n": invalid cross-device link`:                rename,
		`walk "/x": open "/a b": permission denied`:                      inner,
		`sync: open "/a b": permission denied`:                           fmt.Errorf("sync: %w", open),
		`open "/a b": permission denied; open "/a b": permission denied`: fmt.Errorf("%w; %w", open, open),
		"open \"/a b\": permission denied; walk \"/x\": " + Text(open):   errors.Join(open, inner),
		`lock: open "/a b": permission denied, and "/c": no`: Hinted("wait", fmt.Errorf("lock: %w, and %q: no",
			open, "/c")),
		`refused: open "/a b": permission denied`: Refused("refused: %w", open),
		`get "http://xxxxx@h/": open "/a b": permission denied`: redact.Error(fmt.Errorf("get %q: %w",
			"http://u:secret@h/", open)),
		`stat "x": permission denied`:       &fs.PathError{Op: "statat", Path: "x", Err: syscall.EACCES},
		`stat "y": permission denied`:       &fs.PathError{Op: "stat", Path: "y", Err: syscall.EACCES},
		`rename "a" "b": permission denied`: &os.LinkError{Op: "renameat", Old: "a", New: "b", Err: syscall.EACCES},
		"nothing of files":                  errors.New("nothing of files"),
	} {
		if got := Text(err); got != want {
			t.Errorf("%v:\ngot  %s\nwant %s", err, got, want)
		}
		if got := Sayf("%s: %v", "x", err); got != "x: "+want {
			t.Errorf("Sayf gives %q", got)
		}
	}
	if err := Refused("x: %w", open); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("%v has lost its cause", err)
	}
}
