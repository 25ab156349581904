package attack

import (
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// loot is what the stranger wants to be deployed.
	loot = "rootsh"
	// tempPrefix begins the names of staging directories.
	tempPrefix = ".stretcher-"
)

// attacker is the stranger's process.
type attacker struct {
	dest, victim string
	late         bool     // he strikes once, at a moment that he does not choose
	dirs         []string // where temporary directories may be
	over         chan struct{}
	moves        int // what he has put in the place of something else
	tries        int // what he has seen and could not move
}

// attack is what that process does. It says when it has begun, goes on until
// its standard input ends, and prints its moves and tries.
func attack(kind string, args []string) {
	a := &attacker{dest: args[0], victim: args[1], late: args[2] == "late", dirs: args[3:], over: make(chan struct{})}
	strike := map[string]func(){"temp": a.swapTemp, "dest": a.swapDest, "prune": a.swapInside,
		"forge": a.forge}[kind]
	switch kind {
	case "temp":
		strike() // at what is there already
	case "prune":
		a.moveIn()
	}
	fmt.Print("!")
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(a.over)
	}()
	if a.late {
		time.Sleep(rand.N(60 * time.Millisecond))
		strike()
		<-a.over
	}
	for !a.isOver() {
		strike()
	}
	a.restore()
	fmt.Println(a.moves, a.tries)
}

func (a *attacker) isOver() bool {
	select {
	case <-a.over:
		return true
	default:
		return false
	}
}

// swapTemp puts a directory of his own in the place of each temporary one. Its
// tree is his, or a symlink.
func (a *attacker) swapTemp() {
	for _, dir := range a.dirs {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), tempPrefix) && !strings.HasSuffix(e.Name(), ".x") && !isHis(e) {
				a.takePlace(filepath.Join(dir, e.Name()))
			}
		}
	}
	time.Sleep(400 * time.Microsecond)
}

// isHis tells whether the stranger has made it, or it is gone.
func isHis(e fs.DirEntry) bool {
	info, err := e.Info()
	return err != nil || info.Sys().(*syscall.Stat_t).Uid == stranger
}

// takePlace puts a directory in the place of another.
func (a *attacker) takePlace(name string) {
	err := os.Rename(name, name+".x")
	if err == nil {
		err = os.Mkdir(name, 0o755)
	}
	if err != nil {
		a.tries++
		return
	}
	a.moves++
	tree := filepath.Join(name, "tree")
	if rand.N(2) == 0 {
		_ = os.Symlink(a.victim, tree)
		return
	}
	_ = os.Mkdir(tree, 0o755)
	_ = os.WriteFile(filepath.Join(tree, loot), []byte("evil"), 0o755)
}

// away is where dest is while a symlink has its place.
func (a *attacker) away() string { return a.dest + ".away" }

// swapDest puts a symlink in the place of dest for a moment.
func (a *attacker) swapDest() {
	_ = os.Rename(a.dest, a.away())
	if os.Symlink(a.victim, a.dest) == nil {
		a.moves++
	}
	time.Sleep(rand.N(1500 * time.Microsecond))
	a.restore()
	time.Sleep(rand.N(700 * time.Microsecond))
}

// restore gives dest its name back.
func (a *attacker) restore() {
	if info, err := os.Lstat(a.dest); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		_ = os.Remove(a.dest)
	}
	_ = os.Rename(a.away(), a.dest)
}

// moveIn makes a directory in the live release, whose files are his, with the
// names that the victim has. He stays in that release, whatever it is called.
func (a *attacker) moveIn() {
	err := os.Chdir(filepath.Join(a.dest, "current"))
	if err == nil {
		err = os.MkdirAll("p/etc", 0o755)
	}
	for i := 0; err == nil && i < 2000; i++ { // removal shall take a while
		err = os.WriteFile(fmt.Sprint("p/etc/", i), nil, 0o644)
	}
	for _, name := range []string{"p/etc/shadow", "p/index.html"} {
		if err == nil {
			err = os.WriteFile(name, nil, 0o644)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "the stranger:", err)
	}
}

// swapInside puts a symlink in the place of that directory for a moment. It is
// a move when the release is being removed.
func (a *attacker) swapInside() {
	_ = os.Rename("p", "q")
	err := os.Symlink(a.victim, "p")
	if cwd, _ := os.Readlink("/proc/self/cwd"); err == nil && strings.Contains(cwd, "/.prune-") {
		a.moves++
	}
	time.Sleep(rand.N(500 * time.Microsecond))
	_ = os.Remove("p")
	_ = os.Rename("q", "p")
	time.Sleep(rand.N(500 * time.Microsecond))
}
