package process

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Start names the moment at which the process pid started, in a form that no
// other process with that number ever has: the boot and the clock tick in it
// (proc(5), field 22 of stat). "" when there is no such process.
func Start(pid int) string {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	// The name, in parentheses, may hold anything; after it comes field 3.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 || string(fields[0]) == "Z" {
		return ""
	}
	return Boot() + ":" + string(fields[19])
}

// Boot names the time since the machine was started.
func Boot() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

// Alive reports whether pid is the process that Start described, and has not
// ended.
func Alive(pid int, start string) bool {
	if start == "" {
		return running(pid)
	}
	return Start(pid) == start
}

func running(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// KillMarked ends every process that has variable (NAME=value) in its
// environment and a variable whose name is name, in whatever group it is. It
// returns how many there were.
func KillMarked(variable, name string) int {
	environs, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return 0
	}
	killed := 0
	for _, path := range environs {
		env, err := os.ReadFile(path)
		env = append([]byte{0}, env...)
		if err != nil || !bytes.Contains(env, []byte("\x00"+variable+"\x00")) || !bytes.Contains(env, []byte("\x00"+name+"=")) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err == nil && pid != os.Getpid() && syscall.Kill(pid, syscall.SIGKILL) == nil {
			killed++
		}
	}
	return killed
}

// KillGroup ends the process group pgid if one of its processes has variable
// (NAME=value) in its environment: the number may belong to another group by
// now. It reports whether it did.
func KillGroup(pgid int, variable string) bool {
	procs, err := os.ReadDir("/proc")
	if err != nil || pgid <= 1 {
		return false
	}
	for _, p := range procs {
		pid, err := strconv.Atoi(p.Name())
		if err != nil {
			continue
		}
		if group, err := syscall.Getpgid(pid); err != nil || group != pgid {
			continue
		}
		env, err := os.ReadFile("/proc/" + p.Name() + "/environ")
		if err == nil && bytes.Contains(append([]byte{0}, env...), []byte("\x00"+variable+"\x00")) {
			return syscall.Kill(-pgid, syscall.SIGKILL) == nil
		}
	}
	return false
}
