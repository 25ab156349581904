// Package explain tells a report what a host says of a manifest by its policy: who
// may start it, as whom it runs, which keys vouch for it, what holds for its archive.
//
// Its words are those of packages policy and verdict. It decides nothing, and
// fetches nothing: what others have found out it is told. It imports policy,
// policy/verdict, trust and the packages below text.
package explain

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"stretcher/internal/policy"
	"stretcher/internal/policy/verdict"
	"stretcher/internal/text/failure"
	"stretcher/internal/trust"
)

// Host is a host's policy, and the report that is told what it says.
type Host struct {
	Policy *policy.Policy
	Report *verdict.Report // nil: nobody asks
	Keys   string          // the directory of keys in place of the policy's; "" = the policy's
}

// Questions are what the rules of a policy answer.
func Questions(all []policy.Ruling) (list []verdict.Question) {
	for _, r := range all {
		list = append(list, verdict.Question{Rule: r.Rule, Place: r.Place(), Subject: r.Value, Why: r.Why, Ask: r.Err})
	}
	return list
}

// Begin has the report told all that the policy is asked from here on. Elsewhere says
// that a manifest is looked at where it is not deployed.
func (h Host) Begin(elsewhere bool) {
	h.Policy.Told = func(all []policy.Ruling) {
		for i, q := range Questions(all) {
			one := q.Ruling(q.Ask())
			if elsewhere && all[i].Subject == policy.User {
				one.Subject, one.Verdict, one.Why = "who starts it", verdict.Later, "who starts it on the host is asked"
			}
			h.Report.Add(one)
		}
	}
}

// Broken tells why the policy can't be asked: its keys can't be read, its user is not
// known, or the file itself is wrong.
func (h Host) Broken(file string, keysRead bool, err error) {
	dir, _, signed := h.Policy.Signed()
	switch as := h.Policy.RunAs(); {
	case err == nil:
	case signed && !keysRead:
		h.tell("trust.keys", cmp.Or(h.Keys, dir), "", err)
	case as != "":
		h.tell("run_as", as, "", err)
	default:
		h.Report.Policy = strconv.Quote(file)
		h.Report.Judge("config", file, "", err)
	}
}

// Rule is a question that a key of the policy has answered.
func (h Host) Rule(key, subject, why string) verdict.Question {
	return verdict.Question{Rule: key, Place: h.Policy.Places(key), Subject: subject, Why: why}
}

// tell adds the answer to such a question.
func (h Host) tell(key, subject, why string, err error) {
	h.Report.Add(h.Rule(key, subject, why).Ruling(err))
}

// later adds a question that only a deployment answers.
func (h Host) later(key, subject, why string) {
	one := h.Rule(key, subject, why).Ruling(nil)
	one.Verdict = verdict.Later
	h.Report.Add(one)
}

// RunAs tells whom the manifest's programs run as. May tells whether who asks may start
// programs as that user; nil: there is no such user here. Who deploys may be somebody
// else.
func (h Host) RunAs(may func() error) {
	as := h.Policy.RunAs()
	if as == "" {
		return
	}
	if may == nil {
		h.later("run_as", as, "the host must know this user")
	} else if err := may(); err != nil {
		h.later("run_as", as, failure.Sayf("who deploys is asked: %v", err))
	} else {
		h.tell("run_as", as, "commands and hooks of the manifest run as this user", nil)
	}
}

// Elsewhere tells what the host itself is asked, where its policy is read on another
// machine.
func (h Host) Elsewhere() {
	if hooks := h.Policy.Hooks; len(hooks.Dirs)+len(hooks.OCIDirs)+len(hooks.Required) > 0 {
		h.later("hooks.required", strings.Join(hooks.Required, " "), "the hooks are looked at on the host")
	}
	if h.Policy.RequireState {
		h.later("require_state", "the state directory", "it is looked at on the host")
	}
}

// Signed tells which keys vouch for a manifest, and that these are enough.
func (h Host) Signed(signers []trust.Signer) {
	dir, threshold, signed := h.Policy.Signed()
	if !signed {
		return
	}
	for _, signer := range signers {
		h.tell("trust.keys", signer.File, fmt.Sprintf("it vouches for the manifest: %q", signer.TrustedComment), nil)
	}
	h.tell(h.threshold(), "signatures", fmt.Sprintf("%d of the keys in %q vouch for the manifest, of at least %d",
		len(signers), cmp.Or(h.Keys, dir), threshold), nil)
}

// Unsigned tells why the keys don't vouch for a manifest.
func (h Host) Unsigned(why error) {
	if _, _, signed := h.Policy.Signed(); signed {
		h.tell(h.threshold(), "signatures", "", why)
	}
}

// threshold is the rule that says how many keys are enough.
func (h Host) threshold() string {
	if rule := "trust.threshold"; h.Policy.Places(rule) != "" {
		return rule
	}
	return "trust.keys"
}

// Archive is what a manifest says of its archive.
type Archive struct {
	Checksum string
	Extract  policy.Extract
	Limits   policy.Limits
}

// Archive tells what holds for the archive, which has not been fetched.
func (h Host) Archive(a Archive) {
	add := func(rule, place, subject, why string) {
		h.Report.Add(verdict.Ruling{Rule: rule, Place: place, Subject: subject, Verdict: verdict.Later, Why: why})
	}
	add("checksum", "", a.Checksum, "it is compared when the archive has been fetched")
	if a.Extract == policy.Strict {
		add("extract", h.Policy.Places("extract"), "archive", "strict: what that refuses shows when the archive is read")
	}
	host := h.Policy.Limits
	for _, limit := range []struct {
		rule, why  string
		most, host int64
	}{
		{"limits.archive", "at most %d bytes, as they arrive", int64(a.Limits.Archive), int64(host.Archive)},
		{"limits.unpacked", "at most %d bytes, as they are written", int64(a.Limits.Unpacked), int64(host.Unpacked)},
		{"limits.files", "at most %d entries", a.Limits.Files, host.Files},
	} {
		place := ""
		if limit.most == limit.host {
			place = h.Policy.Places(limit.rule)
		}
		if limit.most > 0 {
			add(limit.rule, place, "archive", fmt.Sprintf(limit.why, limit.most))
		}
	}
}
