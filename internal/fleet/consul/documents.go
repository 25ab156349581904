package consul

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"stretcher/internal/fleet"
	"stretcher/internal/text/printable"
)

// phases that people do not see: of them fleet.State says that it is open, or a canary.
const (
	beginning fleet.Phase = "begin"   // somebody asks who is in the group
	draining  fleet.Phase = "drain"   // hosts of an earlier rollout still have slots
	unbegun   fleet.Phase = "unbegun" // nobody can tell who is in the group; for people it is stopped
)

// head says which rollout of a name is the current one, and how far it is.
type head struct {
	ID  string `json:"id"`
	Gen string `json:"gen"`
	lineage
	Version string      `json:"version"`
	Serial  int64       `json:"serial,omitempty"`
	By      string      `json:"by"`    // the node that began it
	Began   time.Time   `json:"began"` // by its clock; for people
	Group   string      `json:"group"`
	Members int         `json:"members"`
	Limits  limits      `json:"limits"`
	Shards  int         `json:"shards"`
	Phase   fleet.Phase `json:"phase"`
	Drain   []past      `json:"drain,omitempty"` // whose holders must have gone before slots are handed out
	again
	remarks
}

// again says for whom a generation repeats an earlier one of its rollout.
type again struct {
	Only  bool   `json:"only,omitempty"`  // for hosts alone that have failed before
	Since string `json:"since,omitempty"` // the generation that it repeats, or goes on from; "" = none

	Silent bool `json:"silent,omitempty"` // the timeout of an earlier one was over: who has told nothing has failed
	Owed   int  `json:"owed,omitempty"`   // so many canaries have yet to be good, when it goes on for all
}

// goesOn tells whether it is for all hosts that are not good yet.
func (a again) goesOn() bool { return a.Since != "" && !a.Only }

// lineage is what came before a generation.
type lineage struct {
	Series string `json:"series"`          // the first generation of the rollout that it repeats, or itself
	Index  uint64 `json:"index,omitempty"` // of Consul, when the series began; 0 = not known yet
	Past   []past `json:"past,omitempty"`  // the latest of each series, the latest first
}

// remarks are what a head has that no host goes by.
type remarks struct {
	Why     string `json:"why,omitempty"`     // it is stopped, or could not begin
	Stopped int64  `json:"stopped,omitempty"` // when it was, by the clock of who did it, in seconds
	Hint    string `json:"hint,omitempty"`    // what people can do about it
	Outline string `json:"outline,omitempty"` // of the manifest, for who makes a way back
	Lacking string `json:"lacking,omitempty"` // why there is no outline
	URL     string `json:"url,omitempty"`     // of the manifest, for who fires its event again
	Signed  bool   `json:"signed,omitempty"`  // keys had to vouch for it where the rollout began
}

// limits are fleet.Limits as they are written.
type limits struct {
	Parallel  int   `json:"parallel"`
	MaxFailed int   `json:"max_failed"`
	Canary    int   `json:"canary,omitempty"`
	PauseMS   int64 `json:"pause_ms,omitempty"`
	LeaseMS   int64 `json:"lease_ms"`
	TimeoutMS int64 `json:"timeout_ms,omitempty"` // after which who has not come has failed
}

// past is an earlier generation.
type past struct {
	ID     string `json:"id"`
	Gen    string `json:"gen"` // "" = one that nothing is known of
	Series string `json:"series,omitempty"`
	Index  uint64 `json:"index,omitempty"`
	Shards int    `json:"shards"`
	Lease  int64  `json:"lease_ms"`
}

// halt stops the rollout.
func (h *head) halt(why string) {
	h.Phase, h.Why, h.Stopped = fleet.Stopped, cut(why), time.Now().Unix()
}

// past is a head as an earlier generation.
func (h *head) past() past { return past{h.ID, h.Gen, h.Series, h.Index, h.Shards, h.Limits.LeaseMS} }

func (p past) lease() time.Duration { return time.Duration(p.Lease) * time.Millisecond }

// shard hands out some of the slots of a generation.
type shard struct {
	Cap     int    `json:"cap"`
	Next    int    `json:"next"`    // the next ticket
	Serving int    `json:"serving"` // tickets below have had their turn, or left
	Held    []held `json:"held"`
	Good    int    `json:"good"`
	Failed  int    `json:"failed"`
	Died    int    `json:"died"`
	Silent  int    `json:"silent,omitempty"` // have not come in time; of the whole rollout
	Before  int    `json:"before,omitempty"` // have failed before limits were narrowed; of the whole rollout
	Skipped int    `json:"skipped"`          // had no turn, or did not take it
	Check   bool   `json:"check,omitempty"`  // a failure has not been summed yet: no slot is handed out
	Touched int    `json:"touched,omitempty"`
}

// held is a slot that a ticket has.
type held struct {
	Ticket int    `json:"t"`
	Node   string `json:"n"`
}

// turn is what a host waits on.
type turn struct {
	Node  string    `json:"node"`
	Nonce string    `json:"nonce"`
	Run   string    `json:"run,omitempty"`  // the id of the run; for people
	Came  int64     `json:"came,omitempty"` // when it wrote this, by its host's clock, in seconds; for people
	Runs  string    `json:"runs,omitempty"` // the version that the host had when it came; for people
	Mixed bool      `json:"mixed,omitempty"`
	State turnState `json:"state"`
}

type turnState string

const (
	turnWaiting turnState = "waiting"
	turnYours   turnState = "yours" // its host may take it
	turnWorking turnState = "working"
)

// Bounds of what is read: whoever may write there may write anything.
const (
	maxDocument = 256 << 10
	maxShards   = 100_000
	maxCap      = 1_000_000
	maxPast     = 16
	keptSeries  = 5 // whose results are kept
	shardSize   = 16
	maxText     = 512
	maxOutline  = 2 << 10
	longestMS   = int64(366 * 24 * time.Hour / time.Millisecond)
)

// canaryShard is the name of the canaries' shard.
const canaryShard = "c"

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // these types have nothing that can't be written
	}
	return b
}

func decode(data []byte, v interface{ check() error }) error {
	if len(data) > maxDocument {
		return fmt.Errorf("it has more than %d bytes", maxDocument)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("it is not what a rollout writes: %w", err)
	}
	return v.check()
}

// texts are those for people, which anybody may have written.
func (h *head) texts() []*string {
	return []*string{&h.Version, &h.By, &h.Group, &h.Why, &h.Hint, &h.Lacking}
}

func (h *head) check() error {
	if h.Series == "" {
		h.Series = h.Gen
	}
	ok := h.ID != "" && len(h.ID) <= maxText && isGen(h.Gen) && isGen(h.Series) &&
		len(h.Past) <= maxPast && len(h.Drain) <= maxPast+2 && h.Owed >= 0 && h.Owed <= maxCap &&
		h.Shards >= 0 && h.Shards <= maxShards && h.Members >= 0 && h.Members <= fleet.MaxHosts && h.Limits.ok()
	for _, text := range h.texts() {
		ok = ok && len(*text) <= 4*maxText
		*text = printable.Line(*text)
	}
	ok = ok && len(h.Outline) <= maxOutline && (h.Since == "" || isGen(h.Since))
	if len(h.URL) > maxText || printable.Line(h.URL) != h.URL {
		h.URL = ""
	}
	for _, p := range append(append([]past{}, h.Past...), h.Drain...) {
		ok = ok && (p.Gen == "" || isGen(p.Gen)) && (p.Series == "" || isGen(p.Series)) &&
			p.Shards >= 0 && p.Shards <= maxShards && p.Lease >= 0 && p.Lease <= longestMS
	}
	switch h.Phase {
	case beginning, unbegun:
	case draining, fleet.Canary, fleet.Pause, fleet.Open, fleet.Stopped, fleet.Done:
		ok = ok && h.Shards > 0
	default:
		ok = false
	}
	if !ok {
		return errors.New("it is not what a rollout writes")
	}
	return nil
}

func (l limits) ok() bool {
	return l.Parallel >= 0 && l.Parallel <= maxCap && l.Canary >= 0 && l.Canary <= maxCap &&
		l.PauseMS >= 0 && l.PauseMS <= longestMS && l.LeaseMS >= 0 && l.LeaseMS <= longestMS &&
		l.TimeoutMS >= 0 && l.TimeoutMS <= longestMS
}

func isGen(gen string) bool {
	return gen != "" && len(gen) <= 64 && strings.Trim(gen, "0123456789abcdef") == ""
}

func (s *shard) check() error {
	ok := s.Cap >= 0 && s.Cap <= maxCap && s.Serving >= 0 && s.Serving <= s.Next && s.Next < 1<<30
	for _, n := range []int{s.Good, s.Failed, s.Died, s.Silent, s.Before, s.Skipped} {
		ok = ok && n >= 0 && n < 1<<30
	}
	seen := map[int]bool{}
	for _, h := range s.Held {
		ok = ok && h.Ticket >= 0 && h.Ticket < s.Serving && !seen[h.Ticket] && len(h.Node) <= maxText
		seen[h.Ticket] = true
	}
	if !ok {
		return errors.New("it is not what a rollout writes")
	}
	return nil
}

func (t *turn) check() error {
	if len(t.Node) > maxText || len(t.Nonce) > maxText || len(t.Run) > maxText || len(t.Runs) > maxText {
		return errors.New("it is not what a rollout writes")
	}
	return nil
}

// find returns where a ticket stands among the holders; -1 = it does not.
func (s *shard) find(ticket int) int {
	for i, h := range s.Held {
		if h.Ticket == ticket {
			return i
		}
	}
	return -1
}

// has tells whether a host has a slot by a ticket. The number alone does not say it: a
// server that was restored from a snapshot gives it to another host.
func (s *shard) has(ticket int, node string) bool {
	i := s.find(ticket)
	return i >= 0 && s.Held[i].Node == cut(node)
}

// drop takes the slot of a ticket away.
func (s *shard) drop(ticket int) {
	if i := s.find(ticket); i >= 0 {
		s.Held = append(s.Held[:i:i], s.Held[i+1:]...)
	}
}

// load is how many are in the line or at work.
func (s *shard) load() int { return s.Next - s.Serving + len(s.Held) }

// hands tells whether a shard hands out slots in this phase.
func (h *head) hands(shard string) bool {
	if shard == canaryShard {
		return h.Phase == fleet.Canary
	}
	return h.Phase == fleet.Open
}

// first is the phase that a rollout has when nothing is in its way.
func (h *head) first() fleet.Phase {
	if h.Limits.Canary > 0 {
		return fleet.Canary
	}
	return fleet.Open
}

// kept are the series whose results are kept, the latest first.
func (h *head) kept() []string {
	all := []string{h.Series}
	for _, p := range h.Past {
		if !slices.Contains(all, p.Series) && p.Series != "" {
			all = append(all, p.Series)
		}
	}
	return all[:min(len(all), keptSeries)]
}

// before is when the rollout before this one began, as Consul counts; 0 = none is known.
func (h *head) before() uint64 {
	for _, p := range h.Past {
		if p.Series != h.Series {
			return p.Index
		}
	}
	return 0
}

// keeps tells whether the results of a series are kept.
func (h *head) keeps(series string) bool { return slices.Contains(h.kept(), series) }

// was tells whether a rollout is among those that had their time.
func (h *head) was(id string) bool {
	for _, p := range h.Past {
		if p.ID == id {
			return true
		}
	}
	return false
}

// shardNames are the names of the shards of a generation, that of the canaries first.
func shardNames(shards int) []string {
	names := []string{canaryShard}
	for i := range shards {
		names = append(names, strconv.Itoa(i))
	}
	return names
}

// slots is how many slots a shard has at most, whatever it says itself.
func (h *head) slots(name string) int {
	if name == canaryShard {
		return min(h.Limits.Canary, h.Limits.Parallel)
	}
	slots := h.Limits.Parallel / h.Shards
	if i, err := strconv.Atoi(name); err == nil && i < h.Limits.Parallel%h.Shards {
		slots++
	}
	return slots
}

// free tells whether a shard has a slot that nobody has.
func (h *head) free(name string, s *shard) bool {
	return !s.Check && len(s.Held) < min(s.Cap, h.slots(name))
}

// beside is the shard that the hosts of another one look after as well; "" = none.
func (h *head) beside(name string) string {
	i, err := strconv.Atoi(name)
	if err != nil || h.Shards < 2 {
		return ""
	}
	return strconv.Itoa((i + 1) % h.Shards)
}

// split makes the shards of a rollout, by their names: their slots are those of the
// rollout.
func (h *head) split() map[string]shard {
	all := map[string]shard{canaryShard: {Cap: h.slots(canaryShard)}}
	for i := range h.Shards {
		name := strconv.Itoa(i)
		all[name] = shard{Cap: h.slots(name)}
	}
	return all
}

// canariesEnd tells whether all canaries have ended, and one of them at least was good:
// none has a slot or gets one, since the others have all slots then.
func (h *head) canariesEnd(s shard) bool {
	return s.Good > 0 && s.Good+s.Skipped >= h.Limits.Canary && len(s.Held) == 0 && s.Serving == s.Next
}

// room tells whether a further host can be a canary.
func (h *head) room(s shard) bool { return s.Next-s.Skipped < h.Limits.Canary }
