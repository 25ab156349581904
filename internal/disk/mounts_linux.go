package disk

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Mounts is the table of mounts, read when it is first asked. It tells where a
// path lies on its file system, which may be mounted at several places, in
// whole or in part. The zero value is ready.
type Mounts struct {
	mount map[uint64]mountLine
}

// mountLine is a line of the table.
type mountLine struct {
	device string // the file system
	root   string // the directory of it that is mounted
	at     string // where
}

// overlap tells whether two ways end in one another on the same file system.
func (m *Mounts) overlap(a, b Way) bool {
	if a.mount.id == 0 || b.mount.id == 0 || a.mount.id == b.mount.id {
		return false // names tell
	}
	if m.mount == nil {
		m.read()
	}
	deviceA, pathA := m.inside(a)
	deviceB, pathB := m.inside(b)
	return deviceA != "" && deviceA == deviceB && (lies(pathA, pathB) || lies(pathB, pathA))
}

// inside is the file system that a way ends on, and its name there; "" is not
// known.
func (m *Mounts) inside(w Way) (device, path string) {
	on, ok := m.mount[w.mount.id]
	rel, err := filepath.Rel(on.at, w.Real)
	if !ok || err != nil || !filepath.IsLocal(rel) {
		return "", ""
	}
	return on.device, filepath.Join(on.root, rel)
}

// read reads the table. A server's file system may have one number for several
// of its directories, each of which is called "/".
func (m *Mounts) read() {
	m.mount = map[uint64]mountLine{}
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return
	}
	escapes := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line) // id, parent, device, root, where, options...
		if len(f) < 6 || strings.Contains(line, " - nfs") {
			continue
		}
		if id, err := strconv.ParseUint(f[0], 10, 64); err == nil {
			m.mount[id] = mountLine{f[2], escapes.Replace(f[3]), escapes.Replace(f[4])}
		}
	}
}
