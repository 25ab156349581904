package trust

import (
	"net/http"
	"strings"
)

// maliciousMirrors: the first of two mirrors lies, and the second does not. The
// right archive is deployed, of the right one.
func maliciousMirrors() []attack {
	good := pack("index.html", "version 5")
	evil := pack("index.html", "evil")
	// first is what the first mirror does.
	first := func(do answer, args ...string) func(h *host) {
		return func(h *host) {
			h.rules = "limits: {archive: 1MiB}\n"
			url := h.publish(h.mirrored(do, file(good)))
			h.deploys(5, append(args, url)...)
			h.askedFor("")
		}
	}
	return []attack{
		{"another archive", first(file(evil))},
		{"another archive of the same size", first(file(strings.Replace(good, "version 5", "version 6", 1)))},
		{"the archive and more", first(file(good + strings.Repeat("\x00", 1024)))},
		{"half of the archive", first(file(good[:len(good)/2]))},
		{"nothing", first(file(""))},
		{"an error page with status 200", first(file("<html>"))},
		{"not found", first(status(http.StatusNotFound, good))},
		{"forbidden", first(status(http.StatusForbidden, good))},
		{"a failure", first(status(http.StatusInternalServerError, good))},
		{"no content", first(status(http.StatusNoContent, ""))},
		{"a part that nobody asked for", first(partial(good))},
		{"said to be gzipped", first(encoded("gzip", good))},
		{"said to be encoded in an odd way", first(encoded("odd", good))},
		{"without an end", first(endless(good, "\x00"))},
		{"an endless header", first(endlessHeader())},
		{"said to be huge", first(tooLong(1<<40, good))},
		{"a redirect in a circle", func(h *host) {
			h.deploys(5, h.publish(h.mirrored(redirect(h.web.URL+"/mirror.tar"), file(good))))
		}},
		{"a redirect to a server that is not allowed", func(h *host) {
			h.other.put("/app.tar", good)
			got := h.run(h.publish(h.mirrored(redirect(h.other.URL+"/app.tar"), file(good))))
			h.askedFor(got.said)
			if got.exit == 0 {
				h.holds(5, got.said)
			} else {
				h.ended(got, 4, "not allowed")
			}
		}},
		{"a cut and then another archive by the same tag",
			first(turns(cut("tag", good, 512), tagged("tag", evil)), "--retry-wait", "0.01")},
		{"both lie", func(h *host) {
			url := h.publish(h.mirrored(file(evil), file(evil)))
			h.runs = "failure 5\n"
			h.refuses("checksum", url)
			h.alarmed()
		}},
		{"both have another half", func(h *host) {
			url := h.publish(h.mirrored(turns(cut("a", good, 512), status(404, "")), file(good[512:])))
			h.runs = "failure 5\n"
			h.refuses("checksum", url)
		}},
	}
}

// partial answers by a part, whatever was asked for.
func partial(text string) answer {
	return func(_ *server, w http.ResponseWriter, _ *http.Request, _ int) {
		w.Header().Set("Content-Range", "bytes 512-1023/1024")
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write([]byte(text[512:]))
	}
}

// mirrored is version 5 with two mirrors.
func (h *host) mirrored(first, second answer) doc {
	d := h.doc(5)
	h.web.on("/mirror.tar", first)
	h.web.on("/app-5.tar", second)
	h.may = []string{"/app.yml", "/app.yml.minisig", "/mirror.tar", "/app-5.tar"}
	d.src = "[" + h.web.URL + "/mirror.tar, " + h.web.URL + "/app-5.tar]"
	return d
}
