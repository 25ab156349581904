package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"stretcher/internal/text/outlet"
)

// TestLog: what can't be opened is a warning, on the screen and in the log
// that commands read, and the log goes on.
func TestLog(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, warns := range map[string]bool{
		"": false, filepath.Join(dir, "log"): false, "/dev/null": false, "/dev/full": false,
		filepath.Join(dir, "none", "log"): true, dir: true, fifo: true,
	} {
		var screen bytes.Buffer
		log, closeLog := Log{File: name, Format: "text"}.Open(&screen)
		log.Info("a line")
		closeLog()
		text := screen.String()
		if strings.Contains(text, "warning: --log-file: open ") != warns || !strings.Contains(text, " a line\n") {
			t.Errorf("%q: said %q", name, text)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil || !strings.HasSuffix(string(text), " a line\n") {
		t.Errorf("in the file: %q, %v", text, err)
	}
}

// TestLogEnds: a watch opens a log for each run, and none leaves anything. The
// bubble fails where a goroutine is.
func TestLogEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := Log{File: "/dev/null", Format: "text", wait: outlet.NewPatience(t.Context(), time.Minute)}
		for range 3 {
			log, closeLog := o.Open()
			log.Info("a line")
			closeLog()
		}
	})
}
