package state

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	ownerSuffix = ".owner"
	// unwritten is how old a note without its first line must be to count as
	// one whose process was killed over writing it.
	unwritten = time.Minute
)

// Owner is a process that has no row in the history and may leave something
// when it is killed.
type Owner struct {
	What  string   `json:"what"`  // the command, for people
	PID   int      `json:"pid"`   // its process
	Start string   `json:"start"` // when that started, in the caller's form
	Dirs  []string `json:"-"`     // temporary directories
}

func (d *Dir) owner(run string) string { return d.file("running", run, ownerSuffix) }

// SetOwner begins the note of the process that is run, with a line about it.
// Each directory gets a line of its own, quoted: it keeps every byte.
func (d *Dir) SetOwner(run string, o Owner) error {
	line, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return d.appendOwner(run, string(line), os.O_CREATE|os.O_EXCL)
}

// AddOwned adds a directory to the note of a process.
func (d *Dir) AddOwned(run, dir string) error { return d.appendOwner(run, strconv.Quote(dir), 0) }

func (d *Dir) appendOwner(run, line string, flags int) error {
	f, err := os.OpenFile(d.owner(run), flags|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line + "\n")
	return errors.Join(err, f.Close())
}

// ForgetOwner removes the note of a process.
func (d *Dir) ForgetOwner(run string) error { return remove(d.owner(run)) }

// Owners returns the processes of all notes, by their runs.
func (d *Dir) Owners() map[string]Owner {
	all := map[string]Owner{}
	names, _ := filepath.Glob(filepath.Join(d.path, "running", "*"+ownerSuffix))
	for _, name := range names {
		if o, ok := readOwner(name); ok {
			all[strings.TrimSuffix(filepath.Base(name), ownerSuffix)] = o
		}
	}
	return all
}

// readOwner reads one note. Of a process that was killed before its first line
// was written, which has left nothing yet, it returns one that does not exist.
// A note that can't be read now says nothing of its process: it stays.
func readOwner(name string) (o Owner, ok bool) {
	text, err := read(name)
	if err != nil {
		return Owner{}, false
	}
	lines := strings.Split(string(text), "\n")
	lines = lines[:len(lines)-1] // what has no end was about to be written, and its directory not made
	if len(lines) == 0 || json.Unmarshal([]byte(lines[0]), &o) != nil || o.PID <= 0 {
		info, err := os.Lstat(name)
		return Owner{What: "a command", Start: "none"}, err == nil && isOld(info)
	}
	for _, line := range lines[1:] {
		if dir, err := strconv.Unquote(line); err == nil {
			o.Dirs = append(o.Dirs, dir)
		}
	}
	return o, true
}

func isOld(info fs.FileInfo) bool { return time.Since(info.ModTime()) > unwritten }
