package trust

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// keyCompromise: who has one key has not the threshold.
func keyCompromise() []attack {
	// of is a host that wants two signatures, and has keys of alice and bob.
	of := func(signatures func(h *host, bob *signer, m string) string) func(h *host) {
		return func(h *host) {
			bob := h.withBob()
			m := h.doc(5).String()
			h.refuses(badSignature, h.publishAs(m, signatures(h, bob, m)))
			h.runs = ""
			h.forget()
			h.deploys(5, h.publishAs(m, bob.sign(m)+h.alice.sign(m)))
		}
	}
	return []attack{
		{"one of two", of(func(h *host, _ *signer, m string) string { return h.alice.sign(m) })},
		{"the same twice", of(func(h *host, _ *signer, m string) string { return h.alice.sign(m) + h.alice.sign(m) })},
		{"two by one key", of(func(h *host, _ *signer, m string) string {
			return h.alice.sign(m) + h.alice.signAs(prehashed, m, "another")
		})},
		{"both forms by one key", of(func(h *host, _ *signer, m string) string {
			return h.alice.sign(m) + h.alice.signAs(legacy, m, "another")
		})},
		{"two by one key by two key ids", of(func(h *host, bob *signer, m string) string {
			return h.alice.sign(m) + h.alice.called(bob.id).sign(m)
		})},
		{"one and one of a stranger", of(func(h *host, _ *signer, m string) string {
			return h.alice.sign(m) + h.eve.sign(m)
		})},
		{"one and one of a stranger by the other's key id", of(func(h *host, bob *signer, m string) string {
			return h.alice.sign(m) + h.eve.called(bob.id).sign(m)
		})},
		{"one and one that does not hold", of(func(h *host, bob *signer, m string) string {
			return h.alice.sign(m) + bob.sign(m+"#")
		})},
		{"one and one whose comment does not hold", of(func(h *host, bob *signer, m string) string {
			l := parts(bob.sign(m))
			l[2] += "#"
			return h.alice.sign(m) + strings.Join(l, "\n") + "\n"
		})},
		{"one hundred times", of(func(h *host, _ *signer, m string) string { return strings.Repeat(h.alice.sign(m), 100) })},
		{"the same key by two file names", sameKey(func(h *host) string { return h.alice.pub() })},
		{"the same key by another key id", sameKey(func(h *host) string { return h.alice.called("another!").pub() })},
		{"the same key with another comment", sameKey(func(h *host) string {
			return strings.Replace(h.alice.pub(), "minisign public key", "the key of bob", 1)
		})},
		{"the same key by a symlink", func(h *host) {
			h.withBob()
			must(h.t, os.Remove(h.path("etc/trusted.d/bob.pub")))
			must(h.t, os.Symlink("alice.pub", h.path("etc/trusted.d/bob.pub")))
			h.refusesOneKey()
		}},
		{"a key that was removed", func(h *host) {
			h.has(4)
			h.write("etc/trusted.d/alice.pub", newSigner("bob").pub())
			h.refuses(badSignature, h.publish(h.doc(5)))
		}},
		{"a key that was taken away while the run waited", takenWhileWaiting},
		{"a key that was set aside", func(h *host) {
			h.write("etc/trusted.d/bob.pub", newSigner("bob").pub())
			for _, name := range []string{"eve.pub.bak", "eve.pub~", "eve", "eve.txt", "old/eve.pub", "eve.pub.disabled"} {
				h.write("etc/trusted.d/"+name, h.eve.pub())
			}
			m := h.doc(5).String()
			h.refuses("signed by 0 trusted keys, 1 needed", h.publishAs(m, h.eve.sign(m)))
		}},
	}
}

// takenWhileWaiting: version 5 has the lock when version 6 comes, signed by bob,
// whose key is taken away then.
func takenWhileWaiting(h *host) {
	bob := newSigner("bob")
	h.write("etc/trusted.d/bob.pub", bob.pub())
	let := make(chan struct{})
	five := h.doc(5)
	h.web.on("/app-5.tar", held(let, file(pack("index.html", "version 5"))))
	first := h.start(h.publish(five))
	h.waitFor("/app-5.tar")
	second := h.start(h.web.vouched("/six.yml", h.doc(6), bob))
	h.waitFor("/six.yml.minisig")
	must(h.t, os.Remove(h.path("etc/trusted.d/bob.pub")))
	close(let)
	h.ended(first(), 0, "")
	got := second()
	h.ended(got, 4, "signed by 0 trusted keys, 1 needed")
	h.holds(5, got.said)
	if strings.Contains(h.ran(), "6") {
		h.t.Errorf("commands ran: %q", h.ran())
	}
}

// sameKey: two files that hold one key are one key.
func sameKey(second func(h *host) string) func(h *host) {
	return func(h *host) {
		h.withBob()
		h.write("etc/trusted.d/bob.pub", second(h))
		h.refusesOneKey()
	}
}

// refusesOneKey: no signatures of alice's are those of two.
func (h *host) refusesOneKey() {
	h.t.Helper()
	m := h.doc(5).String()
	for _, signatures := range []string{
		h.alice.sign(m),
		h.alice.sign(m) + h.alice.signAs(legacy, m, "x"),
		h.alice.sign(m) + h.alice.called("another!").sign(m),
	} {
		h.refuses("signed by 1 trusted keys, 2 needed", h.publishAs(m, signatures))
	}
}

// keyFiles are keys that nobody may trust.
func keyFiles() []attack {
	// with is a host whose keys are in some way odd. Nothing is fetched then.
	with := func(why string, change func(h *host)) func(h *host) {
		return func(h *host) {
			change(h)
			h.may = []string{}
			h.refuses(why, h.publish(h.doc(5)))
		}
	}
	dir := func(h *host) string { return h.path("etc/trusted.d") }
	return []attack{
		{"no keys", with("key", func(h *host) { must(h.t, os.Remove(h.path("etc/trusted.d/alice.pub"))) })},
		{"no directory", with("trusted.d", func(h *host) { must(h.t, os.RemoveAll(dir(h))) })},
		{"a file for a directory", with("trusted.d", func(h *host) {
			must(h.t, os.RemoveAll(dir(h)))
			h.write("etc/trusted.d", h.alice.pub())
		})},
		{"a directory that others may write", with("may be written", func(h *host) { must(h.t, os.Chmod(dir(h), 0o777)) })},
		{"a directory that others may write in spite of the sticky bit", with("written", func(h *host) {
			must(h.t, os.Chmod(dir(h), 0o777|os.ModeSticky))
		})},
		{"a directory above that others may write", with("may be written", func(h *host) {
			h.write("outside/keys/trusted.d/alice.pub", h.alice.pub())
			must(h.t, os.Chmod(h.path("outside/keys"), 0o777))
			h.trust = fmt.Sprintf("{keys: %s}", h.path("outside/keys/trusted.d"))
		})},
		{"a key that others may write", with("may be written", func(h *host) {
			must(h.t, os.Chmod(h.path("etc/trusted.d/alice.pub"), 0o666))
		})},
		{"a key that is none", with("pub", func(h *host) { h.write("etc/trusted.d/x.pub", "RWQ\n") })},
		{"an empty key", with("pub", func(h *host) { h.write("etc/trusted.d/x.pub", "") })},
		{"a secret key", with("pub", func(h *host) {
			secret := encode(strings.Repeat("x", 158))
			h.write("etc/trusted.d/x.pub", "untrusted comment: minisign encrypted secret key\n"+secret+"\n")
		})},
		{"a key that leads nowhere", with("pub", func(h *host) {
			must(h.t, os.Symlink("nowhere", h.path("etc/trusted.d/x.pub")))
		})},
		{"a key that is a directory", with("pub", func(h *host) {
			must(h.t, os.Mkdir(h.path("etc/trusted.d/x.pub"), 0o755))
		})},
		{"a key that is a FIFO", with("pub", func(h *host) {
			must(h.t, syscall.Mkfifo(h.path("etc/trusted.d/x.pub"), 0o644))
		})},
		{"a later file that is a FIFO", with("z.yml", func(h *host) {
			must(h.t, os.Mkdir(h.path("etc/policy.d"), 0o755))
			must(h.t, syscall.Mkfifo(h.path("etc/policy.d/z.yml"), 0o644))
		})},
		{"more signatures than keys", func(h *host) { // that shows when they are counted
			h.trust = fmt.Sprintf("{keys: %s, threshold: 2}", dir(h))
			h.refuses("has only 1", h.publish(h.doc(5)))
		}},
		{"a threshold of zero", with("threshold", func(h *host) {
			h.trust = fmt.Sprintf("{keys: %s, threshold: 0}", dir(h))
		})},
		{"a threshold below zero", with("threshold", func(h *host) {
			h.trust = fmt.Sprintf("{keys: %s, threshold: -1}", dir(h))
		})},
		{"a relative directory", with("absolute", func(h *host) { h.trust = "{keys: trusted.d}" })},
		{"trust without keys", with("keys", func(h *host) { h.trust = "{threshold: 1}" })},
		{"a policy that is being written", func(h *host) {
			h.web.put("/app.yml", h.doc(5).String())
			h.policyText = "\n"
			h.may = []string{}
			h.refuses("the file is empty", h.web.URL+"/app.yml")
		}},
		{"a later file without trust", func(h *host) {
			h.write("etc/policy.d/z.yml", "trust: {threshold: 1}\n")
			m := h.doc(5).String()
			h.refuses("signed by 0 trusted keys, 1 needed", h.publishAs(m, h.eve.sign(m)))
		}},
		{"a later file with other keys", with("trust|keys", func(h *host) {
			h.write("etc/eve.d/eve.pub", h.eve.pub())
			h.write("etc/policy.d/z.yml", "trust: {keys: "+filepath.Dir(h.path("etc/eve.d/eve.pub"))+"}\n")
		})},
	}
}
