package trust

import (
	"fmt"
	"strings"
)

// endlessData are answers that do not end. What a run takes of one is bounded.
func endlessData() []attack {
	// endlessAt lets the answer at a path go on for ever.
	endlessAt := func(path, begin, more, why string) func(h *host) {
		return func(h *host) {
			url := h.publish(h.doc(5))
			h.web.on(path, endless(begin, more))
			h.refuses(why, url)
			h.tookAtMost(16 << 20)
			h.stillTakes(5)
		}
	}
	return []attack{
		{"manifest", endlessAt("/app.yml", "name: app\n", "#", "manifest: .*(larger|bytes)")},
		{"manifest of lines", endlessAt("/app.yml", "name: app\n", "\n", "manifest: .*(larger|bytes)")},
		{"signature", endlessAt("/app.yml.minisig", "untrusted comment: ", "x", "minisig.*65536")},
		{"signature of empty lines", endlessAt("/app.yml.minisig", "", "\n", "minisig.*65536")},
		{"good signature that goes on", func(h *host) {
			d := h.doc(5)
			url := h.publish(d)
			h.web.on("/app.yml.minisig", endless(h.alice.sign(d.String()), h.alice.sign(d.String())))
			h.refuses("minisig.*65536", url)
			h.tookAtMost(16 << 20)
		}},
		{"very many signatures", func(h *host) {
			manifest := h.doc(5).String()
			many := strings.Repeat(h.eve.called(h.alice.id).sign(manifest), (64<<10)/len(h.eve.sign(manifest)))
			h.refuses(badSignature, h.publishAs(manifest, many))
		}},
		{"a signature that is small as it is sent", func(h *host) {
			url := h.publish(h.doc(5))
			h.web.on("/app.yml.minisig", encoded("gzip", gzipped(strings.Repeat("\n", 10<<20))))
			h.refuses("minisig.*65536", url)
		}},
		{"a manifest that is small as it is sent", func(h *host) {
			url := h.publish(h.doc(5))
			h.web.on("/app.yml", encoded("gzip", gzipped(h.doc(5).String()+strings.Repeat("#", 10<<20))))
			h.refuses("manifest: .*1048576", url)
		}},
		{"header of the manifest", pumped("/app.yml", endlessHeader())},
		{"header of the signature", pumped("/app.yml.minisig", endlessHeader())},
		{"answers before the answer", pumped("/app.yml.minisig", pump("", "HTTP/1.1 103 Early Hints\r\n\r\n"))},
		{"line of the status", pumped("/app.yml.minisig", pump("HTTP/1.1 200 ", strings.Repeat("x", 1000)))},
		{"line of a chunk", pumped("/app.yml.minisig",
			pump("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", strings.Repeat("x", 1000)))},
		{"redirects in a circle", func(h *host) {
			url := h.publish(h.doc(5))
			h.web.on("/app.yml", redirect(url))
			h.fails(1, "redirects", url)
			if n := len(h.web.asked()); n > 12 {
				h.t.Errorf("%d requests", n)
			}
		}},
		{"redirects of the signature", func(h *host) {
			url := h.publish(h.doc(5))
			h.web.on("/app.yml.minisig", redirect(url+".minisig"))
			h.fails(1, "redirects", url)
			if n := len(h.web.asked()); n > 13 {
				h.t.Errorf("%d requests", n)
			}
		}},
		{"a manifest that is said to be huge", func(h *host) {
			url := h.publish(h.doc(5))
			h.web.on("/app.yml", tooLong(1<<40, "name: app\n"))
			h.refuses("manifest: .*(larger|bytes)", url)
		}},
		{"a signature that is said to be huge", func(h *host) {
			d := h.doc(5)
			url := h.publish(d)
			h.web.on("/app.yml.minisig", tooLong(1<<40, h.alice.sign(d.String())))
			h.refuses("minisig.*65536", url)
		}},
		{"deep brackets that nobody may parse", func(h *host) {
			h.refuses(badSignature, h.publishAs(strings.Repeat("[", 1<<19), h.eve.sign("")))
		}},
	}
}

// endlessArchives are archives without end, and those that are larger than they
// look.
func endlessArchives() []attack {
	return []attack{
		{"archive", func(h *host) {
			h.rules = "limits: {archive: 1MiB}\n"
			h.refusesArchive(endless(pack("index.html", "version 5"), "\x00"), "1048576")
			h.tookAtMost(64 << 20)
		}},
		{"archive that is said to be huge", func(h *host) {
			h.rules = "limits: {archive: 1MiB}\n"
			h.refusesArchive(tooLong(1<<40, pack("index.html", "version 5")), "1048576")
		}},
		{"an archive that unpacks to too much", func(h *host) {
			h.rules = "limits: {unpacked: 1MiB}\n"
			h.refusesTree(h.doc(5), gzipped(pack("index.html", strings.Repeat("x", 2<<20))), "1048576")
		}},
		{"a manifest that allows itself more", func(h *host) {
			h.rules = "limits: {unpacked: 1MiB}\n"
			d := h.doc(5)
			d.more = "limits: {unpacked: 1GiB, archive: 1GiB, files: 1000000}\n"
			h.refusesTree(d, gzipped(pack("index.html", strings.Repeat("x", 2<<20))), "1048576")
		}},
		{"an archive of too many files", func(h *host) {
			h.rules = "limits: {files: 100}\n"
			var many []string
			for i := range 200 {
				many = append(many, fmt.Sprint(i), "")
			}
			h.refusesTree(h.doc(5), pack(many...), "100")
		}},
	}
}

// pumped answers at a path by what is no body, and does not end.
func pumped(path string, do answer) func(h *host) {
	return func(h *host) {
		url := h.publish(h.doc(5))
		h.web.on(path, do)
		h.fails(1, "header", url)
		h.tookAtMost(64 << 20)
		h.stillTakes(5)
	}
}

// tookAtMost bounds what a run has taken of an endless answer. Some of it lies
// in the buffers of the system, unread.
func (h *host) tookAtMost(limit int64) {
	h.t.Helper()
	if took := h.web.took(); took > limit {
		h.t.Errorf("%d bytes of an endless answer were taken", took)
	}
}
