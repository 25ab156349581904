package cli

import (
	"errors"
	"io"
	"os"
	"strings"
	"syscall"

	"stretcher/internal/disk"
	"stretcher/internal/journal/runlog"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/outlet"
	"stretcher/internal/text/redact"
)

// Log is where the log of a command goes, beside standard error.
type Log struct {
	File     string // "" = none
	Format   string
	Progress string // auto or never
	Bar      bool   // show a bar on standard error
	wait     *outlet.Patience
}

// Open opens the log on screen and, where asked for, in a file. A file that
// can't be opened is a warning: a deployment, and the watch that started it,
// must not end for it.
func (o Log) Open(screen ...io.Writer) (*runlog.Log, func()) {
	opts := runlog.Options{Writers: screen, Format: o.Format, Clean: redact.Text}
	var file *os.File
	var out io.Writer
	var err error
	if o.File != "" {
		if file, err = openLogFile(o.File); err == nil {
			out = outlet.New(file, o.wait)
			opts.Writers = append(opts.Writers, out)
		}
	}
	log := runlog.New(opts)
	if err != nil {
		log.Warn(failure.Sayf("--log-file: %v", err))
	}
	return log, func() {
		_ = log.Close()
		if file != nil {
			_ = file.Close()
			outlet.Close(out)
		}
	}
}

// openLogFile opens a file to append to it. Where others can write it may lead
// elsewhere, or be a FIFO that nobody reads: that is refused. What root has
// made below /dev is no file, and meant: /dev/stderr.
func openLogFile(name string) (*os.File, error) {
	f, err := disk.OpenRegular(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if errors.Is(err, disk.ErrIrregular) && strings.HasPrefix(name, "/dev/") {
		return os.OpenFile(name, os.O_APPEND|os.O_WRONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	}
	return f, err
}
