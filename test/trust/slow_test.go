package trust

import (
	"os"
	"testing"
)

// slowRetrieval: a server that answers, and never comes to an end. The run ends
// all the same, its event is not used up, and nobody has to wait for it.
func slowRetrieval() []attack {
	// at lets a path be answered in a slow way.
	at := func(path string, do func(text string) answer) func(h *host) {
		return func(h *host) {
			d := h.doc(5)
			url := h.publish(d)
			text := d.String()
			if path != "/app.yml" {
				text = h.alice.sign(text)
			}
			h.web.on(path, do(text))
			h.fails(1, "timeout|deadline|within|limit", "--timeout", "1", url)
			h.stillTakes(5)
		}
	}
	mute := func(string) answer { return silent() }
	header := func(string) answer { return slowHeader() }
	return []attack{
		{"a manifest of one byte per second", at("/app.yml", slow)},
		{"a signature of one byte per second", at("/app.yml.minisig", slow)},
		{"no manifest", at("/app.yml", mute)},
		{"no signature", at("/app.yml.minisig", mute)},
		{"a slow header of the manifest", at("/app.yml", header)},
		{"a slow header of the signature", at("/app.yml.minisig", header)},
		{"an archive of one byte per second", slowArchive(slow(pack("index.html", "version 5")))},
		{"no archive", slowArchive(silent())},
		{"a slow header of the archive", slowArchive(slowHeader())},
	}
}

// slowArchive: a later run has the lock when the slow one has given it back. The
// manifest comes in good time, on a busy machine too.
func slowArchive(do answer) func(h *host) {
	return func(h *host) {
		url := h.publish(h.doc(5))
		h.web.on("/app-5.tar", do)
		h.may, h.runs = []string{"/app.yml", "/app.yml.minisig", "/app-5.tar"}, "failure 5\n"
		h.fails(1, "timeout|deadline|within|limit", "--timeout", "5", url)
		h.stillTakes(5)
	}
}

// TestSilentServers: without --timeout a server has half a minute to say
// something. What follows for one that says little is tested without waiting, in
// internal/fetch/transfer.
func TestSilentServers(t *testing.T) {
	t.Parallel()
	if os.Getenv("CI") != "true" {
		t.Skip("it sleeps for half a minute")
	}
	t.Run("mirror", func(t *testing.T) {
		t.Parallel()
		h := newHost(t)
		h.deploys(5, h.publish(h.mirrored(silent(), file(pack("index.html", "version 5")))))
	})
	t.Run("signature", func(t *testing.T) {
		t.Parallel()
		h := newHost(t)
		url := h.publish(h.doc(5))
		h.web.on("/app.yml.minisig", silent())
		h.fails(1, "minisig.*(no data|header)", url)
		h.stillTakes(5)
	})
}
