package fleet

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"stretcher/internal/text/keys"
)

// What the values of some keys can be: checks ask these, too.
func canaryRange() keys.Number { return keys.Number{Most: MaxHosts} }
func plainName() keys.Scalar   { return keys.Like(namePattern, "is not a name") }
func zoneKey() keys.Scalar {
	return keys.Like(`^node_meta\.[A-Za-z0-9_-]{1,128}$`, "is not node_meta. and a key of node metadata")
}

func metaValue() keys.Scalar {
	return keys.Like(`^[^\x00]{1,512}$`, "is no value of node metadata").Must()
}

// orNone is such a value, or empty text: that says nothing.
func orNone(s keys.Scalar) keys.Scalar {
	s.Pattern = "^$|" + s.Pattern
	return s
}

const (
	zonePrefix  = "node_meta."
	namePattern = `^[^\s/\x00-\x1f\x7f](?:[^/\x00-\x1f\x7f]{0,253}[^\s/\x00-\x1f\x7f])?$`
	metaPattern = `^[A-Za-z0-9_-]{1,128}$`
)

// amount is a number of hosts from least on, or a share of them.
func amount(least int64) keys.Scalar {
	s := keys.Like(`^[+]?(?:[0-9]+|[0-9]{1,2}%|0*100%)$`,
		"is not a number of hosts such as 3, or a share such as 10%").Whole(least, MaxHosts)
	if least > 0 {
		s = s.And("[1-9]")
	}
	return s
}

// Keys is the table of the keys of a rollout.
func Keys() []keys.Key {
	return []keys.Key{
		keys.Row("service", orNone(plainName()), "", "the group: the nodes of a service in Consul"),
		keys.Row("node_meta", keys.Map{Names: metaPattern, Of: metaValue()},
			"", "the group: the Consul nodes with these metadata"),
		keys.Row("hosts", keys.List{Of: plainName().Must()}, "", "the group: these Consul nodes"),
		keys.Row("parallel", amount(1), "1", "how many of the group are at work at once: hosts, or a share such as `10%`"),
		keys.Row("max_failed", amount(0), "0", "when more have failed, the rest stop: hosts, or a share such as `10%`"),
		keys.Row("canary", canaryRange(), "0", "how many hosts go first, and alone"),
		keys.Row("pause", keys.Seconds(), "0", "how long the rest wait after the last good canary"),
		keys.Row("zone", orNone(zoneKey()), "none", "`node_meta.KEY`: what `stretcher fleet status` tells hosts by"),
		keys.Row("on_unreachable", UnreachableWords(), "`wait`",
			"what a host does that has no slot and does not reach Consul: `wait`, `proceed` or `fail`"),
		keys.Row("timeout", keys.Span(), "`1h`",
			"how long a host waits for its turn, how long it may be at work, "+
				"and after how long one that has not come has failed"),
		keys.Row("lease", keys.Span(), "`2m`", "how long a host at work goes on without Consul: a minute or more"),
	}
}

// BoundKeys is the table of the keys of what a host allows of rollouts.
func BoundKeys() []keys.Key {
	return []keys.Key{
		keys.Row("required", keys.Flag{}, "`false`", "refuse manifests without `rollout`"),
		keys.Row("parallel", amount(1), "none", "how many hosts are at work at once, at most"),
		keys.Row("max_failed", amount(0), "none", "how many hosts may fail before the rest stop, at most"),
		keys.Row("on_unreachable", UnreachableWords(), "none", "the stricter of this and of what the manifest says holds"),
	}
}

// Rules are what the schema of a rollout has beside its keys: it names one group.
func Rules() []keys.Schema {
	var one []keys.Schema
	for _, key := range []string{"service", "node_meta", "hosts"} {
		one = append(one, keys.IfSet(key))
	}
	return []keys.Schema{{"oneOf": one}}
}

// Check returns what is wrong with a rollout whose values are well-formed.
func (r *Rollout) Check(add func(key, value, message string)) {
	r.checkGroup(add)
	if r.Parallel.IsZero() {
		add("parallel", r.Parallel.plain(), "lets no host work")
	}
	if err := canaryRange().Check(r.Canary); err != nil {
		add("canary", strconv.FormatInt(r.Canary, 10), err.Error())
	}
	if r.Zone != "" && zoneKey().Check(r.Zone) != nil {
		add("zone", r.Zone, zoneKey().Wrong)
	}
	if r.Lease != 0 && time.Duration(r.Lease) < leastLease {
		add("lease", time.Duration(r.Lease).String(), fmt.Sprintf("is shorter than %s", leastLease))
	}
}

// checkGroup wants a rollout to name one group.
func (r *Rollout) checkGroup(add func(key, value, message string)) {
	var named []string
	for key, is := range map[string]bool{
		"service": r.Service != "", "node_meta": len(r.NodeMeta) > 0, "hosts": len(r.Hosts) > 0,
	} {
		if is {
			named = append(named, key)
		}
	}
	slices.Sort(named)
	switch {
	case len(named) == 0:
		add("", "", "names no group: service, node_meta or hosts")
	case len(named) > 1:
		add("", "", fmt.Sprintf("names its group more than once: by %s", strings.Join(named, " and ")))
	}
	if r.Service != "" && plainName().Check(r.Service) != nil {
		add("service", r.Service, plainName().Wrong)
	}
	seen := map[string]bool{}
	for i, host := range r.Hosts {
		key := fmt.Sprintf("hosts[%d]", i)
		switch folded := strings.ToLower(host); { // as Consul compares names
		case plainName().Check(host) != nil:
			add(key, host, plainName().Wrong)
		case seen[folded]:
			add(key, host, "is there twice")
		default:
			seen[folded] = true
		}
	}
	if len(r.NodeMeta) > maxMeta {
		add("node_meta", "", fmt.Sprintf("has more than %d keys", maxMeta))
	}
	for _, name := range slices.Sorted(maps.Keys(r.NodeMeta)) {
		if keys.Like(metaPattern, "is no key of node metadata").Check(name) != nil {
			add("node_meta", name, "is no key of node metadata")
		} else if value := r.NodeMeta[name]; value == "" || len(value) > 512 || strings.ContainsRune(value, 0) {
			add("node_meta."+name, value, "is no value of node metadata")
		}
	}
}

// Idle returns what of a rollout changes nothing.
func (r *Rollout) Idle(add func(key, message string)) {
	if r.Pause > 0 && r.Canary == 0 {
		add("pause", "comes after canaries, and there are none")
	}
}

// slotsReturn is after how many leases the slot of a dead host is free at the latest.
const slotsReturn = 3

// Doubts returns what of a rollout is hardly meant so. Of listed hosts it is known how
// many a share is.
func (r *Rollout) Doubts(add func(key, message string)) {
	n := len(r.Hosts)
	if r.Canary > 0 {
		r.doubtCanaries(n, add)
	}
	if r.WaitsFor() < slotsReturn*r.Leased() {
		const gives = "who waits for the slot of a host that dies gives up"
		if r.Timeout == 0 {
			add("lease", fmt.Sprintf("is more than a third of timeout, %s: %s", r.WaitsFor(), gives))
		} else {
			add("timeout", fmt.Sprintf("is less than three times lease, %s: %s", r.Leased(), gives))
		}
	}
	share := func(a Amount) bool { return n > 0 && a.inPercent && a.percent > 0 && a.Of(n, 1) == 0 }
	if share(r.Parallel) {
		add("parallel", fmt.Sprintf("is less than one of %d hosts: one is at work at once", n))
	}
	switch all := r.MaxFailed.inPercent && r.MaxFailed.percent == 100; {
	case all || n > 0 && r.Tolerated(n) >= n:
		add("max_failed", "stops nothing but for a canary: all hosts may fail")
	case share(r.MaxFailed):
		add("max_failed", fmt.Sprintf("is none of %d hosts: shares are rounded down", n))
	}
}

// doubtCanaries is Doubts for what has to do with canaries. n is how many hosts there are;
// 0 = not known.
func (r *Rollout) doubtCanaries(n int, add func(key, message string)) {
	counted := n > 0 || !r.Parallel.inPercent
	if atOnce := int64(r.AtOnce(cmp.Or(n, MaxHosts))); counted && atOnce < r.Canary {
		add("canary", fmt.Sprintf("is more than parallel lets work at once: canaries go %d at a time", atOnce))
	}
	if n > 0 && r.Canary >= int64(n) {
		add("canary", fmt.Sprintf("is all of %d hosts: no others go after them", n))
	}
	if waits := r.WaitsFor(); time.Duration(r.Pause) >= waits {
		add("pause", fmt.Sprintf("is no shorter than timeout, %s: hosts that wait for the canaries give up", waits))
	}
}

// Check returns what is wrong with the bounds of a host.
func (b Bounds) Check() (key string, err error) {
	if b.Parallel.IsZero() {
		return "parallel", fmt.Errorf("%q lets no host work", b.Parallel.plain())
	}
	return "", nil
}

// plain is an amount as it is written.
func (a Amount) plain() string {
	if a.inPercent {
		return fmt.Sprintf("%d%%", a.percent)
	}
	return strconv.FormatInt(a.hosts, 10)
}
