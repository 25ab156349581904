package trust

import (
	"strings"
	"time"
)

// indefiniteFreeze: a server that goes on to serve what was good once.
func indefiniteFreeze() []attack {
	// until is a manifest that expires then.
	until := func(expires, why string) func(h *host) {
		return func(h *host) {
			d := h.doc(5)
			d.expires = expires
			h.rejects(why, h.publish(d))
		}
	}
	// with is a manifest that has expired, in a run with flags.
	with := func(flags ...string) func(h *host) {
		return func(h *host) {
			d := h.doc(5)
			d.expires = inHours(-1)
			h.refuses("expire", append(flags, h.publish(d))...)
		}
	}
	return []attack{
		{"expired an hour ago", func(h *host) {
			d := h.doc(5)
			d.expires = inHours(-1)
			h.refuses("expire", h.publish(d))
			h.alarmed()
			for _, command := range []string{"plan", "check"} {
				h.refuses("expire", command, h.publish(d))
			}
		}},
		{"expired a second ago", until(time.Now().Add(-time.Second).UTC().Format(time.RFC3339), "expire")},
		{"expired in another time zone", until(
			time.Now().Add(time.Hour).UTC().Format("2006-01-02T15:04:05")+"+02:00", "expire")},
		{"without expires", until("", "expires")},
		{"a date alone", until("2999-12-31", "expires")},
		{"without a time zone", until("2999-12-31T00:00:00", "expires")},
		{"a number", until("32503593600", "expires")},
		{"never", until("never", "expires")},
		{"null", until("~", "expires")},
		{"by a template", until(`{{ env "EXPIRES" "2000-01-01T00:00:00Z" }}`, "expire")},
		{"twice", until("2999-01-01T00:00:00Z\nexpires: 2000-01-01T00:00:00Z", "expires")},
		{"expired, with --force", with("--force")},
		{"expired, with --random-delay", with("--random-delay", "0.1")},
		{"expired while it waited for the lock", expiredAtLock},
		{"expired during the download", expiredInDownload},
	}
}

// expiredAtLock: a run that waits for another one is judged when its turn has
// come.
func expiredAtLock(h *host) {
	let := make(chan struct{})
	h.web.on("/slow.tar", held(let, file(pack("index.html", "version 4"))))
	d := h.of(h.doc(4), pack("index.html", "version 4"))
	d.src = h.web.URL + "/slow.tar"
	first := h.start(h.web.vouched("/slow.yml", d, h.alice))
	h.waitFor("/slow.tar")

	soon := time.Now().Add(3 * time.Second).Truncate(time.Second)
	next := h.doc(5)
	next.expires = soon.UTC().Format(time.RFC3339)
	second := h.start(h.publish(next))
	h.waitFor("/app.yml.minisig")
	time.Sleep(time.Until(soon) + time.Second)
	close(let)
	h.ended(first(), 0, "")
	got := second()
	h.ended(got, 4, "expire")
	h.holds(4, got.said)
	if strings.Contains(h.ran(), "5") {
		h.t.Errorf("commands ran: %q", h.ran())
	}
}

// expiredInDownload: a run that has begun in time may end, however slow its
// server is. Who could expire it would leave half of a deployment.
func expiredInDownload(h *host) {
	for wait := 4 * time.Second; wait < 5*time.Minute; wait *= 3 {
		let := make(chan struct{})
		d := h.doc(5)
		h.web.on("/app-5.tar", held(let, file(pack("index.html", "version 5"))))
		ends := time.Now().Add(wait).Truncate(time.Second)
		d.expires = ends.UTC().Format(time.RFC3339)
		ended := h.start(h.publish(d))
		if h.comesTo("/app-5.tar", ends) {
			time.Sleep(time.Until(ends) + 1500*time.Millisecond)
			close(let)
			got := ended()
			h.ended(got, 0, "")
			h.holds(5, got.said)
			return
		}
		close(let) // this machine is too busy for so short a time
		ended()
		h.forget()
	}
	h.t.Error("no download began before its manifest expired")
}
