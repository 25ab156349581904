package delta

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stretcher/internal/archive/pack"
	"stretcher/internal/testparts"
)

// kind is a way to deploy, of which ranges must make no difference.
type kind struct {
	name, strategy string
	more           string   // of the manifest
	args           []string // of the program
	says           []string // what the log says
}

// TestKinds deploys a release to where another one is, by ranges: with the
// strategy that replaces dest as a whole, where hooks want a whole tree, and where
// commands run as another user, who gets a tree of his own.
func TestKinds(t *testing.T) {
	older, newer := versions(t)
	dir := t.TempDir()
	older.write(t, dir+"/older")
	newer.write(t, dir+"/newer")
	first, second := packed(t, dir+"/older", pack.Gzip), packed(t, dir+"/newer", pack.Gzip)
	count := `find "$STRETCHER_STAGING" -type f | wc -l | xargs echo staged:`
	whole := "hooks:\n  post_extract: [{run: '" + count + "'}]\n"
	policy := dir + "/policy.yml"
	check(t, os.WriteFile(policy, []byte("run_as: nobody\n"), 0o600))
	for _, k := range []kind{
		{"mv", "mv", "commands:\n  pre: ['mv \"$STRETCHER_DEST\" \"$STRETCHER_DEST.old\"']\n", nil, nil},
		{"hooks and native", "native", whole, nil, []string{"staged: 63"}},
		{"hooks and releases", "releases", whole, nil, []string{"staged: 63"}},
		{"another user", "native", whole + "commands:\n  pre: ['id -un']\n", []string{"--config", policy},
			[]string{" nobody\n", "staged: 63"}},
	} {
		t.Run(k.name, func(t *testing.T) {
			o, h := newOrigin(t), newHost(t, k.strategy)
			if k.args != nil {
				letIn(t, h)
			}
			deployed(t, h, o.publish("older", h.dest(), k.strategy, first), dir+"/older")
			url := o.publish("newer", h.dest(), k.strategy, second)
			o.edit("/newer.yml", func(manifest string) string { return manifest + k.more })
			log := deployed(t, h, url, dir+"/newer", k.args...)
			if sent := o.bytesOf("/newer.tar"); sent == 0 || sent > int64(len(second.archive)/5) {
				t.Errorf("%d of %d bytes were fetched\n%s", sent, len(second.archive), log)
			}
			for _, said := range k.says {
				if !strings.Contains(log, said) {
					t.Errorf("the log does not say %q:\n%s", said, log)
				}
			}
		})
	}
}

// letIn lets another user come to what is unpacked for him. Only root can run
// anything as another user.
func letIn(t *testing.T, h *host) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root runs commands as another user")
	}
	for _, dir := range []string{filepath.Dir(h.dir), h.dir, h.path("tmp")} {
		check(t, os.Chmod(dir, 0o755))
	}
}

// TestFullDisk deploys by ranges to a file system that has less and less room:
// each path of the live tree is old or new, all of it where releases are kept, and
// nothing is left that a deployment with room trips over.
func TestFullDisk(t *testing.T) {
	older, newer := versions(t)
	dir := t.TempDir()
	older.write(t, dir+"/older")
	newer.write(t, dir+"/newer")
	was, is := look(t, dir+"/older"), look(t, dir+"/newer")
	first, second := packed(t, dir+"/older", pack.Gzip), packed(t, dir+"/newer", pack.Gzip)
	for _, strategy := range []string{"native", "releases"} {
		o, h := newOrigin(t), newHost(t, strategy)
		disk := h.path("disk")
		check(t, os.Mkdir(disk, 0o755))
		testparts.Mount(t, "tmpfs", disk, "tmpfs", 0, "size=16m,mode=755")
		for _, name := range []string{h.dest(), disk + "/dest"} {
			check(t, os.Mkdir(name, 0o755))
		}
		testparts.Bind(t, disk+"/dest", h.dest())
		deployed(t, h, o.publish("older", h.dest(), strategy, first), dir+"/older")
		url, full := o.publish("newer", h.dest(), strategy, second), 0
		for _, room := range []int{0, 2, 9} {
			check(t, os.RemoveAll(h.path("state/archives"))) // so that it comes by ranges each time
			fill(t, disk+"/filler", room)
			status, log := h.deploy(url)
			check(t, os.Remove(disk+"/filler"))
			if strings.Contains(log, "no space left on device") || strings.Contains(log, "not enough room") {
				full++
			}
			allowed := was
			if strategy == "native" {
				allowed += is
			}
			if status == 0 || !strings.Contains(log, " ranges of ") {
				t.Errorf("%s, %d pages free: exit status %d\n%s", strategy, room, status, log)
			} else if odd := unknown(look(t, h.live()), allowed); odd != "" {
				t.Errorf("%s, %d pages free:\n%s\n%s", strategy, room, odd, log)
			}
		}
		if full == 0 {
			t.Errorf("%s: the disk was never full", strategy)
		}
		deployed(t, h, url, dir+"/newer")
	}
}

// fill makes a file that leaves so many pages of a file system free.
func fill(t *testing.T, name string, pages int) {
	t.Helper()
	f, err := os.Create(name)
	check(t, err)
	page := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(page)
	}
	info, err := f.Stat()
	check(t, err)
	check(t, f.Truncate(max(0, info.Size()-int64(pages*len(page)))))
	check(t, f.Close())
}

// unknown are the lines of a tree, but for the one of its root, that another text
// does not have.
func unknown(tree, text string) (odd string) {
	for line := range strings.Lines(tree) {
		if !strings.HasPrefix(line, `"."`) && !strings.Contains(text, line) {
			odd += fmt.Sprintln("neither old nor new:", line)
		}
	}
	return odd
}
