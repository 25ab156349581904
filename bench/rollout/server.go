package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"
)

// server is a Consul server of one, with its data on disk.
type server struct {
	cmd  *exec.Cmd
	dir  string
	addr string
}

func startServer(ctx context.Context, bin string) (*server, error) {
	dir, err := os.MkdirTemp("", "rollout-")
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir, addr: "127.0.0.1:" + ports[0]}
	s.cmd = exec.CommandContext(ctx, bin, "agent", "-server", "-bootstrap", "-data-dir", dir, "-node", "bench",
		"-bind", "127.0.0.1", "-client", "127.0.0.1", "-http-port", ports[0], "-server-port", ports[1],
		"-serf-lan-port", ports[2], "-serf-wan-port", "-1", "-dns-port", "-1", "-grpc-port", "-1", "-log-level", "err",
		"-hcl", "connect { enabled = false }", "-hcl", "disable_update_check = true",
		"-hcl", "performance { raft_multiplier = 1 }",
		"-hcl", "limits { http_max_conns_per_client = 15000 }")
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start consul: %w", err)
	}
	for range 300 {
		if text, err := s.ask(ctx, http.MethodGet, "/v1/catalog/nodes", ""); err == nil && strings.Contains(text, "bench") {
			return s, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	s.stop()
	return nil, errors.New("consul does not begin to answer")
}

// freePorts asks for ports that nobody has.
func freePorts(n int) (ports []string, _ error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			return nil, err
		}
		ports = append(ports, port)
	}
	return ports, nil
}

func (s *server) stop() {
	_ = s.cmd.Process.Kill() // it has ended, or it ends
	_ = s.cmd.Wait()
	_ = os.RemoveAll(s.dir) // a directory below the temporary one
}

// register makes a host known.
func (s *server) register(ctx context.Context, i int) error {
	_, err := s.ask(ctx, http.MethodPut, "/v1/catalog/register", fmt.Sprintf(
		`{"Node": %q, "Address": "127.0.0.1", "NodeMeta": {"rack": "r%d"}, "Service": {"Service": "web"}}`, node(i), i%10))
	return err
}

func node(i int) string { return fmt.Sprintf("web-%05d", i) }

func (s *server) ask(ctx context.Context, method, path, body string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+s.addr+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	resp, err := (&http.Client{Timeout: time.Minute}).Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s", method, path, resp.Status)
	}
	return string(text), err
}
