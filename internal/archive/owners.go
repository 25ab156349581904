package archive

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	// maxNames keeps an archive of invented names from filling the memory.
	maxNames = 1000
	// maxAsked bounds the names of one archive that getent(1) is asked for,
	// askTime what all of them take: behind it may be a server that is down.
	maxAsked = 200
	askTime  = 20 * time.Second
)

// database is one of those that getent(1) reads.
type database int

const (
	users database = iota
	groups
)

// String is what getent calls it.
func (d database) String() string { return [...]string{"passwd", "group"}[d] }

// owners turns names into ids, as GNU tar does: the name when this host knows
// it, else the number. /etc/passwd and /etc/group are read here; what else the
// host takes names from (LDAP, SSSD, systemd) getent knows, since this program
// is not linked with the C library that does.
type owners struct {
	known  [2]map[string]int // by database; -1 = nobody knows it
	asked  int
	spent  time.Duration
	warned bool
	warn   func(msg string)
	// ask is getent, save for tests: the id of a name, or -1.
	ask func(ctx context.Context, d database, name string) int
}

// id is that of a name, or the number where there is none.
func (o *owners) id(ctx context.Context, d database, name string, number int64) (int, error) {
	if name != "" {
		known, err := o.find(ctx, d, name)
		if err != nil || known >= 0 {
			return known, err
		}
		o.unknown(name)
	}
	if number < 0 || number >= math.MaxUint32 {
		return 0, malformed("owner id %d is out of range", number)
	}
	return int(number), nil
}

// find looks each name up once.
func (o *owners) find(ctx context.Context, d database, name string) (int, error) {
	if id, ok := o.known[d][name]; ok {
		return id, nil
	}
	id := inFile(d, name)
	if id < 0 && askable(name) && o.asked < maxAsked && o.spent < askTime {
		o.asked++
		start := time.Now()
		id = o.asking()(ctx, d, name)
		o.spent += time.Since(start)
		if err := context.Cause(ctx); err != nil {
			return 0, fmt.Errorf("extract: %w", err)
		}
	}
	if o.known[d] == nil || len(o.known[d]) >= maxNames {
		o.known[d] = make(map[string]int)
	}
	o.known[d][name] = id
	return id, nil
}

func (o *owners) asking() func(context.Context, database, string) int {
	if o.ask != nil {
		return o.ask
	}
	return askGetent
}

// unknown warns once: most archives have one owner.
func (o *owners) unknown(name string) {
	if o.warned || o.warn == nil {
		return
	}
	o.warned = true
	o.warn(fmt.Sprintf("owner %q is not known here: the archive's numbers are taken for names that are not", name))
}

// inFile reads /etc/passwd or /etc/group.
func inFile(d database, name string) int {
	var id string
	if d == users {
		u, err := user.Lookup(name)
		if err != nil {
			return -1
		}
		id = u.Uid
	} else {
		g, err := user.LookupGroup(name)
		if err != nil {
			return -1
		}
		id = g.Gid
	}
	return parseID(id)
}

func parseID(s string) int {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n >= math.MaxUint32 {
		return -1
	}
	return int(n)
}

// askable tells whether getent would take a name for one: not for an option,
// nor for a number, of which it looks up the owner.
func askable(name string) bool {
	first, _ := utf8.DecodeRuneInString(name)
	if !utf8.ValidString(name) || strings.ContainsAny(name, ":/,") || strings.ContainsRune("-+ ", first) {
		return false
	}
	digits := true
	for _, r := range name {
		if !unicode.IsGraphic(r) {
			return false
		}
		digits = digits && unicode.IsDigit(r)
	}
	return name != "" && !digits
}

// askGetent asks for one name. PATH is the caller's, and this runs as root, so
// that getent is only looked for where it belongs.
func askGetent(ctx context.Context, d database, name string) int {
	ctx, stop := context.WithTimeout(ctx, askTime/2)
	defer stop()
	for _, path := range [...]string{"/usr/bin/getent", "/bin/getent", "/run/current-system/sw/bin/getent"} {
		out := &head{}
		cmd := exec.CommandContext(ctx, path, d.String(), name)
		cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
		cmd.Dir = "/"
		cmd.Stdout = out
		cmd.WaitDelay = time.Second
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
		err := cmd.Run()
		if err == nil {
			return out.id()
		}
		if cmd.Process != nil { // it was there, and does not know the name
			return -1
		}
	}
	return -1
}

// head keeps the start of what is written: a group may have many members.
type head struct{ bytes.Buffer }

// Write takes what there is no room for, and forgets it.
func (h *head) Write(p []byte) (int, error) {
	const most = 4096
	h.Buffer.Write(p[:min(len(p), max(0, most-h.Len()))])
	return len(p), nil
}

// id is the third field of the first line.
func (h *head) id() int {
	line, _, _ := strings.Cut(h.String(), "\n")
	fields := strings.SplitN(line, ":", 4)
	if len(fields) < 4 {
		return -1
	}
	return parseID(fields[2])
}
