package crash

import (
	"bytes"
	"errors"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"stretcher/internal/testparts"
)

// tracer runs a program and sends it a signal before its nth system call that
// makes, renames or removes a name. Its children are left alone.
type tracer struct {
	n      int
	signal syscall.Signal
	pid    int
	seen   map[int]bool // the threads
	calls  int          // of that kind so far
	saw    func(call string)
}

// run returns the status that a shell would show, and whether the signal was
// sent.
func (tr *tracer) run(t *testing.T, cmd *exec.Cmd) (status int, sent bool) {
	t.Helper()
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // it is the thread that traces; it ends with the goroutine
		status, err = tr.trace(cmd)
	}()
	<-done
	if err != nil {
		t.Fatalf("trace: %v", err)
	}
	return status, tr.calls >= tr.n
}

func (tr *tracer) trace(cmd *exec.Cmd) (int, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true, Setpgid: true}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	tr.pid = cmd.Process.Pid
	tr.seen = map[int]bool{tr.pid: true}
	defer time.AfterFunc(testparts.Limit(5*time.Minute), func() { _ = unix.Kill(tr.pid, unix.SIGKILL) }).Stop()
	defer cmd.Process.Release() //nolint:errcheck // it has been waited for
	var ws unix.WaitStatus
	if _, err := unix.Wait4(tr.pid, &ws, 0, nil); err != nil {
		return 0, err
	}
	const options = unix.PTRACE_O_EXITKILL | unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE
	if err := unix.PtraceSetOptions(tr.pid, options); err != nil {
		return 0, err
	}
	for pid := tr.pid; ; {
		if err := unix.PtraceSyscall(pid, tr.pass(pid, ws)); err != nil && !errors.Is(err, unix.ESRCH) {
			return 0, err
		}
		var err error
		for {
			if pid, err = unix.Wait4(-tr.pid, &ws, unix.WALL, nil); !errors.Is(err, unix.EINTR) {
				break
			}
		}
		switch {
		case err != nil:
			return 0, err
		case pid == tr.pid && ws.Exited():
			return ws.ExitStatus(), nil
		case pid == tr.pid && ws.Signaled():
			return exitSignal + int(ws.Signal()), nil
		}
	}
}

// pass looks at why a thread has stopped, and returns the signal that it is
// to get.
func (tr *tracer) pass(pid int, ws unix.WaitStatus) int {
	if !ws.Stopped() {
		return 0
	}
	isNew := !tr.seen[pid]
	tr.seen[pid] = true
	switch sig := ws.StopSignal(); {
	case sig == unix.SIGTRAP|0x80:
		info, ok := enters(pid)
		if ok && changesNames(info) {
			if tr.calls++; tr.calls == tr.n {
				_ = unix.Kill(tr.pid, tr.signal)
			}
		}
		if ok && tr.saw != nil {
			tr.saw(named(pid, info))
		}
		return 0
	case sig == unix.SIGTRAP, isNew && sig == unix.SIGSTOP:
		return 0
	default:
		return int(sig)
	}
}

// syscallInfo is struct ptrace_syscall_info of ptrace(2) at the entry of a call.
type syscallInfo struct {
	op     uint8
	_      [3]uint8
	_      uint32
	_, _   uint64
	number uint64
	args   [6]uint64
	_      [2]uint64
}

// enters tells which call a thread is about to make.
func enters(pid int) (info syscallInfo, ok bool) {
	const getSyscallInfo, entry = 0x420e, 1
	_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, getSyscallInfo, uintptr(pid), unsafe.Sizeof(info),
		uintptr(unsafe.Pointer(&info)), 0, 0)
	return info, errno == 0 && info.op == entry
}

// changesNames tells whether a call makes, renames or removes a name.
func changesNames(info syscallInfo) bool {
	switch info.number {
	case unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_LINKAT, unix.SYS_SYMLINKAT, unix.SYS_UNLINKAT, unix.SYS_MKDIRAT:
		return true
	case unix.SYS_OPENAT:
		return info.args[2]&unix.O_CREAT != 0
	}
	return false
}

// named is "syncfs", "fsync", or "rename" and the new name; "" for other calls.
func named(pid int, info syscallInfo) string {
	switch info.number {
	case unix.SYS_SYNCFS:
		return "syncfs"
	case unix.SYS_FSYNC:
		return "fsync"
	case unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2:
		name := make([]byte, unix.PathMax)
		n, err := unix.PtracePeekData(pid, uintptr(info.args[3]), name[:64])
		for err == nil && n < len(name) && bytes.IndexByte(name[:n], 0) < 0 {
			var more int
			more, err = unix.PtracePeekData(pid, uintptr(info.args[3])+uintptr(n), name[n:n+64])
			n += more
		}
		path, _, _ := bytes.Cut(name[:n], []byte{0})
		return "rename " + filepath.Base(string(path))
	}
	return ""
}
