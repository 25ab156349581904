package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"stretcher/internal/disk"
	"stretcher/internal/journal/runlog"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/outlet"
	"stretcher/internal/text/progress"
	"stretcher/internal/text/redact"
)

// Log is where the log of a command goes, beside standard error.
type Log struct {
	File     string // "" = none
	Format   string // one of runlog's; "" = text
	Progress string // auto or never
	Bar      bool   // show on standard error how far a step is
	terminal progress.Terminal
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
			opts.File = out
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

// formatAuto chooses the format by where standard error leads.
const formatAuto = "auto"

// logFormats are those that can be asked for.
func logFormats() []string {
	return []string{formatAuto, runlog.FormatText, runlog.FormatJSON, runlog.FormatJournal}
}

// formatFor is the format for a log on standard error, where none has been
// asked for.
func (a *app) formatFor() string {
	if a.isJournal() {
		return runlog.FormatJournal
	}
	return runlog.FormatText
}

// logFormat is the format of a line that no log has: that of the log, as far as the
// command line could be read.
func (a *app) logFormat() string {
	asked := ""
	for _, w := range a.line.words {
		if w.flag == "log-format" {
			_, asked, _ = strings.Cut(w.text, "=")
			asked = strings.Join(append(w.value, asked), "")
		}
	}
	if c := a.line.command; asked == "" && c != nil && c.Flags().Lookup("log-format") != nil {
		asked = a.Getenv("STRETCHER_LOG_FORMAT")
	}
	if asked == formatAuto || !slices.Contains(logFormats(), asked) {
		return a.formatFor()
	}
	return asked
}

// tell writes a line that no log has, as one would have it but for the time.
// Attributes are for JSON.
func (a *app) tell(w io.Writer, level slog.Level, text string, attributes ...any) {
	begin := "stretcher: "
	switch format := a.logFormat(); {
	case format == runlog.FormatJSON:
		log := runlog.New(runlog.Options{Writers: []io.Writer{w}, Format: format, Clean: redact.Text})
		log.Log(context.Background(), level, text, attributes...)
		_ = log.Close()
		return
	case strings.HasPrefix(text, "hint: "):
		begin = ""
	case level == slog.LevelWarn:
		begin += "warning: "
	}
	if a.logFormat() == runlog.FormatJournal {
		begin = runlog.Priority(level) + begin
	}
	fmt.Fprintln(w, begin+text)
}

// isJournal tells whether standard error leads to the system's journal: it is
// what JOURNAL_STREAM names, by device and inode. See systemd.exec(5). Who has
// redirected it has inherited the variable and not the stream.
func (a *app) isJournal() bool {
	device, inode, _ := strings.Cut(a.Getenv("JOURNAL_STREAM"), ":")
	dev, noDevice := strconv.ParseUint(device, 10, 64)
	ino, noInode := strconv.ParseUint(inode, 10, 64)
	f := outlet.File(a.Stderr)
	if noDevice != nil || noInode != nil || f == nil {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && uint64(st.Dev) == dev && st.Ino == ino
}

// openLogFile opens a file to append to it. Where others can write it may lead
// elsewhere, or be a FIFO that nobody reads: that is refused. What root has
// made below /dev is no file, and meant: /dev/null.
func openLogFile(name string) (*os.File, error) {
	if fd := ownStream(name); fd >= 0 {
		return openStream(name, fd)
	}
	f, err := disk.OpenRegular(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if errors.Is(err, disk.ErrIrregular) && strings.HasPrefix(name, "/dev/") {
		return os.OpenFile(name, os.O_APPEND|os.O_WRONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	}
	return f, err
}

// ownStream returns the descriptor of this process that a name stands for; -1 =
// it is another file's.
func ownStream(name string) int {
	switch name = filepath.Clean(name); name {
	case "/dev/stdout":
		return 1
	case "/dev/stderr":
		return 2
	}
	number, below := strings.CutPrefix(name, "/dev/fd/")
	if fd, err := strconv.ParseUint(number, 10, 16); below && err == nil {
		return int(fd)
	}
	return -1
}

// openStream is a copy of what is open already. Its name leads to a pipe or a
// socket that has no name that could be opened.
func openStream(name string, fd int) (*os.File, error) {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err == nil && flags&unix.O_ACCMODE == unix.O_RDONLY {
		err = errors.New("not open for writing")
	}
	if err == nil {
		fd, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}
