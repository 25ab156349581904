package trust

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/crypto/blake2b"

	"stretcher/internal/testparts"
)

// badSignature is what is said of signatures that do not hold.
const badSignature = `manifest: "[^"]*": (signed by \d trusted keys, \d needed|signature: )`

// arbitraryBytes are manifests that alice has not signed as they are.
func arbitraryBytes() []attack {
	// changed is a manifest that alice has signed as it was before.
	changed := func(change func(text string) string) func(h *host) {
		return func(h *host) {
			signed := h.doc(5).String()
			h.refuses(badSignature, h.publishAs(change(signed), h.alice.sign(signed)))
			h.alarmed()
			h.stillTakes(5)
		}
	}
	appended := func(more string) func(h *host) {
		return changed(func(text string) string { return text + more })
	}
	return []attack{
		{"every byte flipped", everyByte},
		{"cut short", changed(func(text string) string { return text[:len(text)-2] })},
		{"empty", changed(func(string) string { return "" })},
		{"another serial", changed(func(text string) string { return strings.Replace(text, "serial: 5", "serial: 6", 1) })},
		{"a command added", appended("hooks: {post_pack: [{run: 'echo evil'}]}\n")},
		{"a comment added", appended("# harmless\n")},
		{"a space added", appended(" ")},
		{"a document added", appended("---\ncommands: {pre: [\"true\"]}\n")},
		{"a byte order mark before it", changed(func(text string) string { return "\ufeff" + text })},
		{"ends of lines changed", changed(func(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") })},
		{"no end of the last line", changed(func(text string) string { return strings.TrimSuffix(text, "\n") })},
		{"twice", changed(func(text string) string { return text + text })},
		{"no YAML", changed(func(string) string { return "{{{[" })},
		{"an HTML page", changed(func(string) string { return "<html>" })},
		{"a hash that alice has signed", func(h *host) {
			sum := blake2b.Sum512([]byte(h.doc(5).String()))
			h.fails(3, "not YAML|UTF-8|control", h.publishAs(string(sum[:]), h.alice.signAs(legacy, string(sum[:]), "x")))
		}},
		{"without a signature", func(h *host) {
			h.web.put("/app.yml", h.doc(5).String())
			h.refuses("not signed", h.web.URL+"/app.yml")
		}},
	}
}

// alarmed fails unless the hooks for refused manifests have run, once.
func (h *host) alarmed() {
	h.t.Helper()
	if told := h.told(); strings.Count(told, "\n") != 1 || strings.TrimSpace(told) == "" {
		h.t.Errorf("the hooks of auth_fail were told %q", told)
	}
}

// everyByte flips a bit in each byte of a small manifest, one after the other,
// and then in each of its signature. Nothing vouches for the untrusted comment.
// One in sixteen is deployed in earnest.
func everyByte(h *host) {
	manifest := fmt.Sprintf("name: app\nserial: 5\nexpires: %s\ncommands: {pre: [%q]}\n", inHours(24), h.mark("evil"))
	signature := h.alice.sign(manifest)
	before := h.look()
	h.may = []string{}
	var urls []string
	for i := range len(manifest) + len(signature) {
		m, s := []byte(manifest), []byte(signature)
		if i < len(m) {
			m[i] ^= 1 << (i % 8)
		} else {
			s[i-len(m)] ^= 1 << (i % 8)
		}
		if at := i - len(m); at >= 0 && (at < strings.Index(signature, "\n") || sameSignature(signature, string(s))) {
			continue // what it says is the same
		}
		name := fmt.Sprintf("/%d.yml", i)
		h.web.put(name, string(m))
		h.web.put(name+".minisig", string(s))
		h.may = append(h.may, name, name+".minisig")
		urls = append(urls, h.web.URL+name)
		if i%16 == 0 {
			h.ended(h.run(h.web.URL+name), 4, badSignature)
		}
	}
	const many = 32
	for some := range slices.Chunk(urls, many) {
		h.allRefused(some)
	}
	h.unharmed(before, "")
}

// allRefused asks about many manifests at once.
func (h *host) allRefused(urls []string) {
	h.t.Helper()
	cmd := h.command(append([]string{"check", "--explain", "--json"}, urls...)...)
	out, err := cmd.Output()
	if exit := testparts.ExitStatus(err); exit != 4 {
		h.t.Errorf("exit status %d", exit)
	}
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	if len(lines) != len(urls) {
		h.t.Fatalf("%d answers to %d questions: %s", len(lines), len(urls), out)
	}
	for i, line := range lines {
		var a struct{ URL, Verdict, Error string }
		must(h.t, json.Unmarshal(line, &a))
		if a.URL != urls[i] || a.Verdict != "refused" || !regexp.MustCompile(badSignature).MatchString(a.Error) {
			h.t.Errorf("%s: %s", urls[i], line)
		}
	}
}

// sameSignature tells whether a changed document says the same: white space at
// its end, and the last bits of base64, mean nothing.
func sameSignature(a, b string) bool {
	was, is := parts(strings.TrimSpace(a)), parts(strings.TrimSpace(b))
	return len(was) == len(is) && decode(was[1]) == decode(is[1]) && was[2] == is[2] && decode(was[3]) == decode(is[3])
}

// arbitrarySignatures are signatures that are not alice's of the manifest.
func arbitrarySignatures() []attack {
	with := func(signature func(h *host, manifest string) string) func(h *host) {
		return func(h *host) {
			manifest := h.doc(5).String()
			h.refuses(badSignature, h.publishAs(manifest, signature(h, manifest)))
			h.alarmed()
		}
	}
	// spoiled is a signature of alice's with some lines of it changed.
	spoiled := func(change func(h *host, lines []string, manifest string)) func(h *host) {
		return with(func(h *host, manifest string) string {
			lines := parts(h.alice.sign(manifest))
			change(h, lines, manifest)
			return strings.Join(lines, "\n") + "\n"
		})
	}
	return []attack{
		{"empty signature", with(func(*host, string) string { return "" })},
		{"an HTML page for a signature", with(func(*host, string) string { return "<html>not found</html>" })},
		{"the manifest for a signature", with(func(_ *host, m string) string { return m })},
		{"by a stranger", with(func(h *host, m string) string { return h.eve.sign(m) })},
		{"by a stranger with alice's key id", with(func(h *host, m string) string {
			return h.eve.called(h.alice.id).sign(m)
		})},
		{"by a stranger with a key id of zeros", with(func(h *host, m string) string {
			return h.eve.called("\x00\x00\x00\x00\x00\x00\x00\x00").sign(m)
		})},
		{"of another manifest", with(func(h *host, m string) string { return h.alice.sign(m + "#") })},
		{"of nothing", with(func(h *host, _ string) string { return h.alice.sign("") })},
		{"legacy for prehashed", with(func(h *host, m string) string {
			return relabelled(h.alice, h.alice.signAs(legacy, m, "x"), prehashed)
		})},
		{"prehashed for legacy", with(func(h *host, m string) string {
			return relabelled(h.alice, h.alice.signAs(prehashed, m, "x"), legacy)
		})},
		{"unknown algorithm", with(func(h *host, m string) string { return relabelled(h.alice, h.alice.sign(m), "Xx") })},
		{"another trusted comment", spoiled(func(_ *host, l []string, _ string) { l[2] += "0" })},
		{"the trusted comment of another", spoiled(func(h *host, l []string, m string) {
			copy(l[2:], parts(h.alice.signAs(prehashed, m+"#", "other"))[2:])
		})},
		{"no signature of the trusted comment", spoiled(func(_ *host, l []string, _ string) { l[3] = "" })},
		{"zeros for the signature", with(func(h *host, m string) string {
			zeros := strings.Repeat("\x00", 64)
			return document(prehashed+h.alice.id+zeros, "x", h.alice.global(zeros, "x"))
		})},
		{"a comment that nobody has signed", func(h *host) {
			m := h.doc(5).String()
			signature := strings.Replace(h.alice.sign(m), "a signature", "signed by the king\x1b[2J", 1)
			got := h.run(h.publishAs(m, signature))
			h.holds(5, got.said)
			got.said += h.run(h.publishAs(m, strings.Replace(signature, "timestamp:1", "timestamp:2", 1))).said
			if got.said += h.run("history", "--json").said; strings.Contains(got.said, "king") {
				h.t.Errorf("it is told: %s", got.said)
			}
		}},
		{"a comment that drives a terminal", func(h *host) {
			m := h.doc(5).String()
			got := h.run(h.publishAs(m, h.alice.signAs(prehashed, m, "a \u202e b \" c")))
			h.ended(got, 0, regexp.QuoteMeta(`"a \u202e b \" c"`))
		}},
		{"two lines alone", with(func(h *host, m string) string {
			return strings.Join(parts(h.alice.sign(m))[:2], "\n") + "\n"
		})},
		{"a public key for a signature", with(func(h *host, _ string) string { return h.alice.pub() })},
		{"an honest comment on a stranger's", spoiled(func(h *host, l []string, m string) {
			copy(l[1:], parts(h.eve.sign(m))[1:])
			l[0] = "untrusted comment: signature by alice.pub"
		})},
		{"a shorter signature", spoiled(func(h *host, l []string, _ string) { l[1] = l[1][:len(l[1])-8] })},
		{"of a file that is gzipped", func(h *host) {
			manifest := h.doc(5).String()
			h.web.on("/app.yml", encoded("gzip", gzipped(manifest+"# evil\n")))
			h.web.put("/app.yml.minisig", h.alice.sign(manifest))
			h.refuses("manifest: ", h.web.URL+"/app.yml")
		}},
	}
}

func gzipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.String()
}

// relabelled is a signature that says it is by another algorithm.
func relabelled(s *signer, signature, algorithm string) string {
	lines := parts(signature)
	raw := decode(lines[1])
	comment := strings.TrimPrefix(lines[2], "trusted comment: ")
	return document(algorithm+raw[2:], comment, s.global(raw[10:], comment))
}

// arbitraryWays are ways round the signature.
func arbitraryWays() []attack {
	return []attack{
		{"the server says there is no signature", func(h *host) {
			url := h.publish(h.doc(5))
			h.web.on("/app.yml.minisig", status(http.StatusForbidden, "no"))
			h.refuses("not signed", url)
		}},
		{"the server fails at the signature", func(h *host) {
			url := h.publish(h.doc(5))
			h.web.on("/app.yml.minisig", status(http.StatusInternalServerError, "no"))
			h.fails(1, "500", url)
		}},
		{"a signature that is not there yet", lateSignature(4, "not signed", status(http.StatusNotFound, ""))},
		{"a signature that nobody may read yet", lateSignature(4, "not signed", status(http.StatusForbidden, ""))},
		{"a signature that can't be fetched now", lateSignature(1, "503", status(http.StatusServiceUnavailable, ""))},
		{"a signature that is empty at first", lateSignature(4, badSignature, file(""))},
		{"a signature that is half there", lateSignature(4, badSignature, file("untrusted comment: x\n"))},
		{"a signature of the version before at first", lateSignature(4, badSignature, file(newSigner("alice").sign("old")))},
		{"another manifest at the second request", func(h *host) {
			good := h.doc(5).String()
			h.web.on("/app.yml", turns(file(good), file(h.doc(6).String())))
			h.web.put("/app.yml.minisig", h.alice.sign(good))
			h.deploys(5, h.web.URL+"/app.yml")
		}},
		{"a stranger's manifest at the first request", func(h *host) {
			good := h.doc(5).String()
			h.web.on("/app.yml", turns(file(h.doc(6).String()), file(good)))
			h.web.put("/app.yml.minisig", h.alice.sign(good))
			h.refuses(badSignature, h.web.URL+"/app.yml")
		}},
		{"a template in a manifest that is not signed", func(h *host) {
			d := h.doc(5)
			d.src = h.web.URL + `/{{ env "SECRET" "" }}`
			h.env = append(h.env, "SECRET=secret")
			said := h.refuses(badSignature, h.publishAs(d.String(), h.eve.sign(d.String())))
			if strings.Contains(said, "secret") {
				h.t.Error(said)
			}
		}},
		{"a template that adds a command", templateWithCommand},
		{"a template in a key", func(h *host) {
			h.env = append(h.env, "KEY=commands")
			d := h.doc(5)
			d.commands, d.more = "", "'{{ env \"KEY\" \"x\" }}': {pre: ["+h.mark("evil")+"]}\n"
			h.fails(3, "stands in a key", h.publish(d))
		}},
		{"a part of a manifest", func(h *host) {
			url := h.publish(h.doc(5))
			h.web.on("/app.yml", partial(h.doc(5).String()+strings.Repeat("#", 1024)))
			h.fails(1, "206", url)
		}},
		{"with --force", func(h *host) {
			h.refuses(badSignature, "--force", h.publishAs(h.doc(5).String(), h.eve.sign(h.doc(5).String())))
		}},
		{"a file that nobody has signed", func(h *host) {
			h.write("home/app.yml", h.doc(5).String())
			h.refuses("is not allowed", "file://"+h.path("home/app.yml"))
			h.refuses("not allowed|not signed", h.path("home/app.yml"))
		}},
		{"by standard input", func(h *host) {
			h.stdin = h.doc(5).String()
			h.refuses("not allowed", "file:///dev/stdin")
		}},
		{"the signature for a manifest", func(h *host) {
			h.publish(h.doc(5))
			h.may = []string{"/app.yml.minisig", "/app.yml.minisig.minisig"}
			h.refuses("not signed", h.web.URL+"/app.yml.minisig")
		}},
		{"a query that names the signature", func(h *host) {
			h.publish(h.doc(5))
			h.web.put("/evil.yml?x=/app.yml", h.doc(6).String())
			h.may = []string{"/evil.yml?x=/app.yml", "/evil.yml.minisig?x=/app.yml"}
			h.refuses("not signed", h.web.URL+"/evil.yml?x=/app.yml")
		}},
		{"a fragment that names the signature", func(h *host) {
			h.publish(h.doc(5))
			h.web.put("/evil.yml", h.doc(6).String())
			h.may = []string{"/evil.yml", "/evil.yml.minisig"}
			h.refuses("not signed", h.web.URL+"/evil.yml#/app.yml")
		}},
		{"commands that only look", func(h *host) {
			d := h.doc(5)
			d.more = "hooks: {x: [{run: " + h.mark("x") + "}]}\n"
			url := h.publishAs(d.String(), h.eve.sign(d.String()))
			for _, args := range [][]string{{"plan"}, {"check"}, {"hooks", "list"}, {"hooks", "run", "x"}} {
				h.refuses("signed by 0", append(args, url)...)
			}
		}},
		{"a hook pod", func(h *host) {
			d := h.doc(5)
			url := h.publishAs(d.String(), h.eve.sign(d.String()))
			must(h.t, os.Mkdir(h.path("srv/pods"), 0o755))
			h.refuses("signed by 0", "hooks", "install", "--event", "before_install", "--hooks-root", h.path("srv/pods"), url)
		}},
	}
}

// lateSignature: an event whose signature is not there yet is not used up. Who
// could use it up would have kept its manifest away.
func lateSignature(exit int, why string, first answer) func(h *host) {
	return func(h *host) {
		url := h.publish(h.doc(5))
		h.web.on("/app.yml.minisig", first)
		h.env = append(h.env, "CONSUL_INDEX=1")
		h.stdin = fmt.Sprintf(`[{"ID": "e1", "Name": "deploy", "Payload": %q, "LTime": 1}]`, encode(url))
		h.fails(exit, why, "--strict-exit")
		h.publish(h.doc(5))
		h.deploys(5)
	}
}

// templateWithCommand: a value that the environment gives is a value, whatever
// it holds.
func templateWithCommand(h *host) {
	d := h.doc(5)
	d.more = "version: {{ env \"VERSION\" \"1\" }}\n"
	evil := h.mark("evil")
	h.env = append(h.env, fmt.Sprintf("VERSION=1\ncommands: {pre: [%q]}\nhooks: {finish: [{run: %q}]}", evil, evil))
	h.may = []string{"/app.yml", "/app.yml.minisig", "/app-5.tar"}
	h.deploys(5, h.publish(d))
	if strings.Contains(h.ran(), "evil") {
		h.t.Errorf("the environment has added a command: %q", h.ran())
	}
	h.askedFor("")
}
