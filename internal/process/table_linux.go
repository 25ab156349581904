package process

import (
	"bytes"
	"os"
	"strconv"
	"time"
)

// Entry is one line of the process table.
type Entry struct {
	PID, Parent, Group int
	Zombie             bool   // it has ended; nobody has waited for it
	tick               string // when it started, in clock ticks since the boot
	waits              *waits // those of its table
}

// waits is what a look at processes may still wait for those that begin, all
// of them together: anybody can have many that look so, and never begin.
type waits struct{ left int }

// maxWaits is how often, a millisecond each, one look at the process table
// waits.
const maxWaits = 100

// wait waits once more, and tells whether it did.
func (w *waits) wait() bool {
	if w.left == 0 {
		return false
	}
	w.left--
	time.Sleep(time.Millisecond)
	return true
}

// Table reads the process table. Processes that end meanwhile are left out.
func Table() []Entry {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil
	}
	table := make([]Entry, 0, len(names))
	all := &waits{maxWaits}
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if e, ok := lookUp(pid); ok {
			e.waits = all
			table = append(table, e)
		}
	}
	return table
}

// lookUp reads the line of one process (proc(5), stat).
func lookUp(pid int) (Entry, bool) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return Entry{}, false
	}
	// The name, in parentheses, may hold anything; after it comes field 3.
	f := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(f) < 20 {
		return Entry{}, false
	}
	e := Entry{PID: pid, Zombie: string(f[0]) == "Z" || string(f[0]) == "X", tick: string(f[19])}
	e.Parent, _ = strconv.Atoi(string(f[1]))
	e.Group, _ = strconv.Atoi(string(f[2]))
	return e, true
}

// HasVariable tells whether a process of the table began with variable
// (NAME=value, or NAME= for any value) in its environment.
func (e Entry) HasVariable(variable string) bool {
	has, _ := hasVariable(e.PID, variable, e.waits)
	return has
}

// hasVariable is HasVariable with the reason why that can't be told.
func hasVariable(pid int, variable string, w *waits) (bool, error) {
	env, err := environment("/proc/"+strconv.Itoa(pid), w)
	if err != nil {
		return false, err
	}
	end := "\x00"
	if variable[len(variable)-1] == '=' {
		end = ""
	}
	return bytes.Contains(append([]byte{0}, env...), []byte("\x00"+variable+end)), nil
}

// environment reads what the process whose directory in /proc is dir began
// with. Within execve(2) a process has left its old memory, and its new one
// holds neither arguments nor environment for a moment. Kernel threads and
// zombies have no program.
func environment(dir string, w *waits) ([]byte, error) {
	for {
		// The arguments first: they are there before the environment is.
		args, err := os.ReadFile(dir + "/cmdline")
		if err != nil {
			return nil, err
		}
		env, err := os.ReadFile(dir + "/environ")
		if err != nil || len(env) > 0 || len(args) > 0 {
			return env, err
		}
		if _, err := os.Readlink(dir + "/exe"); err != nil {
			return nil, nil
		}
		if !w.wait() {
			return nil, nil
		}
	}
}
