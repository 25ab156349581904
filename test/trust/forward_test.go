package trust

import (
	"os"
	"strings"
)

// fastForward: who makes a host believe in a serial that is never reached keeps
// every later manifest from it.
func fastForward() []attack {
	const highest = "9223372036854775807"
	// refusedWith is a manifest with the highest serial that is refused; later
	// ones are not.
	refusedWith := func(why string, change func(h *host, d *doc)) func(h *host) {
		return func(h *host) {
			h.has(4)
			d := h.doc(5)
			d.serial = highest
			change(h, &d)
			h.refuses(why, h.publish(d))
			h.allow, h.rules = ", names: [app]", ""
			h.stillTakes(5)
		}
	}
	// odd is a serial that is none.
	odd := func(serial string) func(h *host) {
		return func(h *host) {
			h.has(4)
			d := h.doc(5)
			d.serial = serial
			h.rejects("serial", h.publish(d))
			h.stillTakes(5)
		}
	}
	return []attack{
		{"signed by a stranger", func(h *host) {
			h.has(4)
			d := h.doc(5)
			d.serial = highest
			h.refuses(badSignature, h.publishAs(d.String(), h.eve.sign(d.String())))
			h.stillTakes(5)
		}},
		{"without a signature", func(h *host) {
			h.has(4)
			d := h.doc(5)
			d.serial = highest
			h.web.put("/next.yml", d.String())
			h.may = []string{"/next.yml", "/next.yml.minisig"}
			h.refuses("not signed", h.web.URL+"/next.yml")
			h.stillTakes(5)
		}},
		{"expired", refusedWith("expire", func(_ *host, d *doc) { d.expires = inHours(-1) })},
		{"of a name that is not allowed", refusedWith("name", func(h *host, d *doc) {
			h.allow, d.name = ", names: [app]", "other"
		})},
		{"of a dest that is not allowed", refusedWith("dest", func(h *host, d *doc) { d.dest = h.path("outside/app") })},
		{"of a src that is not allowed", refusedWith("src", func(h *host, d *doc) { d.src = h.other.URL + "/app.tar" })},
		{"with commands that are not allowed", refusedWith("command", func(h *host, _ *doc) {
			h.rules = "commands: deny\n"
		})},
		{"with a checksum of no worth", refusedWith("md5", func(_ *host, d *doc) {
			d.sum = "md5:" + strings.Repeat("ab", 16)
		})},
		{"with too few signatures", func(h *host) {
			h.has(4)
			bob := newSigner("bob")
			h.write("etc/trusted.d/bob.pub", bob.pub())
			h.trust = strings.Replace(h.trust, "threshold: 1", "threshold: 2", 1)
			d := h.doc(5)
			d.serial = highest
			h.refuses(badSignature, h.publish(d))
			h.trust = strings.Replace(h.trust, "threshold: 2", "threshold: 1", 1)
			h.stillTakes(5)
		}},
		{"check and plan", func(h *host) {
			h.has(4)
			d := h.doc(5)
			d.serial = highest
			url := h.publish(d)
			h.ended(h.run("check", url), 0, "")
			h.ended(h.run("plan", url), 10, "") // there are changes
			h.stillTakes(5)
		}},
		{"a key that was lost", lostKey},
		{"a key that was lost and another", lostKeyOfTwo},
		{"zero", odd("0")},
		{"negative", odd("-1")},
		{"not whole", odd("5.5")},
		{"with an exponent", odd("1e3")},
		{"too large", odd("9223372036854775808")},
		{"infinite", odd(".inf")},
		{"text", odd("latest")},
		{"empty", odd(`""`)},
		{"a list", odd("[5]")},
		{"null", odd("~")},
		{"twice", odd("5\nserial: 6")},
		{"by a template", odd(`{{ env "SERIAL" "0" }}`)},
	}
}

// lostKey: mallory has had bob's key, and has sent a manifest with it whose
// serial is never reached. Without bob's key it is forgotten.
func lostKey(h *host) {
	bob := newSigner("bob")
	h.write("etc/trusted.d/bob.pub", bob.pub())
	h.has(4)
	d := h.doc(5)
	d.serial = "9223372036854775807"
	h.ended(h.run(h.publishAs(d.String(), bob.sign(d.String()))), 0, "")
	h.forget()
	h.refuses("serial", h.publish(h.doc(6)))
	must(h.t, os.Remove(h.path("etc/trusted.d/bob.pub")))
	h.stillTakes(6)
	h.forget()
	h.refuses("serial", h.publish(h.doc(4)))
}

// lostKeyOfTwo: what alice has vouched for as well is remembered.
func lostKeyOfTwo(h *host) {
	bob := newSigner("bob")
	h.write("etc/trusted.d/bob.pub", bob.pub())
	for _, version := range []int{8, 9} {
		text := h.doc(version).String()
		signature := bob.sign(text)
		if version == 8 {
			signature = h.alice.sign(text) + signature
		}
		h.deploys(version, h.publishAs(text, signature))
	}
	must(h.t, os.Remove(h.path("etc/trusted.d/bob.pub")))
	h.forget()
	h.refuses("serial", h.publish(h.doc(7)))
	h.stillTakes(8)
}
