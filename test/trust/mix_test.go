package trust

import (
	"fmt"
	"os"
	"strings"
)

// mixAndMatch: parts of different versions, each of them good.
func mixAndMatch() []attack {
	return []attack{
		{"an archive swapped after signing", func(h *host) {
			h.refusesArchive(file(pack("index.html", "evil")), "checksum")
			h.alarmed()
			h.runs = ""
			h.stillTakes(5)
		}},
		{"an archive swapped after signing of a hook pod", func(h *host) {
			url := h.pod(5)
			h.web.put("/app-5.tar", pack("bin/launch", "#!/bin/sh\necho evil\n"))
			h.may = []string{"/app.yml", "/app.yml.minisig", "/app-5.tar"}
			h.refuses("checksum", "hooks", "install", "--event", "before_install", "--hooks-root", h.path("srv"), url)
		}},
		{"an archive swapped after signing of a hook by name", func(h *host) {
			d := h.doc(5)
			d.more = "hooks: {x: [{run: " + h.mark("x") + "}]}\n"
			url := h.publish(d)
			h.web.put("/app-5.tar", pack("index.html", "evil"))
			h.may = []string{"/app.yml", "/app.yml.minisig", "/app-5.tar"}
			h.refuses("checksum", "hooks", "run", "x", url)
		}},
		{"the archive of the version before", func(h *host) {
			h.has(4)
			h.refusesArchive(file(pack("index.html", "version 4")), "checksum")
		}},
		{"the signature of the version before", func(h *host) {
			h.refuses(badSignature, h.publishAs(h.doc(5).String(), h.alice.sign(h.doc(4).String())))
		}},
		{"the signature of the next version", func(h *host) {
			h.refuses(badSignature, h.publishAs(h.doc(5).String(), h.alice.sign(h.doc(6).String())))
		}},
		{"the serial of one and the rest of another", func(h *host) {
			h.has(4)
			mixed := strings.Replace(h.doc(4).String(), "serial: 4", "serial: 5", 1)
			h.refuses(badSignature, h.publishAs(mixed, h.alice.sign(h.doc(5).String())))
			h.refuses(badSignature, h.publishAs(mixed, h.alice.sign(h.doc(4).String())))
		}},
		{"signatures of two versions for a threshold of two", func(h *host) {
			bob := h.withBob()
			five, four := h.doc(5).String(), h.doc(4).String()
			h.refuses(badSignature, h.publishAs(five, h.alice.sign(five)+bob.sign(four)))
			h.refuses(badSignature, h.publishAs(four, h.alice.sign(five)+bob.sign(four)))
		}},
		{"the signature of one and the comment of another", func(h *host) {
			five := h.doc(5).String()
			lines, other := parts(h.alice.sign(five)), parts(h.alice.signAs(prehashed, h.doc(4).String(), "serial 4"))
			lines[2], lines[3] = other[2], other[3]
			h.refuses(badSignature, h.publishAs(five, strings.Join(lines, "\n")+"\n"))
		}},
		{"the archive of another at the second request", func(h *host) {
			h.may = []string{"/app.yml", "/app.yml.minisig", "/app-5.tar"}
			url := h.publish(h.doc(5))
			h.web.on("/app-5.tar", turns(file(pack("index.html", "version 5")), file(pack("index.html", "evil"))))
			h.deploys(5, url)
			if n := len(h.web.asked()); n != 3 {
				h.t.Errorf("%d requests: %q", n, h.web.asked())
			}
		}},
		{"halves of two archives", func(h *host) {
			good, evil := pack("index.html", "version 5"), pack("index.html", "evil")
			h.args = append(h.args, "--retry-wait", "0.01")
			h.refusesArchive(turns(cut("tag", good, 512), tagged("tag", evil)), "")
		}},
		{"an archive of the same md5", weakChecksum("md5", 32)},
		{"an archive of the same sha1", weakChecksum("sha1", 40)},
		{"an archive of the same md5 whose name is left out", weakChecksum("", 32)},
		{"an archive of the same sha1 whose name is left out", weakChecksum("", 40)},
		{"an archive of no checksum", func(h *host) {
			d := h.doc(5)
			d.sum = ""
			h.fails(3, "checksum", h.publish(d))
		}},
		{"a kept archive that was changed", keptArchiveChanged},
	}
}

// weakChecksum is of a kind for which two archives can be found that have the
// same.
func weakChecksum(kind string, digits int) func(h *host) {
	return func(h *host) {
		d := h.doc(5)
		d.sum = strings.TrimPrefix(kind+":"+strings.Repeat("ab", digits/2), ":")
		h.refuses("checksum|md5|sha1", h.publish(d))
	}
}

// withBob makes the host want the signatures of two: alice and bob.
func (h *host) withBob() *signer {
	h.t.Helper()
	bob := newSigner("bob")
	h.write("etc/trusted.d/bob.pub", bob.pub())
	h.trust = fmt.Sprintf("{keys: %s, threshold: 2}", h.path("etc/trusted.d"))
	return bob
}

// keptArchiveChanged: what is kept for a rollback is fetched anew when it is not
// what was signed.
func keptArchiveChanged(h *host) {
	h.has(4)
	h.has(5)
	four, evil := pack("index.html", "version 4"), pack("index.html", "version 6")
	for _, name := range h.kept(func(_, text string) bool { return text == four }) {
		must(h.t, os.WriteFile(name, []byte(evil), 0o600))
	}
	got := h.run("rollback", h.dest)
	h.ended(got, 0, "")
	h.holds(4, got.said)
}
