package trust

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"stretcher/internal/testparts"
)

// rollback: what was good once is not good any more.
func rollback() []attack {
	return []attack{
		{"the version before", func(h *host) {
			h.has(5)
			h.refuses("serial", h.publish(h.doc(4)))
			h.alarmed()
			h.runs = ""
			h.forget()
			h.refuses("serial", "--force", h.publish(h.doc(4)))
			h.stillTakes(5)
			h.stillTakes(6)
		}},
		{"the version before by another URL", func(h *host) {
			h.has(5)
			h.may = []string{"/old/app.yml", "/old/app.yml.minisig"}
			h.refuses("serial", h.web.vouched("/old/app.yml", h.doc(4), h.alice))
		}},
		{"the version before to another dest", func(h *host) {
			h.has(5)
			d := h.doc(4)
			d.dest = h.path("srv/other")
			h.refuses("serial", h.publish(d))
		}},
		{"the version before in plan and check", func(h *host) {
			h.has(5)
			h.refuses("serial", "plan", h.publish(h.doc(4)))
			h.refuses("serial", "check", h.publish(h.doc(4)))
		}},
		{"the version before by a hook of its own", func(h *host) {
			h.has(5)
			d := h.doc(4)
			d.more = "hooks: {x: [{run: " + h.mark("x") + "}]}\n"
			h.refuses("serial", "hooks", "run", "x", h.publish(d))
		}},
		{"an older hook pod", func(h *host) {
			install := func(version int) []string {
				return []string{"hooks", "install", "--event", "before_install", "--hooks-root", h.path("srv"), h.pod(version)}
			}
			h.ended(h.run(install(5)...), 0, "")
			h.forget()
			h.refuses("serial", install(4)...)
			h.ended(h.run(install(6)...), 0, "")
		}},
		{"commands alone", func(h *host) {
			d := h.doc(5)
			d.src, d.sum, d.dest = "", "", ""
			h.ended(h.run(h.publish(d)), 0, "")
			h.forget()
			d.serial = "4"
			h.refuses("serial", h.publish(d))
		}},
		{"commands alone by the name of an application", func(h *host) {
			h.has(5)
			d := h.doc(4)
			d.src, d.sum, d.dest = "", "", ""
			h.refuses("serial", h.publish(d))
		}},
		{"an older run that waits for the lock", olderWaits},
		{"many runs at once", manyAtOnce},
		{"the version before after a failure", func(h *host) {
			d := h.doc(5)
			d.commands = "{pre: [\"false\"]}"
			h.ended(h.run(h.publish(d)), 1, "pre")
			h.forget()
			h.refuses("serial", h.publish(h.doc(4)))
		}},
		{"without a history", func(h *host) {
			h.has(5)
			for _, name := range []string{"history.db", "history.db-wal", "history.db-shm"} {
				_ = os.Remove(h.path("state/" + name))
			}
			h.refuses("serial", h.publish(h.doc(4)))
		}},
		{"an older event after a newer one", func(h *host) {
			h.has(5)
			older := h.web.vouched("/old.yml", h.doc(4), h.alice)
			newer := h.publish(h.doc(5))
			h.env = append(h.env, "CONSUL_INDEX=1")
			h.stdin = fmt.Sprintf(`[{"ID": "e1", "Payload": %q}, {"ID": "e2", "Payload": %q}]`,
				encode(newer), encode(older))
			h.may = []string{"/old.yml", "/old.yml.minisig", "/app.yml", "/app.yml.minisig"}
			got := h.run("--strict-exit")
			h.ended(got, 4, "serial")
			h.holds(5, got.said)
			if strings.Contains(h.ran(), "4") {
				h.t.Errorf("commands ran: %q", h.ran())
			}
		}},
	}
}

// rollbackOfSerials: what the host knows of its serials is lost or spoiled.
func rollbackOfSerials() []attack {
	return []attack{
		{"a serial that was damaged", spoiledSerial(func(name string) error {
			return os.WriteFile(name, []byte("{"), 0o600)
		})},
		{"a serial that was emptied", spoiledSerial(func(name string) error { return os.Truncate(name, 0) })},
		{"a serial of zeros", spoiledSerial(func(name string) error { return os.WriteFile(name, make([]byte, 100), 0o600) })},
		{"a serial that is a directory", spoiledSerial(func(name string) error {
			_ = os.Remove(name)
			return os.Mkdir(name, 0o700)
		})},
		{"a serial that is a dangling symlink", spoiledSerial(func(name string) error {
			_ = os.Remove(name)
			return os.Symlink("nowhere", name)
		})},
		{"a serial that is a FIFO", spoiledSerial(func(name string) error {
			_ = os.Remove(name)
			return syscall.Mkfifo(name, 0o600)
		})},
		{"a serial of another name", spoiledSerial(func(name string) error {
			text, _ := os.ReadFile(name)
			return os.WriteFile(name, []byte(strings.ReplaceAll(string(text), `"app"`, `"other"`)), 0o600)
		})},
		{"no state directory", func(h *host) {
			h.write("outside/file", "")
			h.args = append(h.args, "--state-dir", h.path("outside/file/state"))
			h.may = []string{}
			h.refuses("state", h.publish(h.doc(5)))
		}},
		{"a state directory that others may write", func(h *host) {
			must(h.t, os.MkdirAll(h.path("state"), 0o700))
			must(h.t, os.Chmod(h.path("state"), 0o777))
			h.may = []string{}
			h.refuses("state", h.publish(h.doc(5)))
		}},
		{"serials that others may write", func(h *host) {
			h.has(5)
			must(h.t, os.Chmod(h.path("state/serials"), 0o777))
			h.refuses("serial.*may be written", h.publish(h.doc(6)))
		}},
		{"the version before with --if-changed", func(h *host) {
			h.has(5)
			h.refuses("serial", "--if-changed", h.publish(h.doc(5).is(4)))
		}},
		{"a file where serials are to be", func(h *host) {
			h.write("state/serials", "")
			must(h.t, os.Chmod(h.path("state"), 0o700))
			h.refuses("serial", h.publish(h.doc(5)))
		}},
	}
}

// pod publishes a version of a hook pod.
func (h *host) pod(version int) (url string) {
	d := h.doc(version)
	d = h.of(d, pack("bin/launch", fmt.Sprintf("#!/bin/sh\necho %d\n", version)))
	d.dest, d.commands = "", ""
	text := strings.Replace(d.String(), "sync_strategy: native\n", "", 1)
	return h.publishAs(text, h.alice.sign(text))
}

// spoiledSerial: a serial that is not known is not taken for zero.
func spoiledSerial(spoil func(name string) error) func(h *host) {
	return func(h *host) {
		h.has(5)
		list, err := os.ReadDir(h.path("state/serials"))
		must(h.t, err)
		if len(list) == 0 {
			h.t.Fatal("no serial was remembered")
		}
		for _, e := range list {
			must(h.t, spoil(h.path("state/serials/"+e.Name())))
		}
		h.refuses("serial", h.publish(h.doc(4)))
		h.refuses("serial", h.publish(h.doc(6)))
	}
}

// olderWaits: version 4 was read before version 5, and has its turn after it.
func olderWaits(h *host) {
	let := make(chan struct{})
	five := h.doc(5)
	h.web.on("/app-5.tar", held(let, file(pack("index.html", "version 5"))))
	first := h.start(h.publish(five))
	h.waitFor("/app-5.tar")

	second := h.start(h.web.vouched("/four.yml", h.doc(4), h.alice))
	h.waitFor("/four.yml.minisig")
	close(let)
	h.ended(first(), 0, "")
	got := second()
	h.ended(got, 4, "serial")
	h.holds(5, got.said)
	if strings.Contains(h.ran(), "4") {
		h.t.Errorf("commands ran: %q", h.ran())
	}
}

// manyAtOnce: whoever comes first, no version comes after a newer one.
func manyAtOnce(h *host) {
	var all []func() outcome
	for _, version := range []int{3, 1, 5, 2, 6, 4} {
		url := h.web.vouched(fmt.Sprintf("/%d.yml", version), h.doc(version), h.alice)
		all = append(all, h.start(url))
	}
	for _, ended := range all {
		if got := ended(); got.exit != 0 {
			h.ended(got, 4, "serial")
		}
	}
	h.holds(6, "")
	last := 0
	for line := range strings.Lines(h.ran()) {
		var point string
		version := 0
		_, err := fmt.Sscan(line, &point, &version)
		must(h.t, err)
		if version < last {
			h.t.Errorf("version %d came after %d: %q", version, last, h.ran())
		}
		last = version
	}
}

// waitFor waits for a request.
func (h *host) waitFor(name string) {
	h.t.Helper()
	testparts.WaitFor(h.t, "a request for "+name, func() bool { return h.wasAsked(name) })
}

// comesTo waits for a request until a point in time.
func (h *host) comesTo(name string, until time.Time) bool {
	for !h.wasAsked(name) && time.Now().Before(until) {
		time.Sleep(10 * time.Millisecond)
	}
	return h.wasAsked(name)
}

func (h *host) wasAsked(name string) bool { return slices.Contains(h.web.asked(), name) }

// rollbackOfKept: the way back is a way to an old version that is wanted. It
// leads to what was signed, and nowhere else.
func rollbackOfKept() []attack {
	// back is a host that has deployed versions 4 and 5; something is done to
	// what it has kept of version 4.
	back := func(why string, spoil func(h *host)) func(h *host) {
		return func(h *host) {
			h.has(4)
			h.has(5)
			spoil(h)
			h.may = []string{}
			h.refuses(why, "rollback", h.dest)
		}
	}
	return []attack{
		{"a kept manifest with another command", back("signed by 0", func(h *host) {
			h.spoilKept("manifest", func(text string) string { return strings.ReplaceAll(text, "post 4", "post evil") })
		})},
		{"a kept manifest with another archive", back("signed by 0", func(h *host) {
			h.spoilKept("manifest", func(text string) string { return strings.ReplaceAll(text, "sha256:", "sha256:00") })
		})},
		{"a kept signature of another", back("signed by 0", func(h *host) {
			h.spoilSignature(h.eve.sign(h.doc(4).String()))
		})},
		{"a kept signature that is empty", back("was not signed", func(h *host) {
			h.spoilSignature("")
		})},
		{"no kept signature", back("was not signed", func(h *host) {
			h.spoilKept("meta.json", func(text string) string {
				return strings.Replace(text, `"signature"`, `"other"`, 1)
			})
		})},
		{"no kept manifest", func(h *host) {
			h.has(4)
			h.has(5)
			h.removeKept("manifest")
			h.may = []string{}
			h.fails(1, "manifest", "rollback", h.dest)
		}},
		{"a key that is not trusted any more", back("signed by 0", func(h *host) {
			bob := newSigner("bob")
			h.write("etc/trusted.d/alice.pub", bob.pub())
		})},
		{"a threshold that was raised", back("signed by 1", func(h *host) { h.withBob() })},
		{"what was kept before signatures were wanted", func(h *host) {
			trust := h.trust
			h.trust = ""
			h.has(4)
			h.has(5)
			h.trust = trust
			h.may = []string{}
			h.refuses("was not signed", "rollback", h.dest)
		}},
		{"a release before signatures were wanted", func(h *host) { h.unsignedRelease() }},
		{"a release that nobody knows", func(h *host) { h.unknownRelease() }},
		{"a policy that forbids it", back("rollback", func(h *host) { h.rules = "rollback: deny\n" })},
		{"a name that is not allowed any more", back("name", func(h *host) { h.allow = ", names: [other]" })},
		{"commands that are not allowed any more", back("command", func(h *host) { h.rules = "commands: deny\n" })},
		{"to a run that nobody knows", func(h *host) {
			h.has(4)
			h.has(5)
			h.may = []string{}
			h.fails(1, "nothing of run", "rollback", h.dest, "--to", "00000000-0000-7000-8000-000000000000")
		}},
	}
}

// kept are the files in the cache whose base name or content is that.
func (h *host) kept(is func(name, text string) bool) (names []string) {
	h.t.Helper()
	err := filepath.WalkDir(h.path("state/cache"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if is(d.Name(), string(text)) {
			names = append(names, path)
		}
		return err
	})
	must(h.t, err)
	if len(names) == 0 {
		h.t.Fatal("nothing of the kind is kept")
	}
	return names
}

// spoilKept changes files of the cache: those of all versions.
func (h *host) spoilKept(name string, change func(text string) string) {
	h.t.Helper()
	for _, path := range h.kept(func(n, _ string) bool { return n == name }) {
		text, err := os.ReadFile(path)
		must(h.t, err)
		must(h.t, os.WriteFile(path, []byte(change(string(text))), 0o600))
	}
}

// spoilSignature puts another signature into the cache.
func (h *host) spoilSignature(signature string) {
	h.t.Helper()
	h.spoilKept("meta.json", func(text string) string {
		is := fmt.Sprintf(`"signature":%q`, encode(signature))
		return regexp.MustCompile(`"signature": *"[^"]*"`).ReplaceAllString(text, is)
	})
}

func (h *host) removeKept(name string) {
	h.t.Helper()
	for _, path := range h.kept(func(n, _ string) bool { return n == name }) {
		must(h.t, os.Remove(path))
	}
}

// hasRelease deploys a version as a release.
func (h *host) hasRelease(version int) {
	h.t.Helper()
	d := h.doc(version)
	text := strings.Replace(d.String(), "sync_strategy: native", "sync_strategy: releases", 1)
	h.ended(h.run(h.publishAs(text, h.alice.sign(text))), 0, "")
	h.forget()
}

// unsignedRelease: releases that were deployed without signatures.
func (h *host) unsignedRelease() {
	must(h.t, os.RemoveAll(h.dest))
	trust := h.trust
	h.trust = ""
	h.hasRelease(4)
	h.hasRelease(5)
	h.trust, h.may = trust, []string{}
	h.refuses("was not signed", "rollback", h.dest)
}

// unknownRelease: a directory among the releases, of a run that is not known.
func (h *host) unknownRelease() {
	must(h.t, os.RemoveAll(h.dest))
	h.hasRelease(4)
	h.hasRelease(5)
	var row struct{ ID string }
	got := h.run("history", "--json", "--limit", "1")
	must(h.t, json.Unmarshal([]byte(got.said), &row))
	must(h.t, os.RemoveAll(h.path("state/cache")))
	h.may = []string{}
	h.refuses("kept|known|sign", "rollback", h.dest)
}
