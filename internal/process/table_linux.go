package process

import (
	"bytes"
	"os"
	"strconv"
)

// Entry is one line of the process table.
type Entry struct {
	PID, Parent, Group int
	Zombie             bool   // it has ended; nobody has waited for it
	tick               string // when it started, in clock ticks since the boot
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
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if e, ok := lookUp(pid); ok {
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

// HasVariable tells whether a process began with variable (NAME=value, or
// NAME= for any value) in its environment.
func HasVariable(pid int, variable string) bool {
	has, _ := hasVariable(pid, variable)
	return has
}

// hasVariable is HasVariable with the reason why that can't be told.
func hasVariable(pid int, variable string) (bool, error) {
	env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return false, err
	}
	end := "\x00"
	if variable[len(variable)-1] == '=' {
		end = ""
	}
	return bytes.Contains(append([]byte{0}, env...), []byte("\x00"+variable+end)), nil
}
