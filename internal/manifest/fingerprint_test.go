package manifest

import "testing"

// TestFingerprint: a fingerprint that is in the history of a host must be the
// same in each version of the program, and differ where the tree may.
func TestFingerprint(t *testing.T) {
	base := "src: file:///a\nchecksum: " + sha256Hex + "\ndest: /srv/app\nsync_strategy: diff\n"
	of := func(doc string) string {
		t.Helper()
		m, _, err := parsed(doc)
		if err != nil {
			t.Fatal(err)
		}
		return m.Fingerprint()
	}
	const want = "628b94177a63d4cb38e2b804efe4771b8e05b0ee323330d7d003e60b89aab12d"
	full := of(base + "excludes: ['*.pid']\nexclude_from: list\ndest_mode: 0711\n" +
		"extract: strict\nreleases: {shared: [log]}\n")
	if full != want {
		t.Errorf("got %s, want %s", full, want)
	}
	for _, key := range []string{
		"excludes: [a]", "exclude_from: list", "dest_mode: 0700", "extract: strict", "releases: {shared: [log]}",
		"hooks: {post_pack: [{run: x}]}", "hooks: {pre_provision: [{run: x}]}", "strip_components: 1",
	} {
		if of(base+key) == of(base) {
			t.Errorf("%s makes no difference", key)
		}
	}
	for _, key := range []string{"version: 2", "commands: {post: [x]}", "env: {A: b}", "releases: {keep: 3}",
		"limits: {files: 9}", "strip_components: 0", "fetch: {connections: 9}",
		"hooks: {post_provision: [{run: x}], post_pack: []}"} {
		if of(base+key) != of(base) {
			t.Errorf("%s makes a difference", key)
		}
	}
}
