package delta

import (
	"strings"
	"testing"

	"stretcher/internal/archive/pack"
)

// TestPutTogether: pre commands take away what an archive is put together from.
// All of the archive is here by then, from the one before and what was fetched:
// no more than that is fetched. Who takes contents from parts in the first place does
// not notice.
func TestPutTogether(t *testing.T) {
	older, newer := versions(t)
	dir := t.TempDir()
	older.write(t, dir+"/older")
	newer.write(t, dir+"/newer")
	first, second := packed(t, dir+"/older", pack.Gzip), packed(t, dir+"/newer", pack.Gzip)
	for _, c := range []struct{ strategy, command string }{
		{"native", "echo other > LIVE/lib/02"},
		{"native", "rm -r LIVE/lib"},
		{"releases", "rm LIVE/lib/02"},
		{"releases", "mv LIVE/lib/02 LIVE/2; mv LIVE/lib/03 LIVE/lib/02; mv LIVE/2 LIVE/lib/03"},
	} {
		o, h := newOrigin(t), newHost(t, c.strategy)
		deployed(t, h, o.publish("older", h.dest(), c.strategy, first), dir+"/older")
		url := o.publish("newer", h.dest(), c.strategy, second)
		command := strings.ReplaceAll(c.command, "LIVE", h.live())
		o.edit("/newer.yml", func(manifest string) string { return manifest + "commands:\n  pre: ['" + command + "']\n" })
		log := deployed(t, h, url, dir+"/newer")
		if sent := o.bytesOf("/newer.tar"); sent == 0 || sent > int64(len(second.archive)/5) {
			t.Errorf("%s, %s: %d of %d bytes were fetched\n%s", c.strategy, c.command, sent, len(second.archive), log)
		}
		again := map[string]int{"releases": 1}[c.strategy]
		if n := strings.Count(log, "warning: taking the whole archive, which was put together: "); n != again {
			t.Errorf("%s, %s: it says %d times that it begins again:\n%s", c.strategy, c.command, n, log)
		}
	}
}
