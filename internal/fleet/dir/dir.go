// Package dir reads what hosts have said of a rollout from files: for fleets without
// a server of their own, whose results somebody has collected.
//
// A file NODE.json holds the result of the host NODE, whatever it says its name is: who
// collects files knows whom he has asked. A file that is no result tells that its
// host has failed, for it was to say how it went. Other files are not looked at.
//
// It imports fleet, internal/disk and internal/text.
package dir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"stretcher/internal/disk"
	"stretcher/internal/fleet"
	"stretcher/internal/text/failure"
)

const (
	suffix   = ".json"
	maxHosts = 4 << 20 // bytes of a list of hosts
)

// Read reads the results of a directory.
func Read(path string) (results []fleet.Result, err error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		node, ok := strings.CutSuffix(e.Name(), suffix)
		if !ok || node == "" || strings.HasPrefix(node, ".") {
			continue
		}
		r, err := read(filepath.Join(path, e.Name()))
		if errors.Is(err, fs.ErrNotExist) { // it was there a moment ago
			continue
		}
		if err != nil {
			r = fleet.Result{Result: "failed", Error: "its result can't be read: " + failure.Text(err)}
		}
		r.Node = node
		results = append(results, r)
	}
	return results, nil
}

func read(path string) (fleet.Result, error) {
	data, err := readAtMost(path, fleet.MaxResult+len("\r\n"))
	if err != nil {
		return fleet.Result{}, err
	}
	return fleet.DecodeResult([]byte(strings.TrimSpace(string(data))))
}

// readAtMost reads one byte more than that, at most: who reads it sees that there is more.
func readAtMost(path string, limit int) ([]byte, error) {
	f, err := disk.OpenRegular(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, int64(limit)+1))
}

// Hosts reads a list of hosts: a host on each line, without the user that ssh has in
// front of it; # begins a comment.
func Hosts(path string) (hosts []string, err error) {
	data, err := readAtMost(path, maxHosts)
	if err != nil {
		return nil, err
	}
	if len(data) > maxHosts {
		return nil, fmt.Errorf("%q is larger than %d bytes", path, maxHosts)
	}
	for line := range strings.Lines(string(data)) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		_, host, ok := strings.Cut(words[0], "@")
		if !ok {
			host = words[0]
		}
		hosts = append(hosts, host)
	}
	if len(hosts) == 0 {
		return nil, failure.Malformed("%q names no host", path)
	}
	return hosts, nil
}
