package attack

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The helper is a setuid program of root's in a directory of the stranger's.
const (
	genuine = "a helper of root's"
	forged  = "evil, of that size"
)

// helperTime is the time that the archive gives the helper.
var helperTime = time.Unix(1_600_000_000, 0)

// won is what the stranger makes beside dest when a file that he has made, and
// has open, has become root's.
const won = "won"

// forge puts a file of his own in the place of the helper, with its size and
// time: with another content, or the right one, which he could change later.
func (a *attacker) forge() {
	helper := filepath.Join(a.dest, "bin/helper")
	mine := helper + ".mine"
	_ = os.Remove(mine)
	if os.WriteFile(mine, []byte(pick(forged, genuine)), 0o755) != nil || os.Chtimes(mine, helperTime, helperTime) != nil {
		return
	}
	f, err := os.OpenFile(mine, os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer f.Close()
	if os.Rename(mine, helper) == nil {
		a.moves++
	}
	time.Sleep(time.Millisecond + rand.N(10*time.Millisecond))
	if info, err := f.Stat(); err == nil && info.Sys().(*syscall.Stat_t).Uid == 0 {
		_ = os.WriteFile(filepath.Join(filepath.Dir(a.dest), won), []byte(info.Mode().String()), 0o644)
	}
}

func pick(texts ...string) string { return texts[rand.N(len(texts))] }

// packHelper makes a manifest and its archive: the helper, and other files.
func (h *host) packHelper(strategy string, version int) string {
	h.t.Helper()
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	add := func(name, text string, mode int64, uid int, second int) {
		header := tar.Header{Name: name, Mode: mode, Size: int64(len(text)), Uid: uid, Gid: uid,
			ModTime: helperTime.Add(time.Duration(second) * time.Second), Typeflag: tar.TypeReg}
		if strings.HasSuffix(name, "/") {
			header.Typeflag = tar.TypeDir
		}
		must(h.t, tw.WriteHeader(&header))
		_, err := io.WriteString(tw, text)
		must(h.t, err)
	}
	add("./", "", 0o755, stranger, 0)
	add("bin/", "", 0o755, stranger, 0)
	add("bin/helper", genuine, 0o4755, 0, 0)
	for i := range 200 {
		add(fmt.Sprint("file", i), fmt.Sprint(version%7), 0o644, stranger, version)
	}
	must(h.t, tw.Close())
	archive := filepath.Join(h.dir, fmt.Sprintf("helper-%d.tar", version))
	must(h.t, os.WriteFile(archive, b.Bytes(), 0o644))
	h.write("app.yml", fmt.Sprintf("src: file://%s\nchecksum: sha256:%x\ndest: %s\nsync_strategy: %s\n%s",
		archive, sha256.Sum256(b.Bytes()), h.dest, strategy, h.keys))
	return filepath.Join(h.dir, "app.yml")
}

// TestForged: what the stranger puts in the place of a program of root's never
// is root's, whatever he still has open.
func TestForged(t *testing.T) {
	each(t, []string{"forge"}, []string{"rsync", "native"}, func(t *testing.T, kind, strategy, place string) {
		if place != "private" {
			t.Skip("where temporary files lie plays no part")
		}
		h := newHost(t, place)
		first := h.stretcher("policy.yml", "file://"+h.packHelper(strategy, 0))
		if !first.good {
			t.Fatal(first.said)
		}
		s := h.play(kind, func(round int) func() result {
			manifest := h.packHelper(strategy, round+1)
			return func() result {
				return h.stretcher("policy.yml", "--force", "file://"+manifest)
			}
		})
		h.noForgery("")
		s.check(t, kind, false)
	})
}

// noForgery fails when a file of the stranger's has become root's.
func (h *host) noForgery(said string) {
	h.t.Helper()
	if mode, err := os.ReadFile(filepath.Join(h.home, won)); err == nil {
		h.t.Errorf("a file of the stranger's is root's, %s\n%s", mode, said)
	}
}
