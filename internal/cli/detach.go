package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"stretcher/internal/disk"
	"stretcher/internal/event"
	"stretcher/internal/process"
)

// detached starts this program again with the same event, in a session of its
// own and without our output, and does not wait: a Serf agent waits for its
// handlers, and for whoever holds their output.
func (o *rootOptions) detached(ctx context.Context, urls []string, stderr io.Writer) (outcome string, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("--detach: %w", err)
	}
	stdin, env := o.handedOn(urls)
	payload, err := event.Drain(ctx, stdin, event.MaxSize+1)
	if err != nil {
		return "", fmt.Errorf("--detach: read event: %w", err)
	}
	in, err := unnamedFile(payload)
	if err != nil {
		return "", fmt.Errorf("--detach: %w", err)
	}
	defer in.Close()
	cmd := exec.Command(self, o.line.undetached()...)
	cmd.Args[0], cmd.Env = o.Args[0], env
	cmd.Stdin = in // a file: nobody has to stay and feed a pipe
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("--detach: %w", err)
	}
	outcome = fmt.Sprintf("deploying in the background, process %d", cmd.Process.Pid)
	o.tell(stderr, slog.LevelInfo, outcome, "process", cmd.Process.Pid)
	return outcome, cmd.Process.Release()
}

// handedOn is the event of the process that deploys. A URL goes by its
// standard input: everybody may read a process's arguments, and it may hold a
// password. Then standard input is no event of Consul or Serf any more, and
// must not be taken for one: it would be known by the key of that event. An
// event is that of the agent which has started this process, not the next.
func (a *app) handedOn(urls []string) (stdin io.Reader, env []string) {
	if len(urls) == 0 {
		return a.Stdin, append(slices.Clone(a.Environ), event.AgentVariable+"="+a.serfAgent())
	}
	env = slices.DeleteFunc(slices.Clone(a.Environ), func(kv string) bool {
		return strings.HasPrefix(kv, "CONSUL_INDEX=") || strings.HasPrefix(kv, "SERF_EVENT=")
	})
	return strings.NewReader(strings.Join(urls, "\n") + "\n"), env
}

// serfAgent names the Serf agent that started this process, if one did.
func (a *app) serfAgent() string {
	if agent := a.Getenv(event.AgentVariable); agent != "" || a.Getenv("SERF_EVENT") == "" {
		return agent
	}
	return process.SerfAgent()
}

// undetached are the flags of the line, with --detach off: there it wins over
// STRETCHER_DETACH.
func (l line) undetached() []string {
	args := []string{"--detach=false"}
	for _, w := range l.words {
		if !w.isArgument() && w.flag != "detach" {
			args = append(args, w.args()...)
		}
	}
	return args
}

// unnamedFile returns an open file with the data that nobody else can open.
func unnamedFile(data []byte) (*os.File, error) {
	path, err := filepath.Abs(os.TempDir())
	if err != nil {
		return nil, err
	}
	dir, err := disk.Open(path)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	f, err := disk.Unnamed(dir.Root())
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(data); err != nil {
		_ = f.Close()
		return nil, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}
