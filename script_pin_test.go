package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// pinCmds are the commands of the scripts pin_*.txtar, which write down what
// users, commands and hooks see, to be compared with what they saw before:
//
//	pins            make the program see (testdata/pin/see.sh), for commands and hooks
//	seen FILE       move the text of the file seen, normalised, to FILE
//	changes FILE    the same, but only what differs from the block before, which is in the FILE before for the first
//	rows FILE       write all runs and their steps to FILE, the oldest first
//	left FILE       write all files of the state directory, beside dest and in TMPDIR to FILE
//
// Normalised text has RUN1, RUN2, ... for the ids of runs in the order of the
// history, and names for what differs each time.
func pinCmds() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"pins": cmdPins, "changes": cmdChanges, "seen": cmdSeen, "rows": cmdRows, "left": cmdLeft,
	}
}

func cmdPins(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: pins")
	}
	text, err := os.ReadFile("testdata/pin/see.sh")
	ts.Check(err)
	program, err := filepath.Abs(command(ts, []string{"stretcher"}).Path)
	ts.Check(err)
	see := strings.NewReplacer("@PROGRAM@", program, "@WORK@", ts.Getenv("WORK"),
		"@STATE@", ts.Getenv("STRETCHER_STATE_DIR"))
	ts.Check(os.WriteFile(ts.MkAbs("see"), []byte(see.Replace(string(text))), 0o755))
}

// pinnedRun is a run as the history tells of it.
type pinnedRun struct {
	ID, Name, Version, Dest, Result, Step, Error, Event string

	Exit  *int
	Steps []pinnedStep
}

type pinnedStep struct {
	Point, Dialect, Name, Signal string

	Exit     *int
	TimedOut bool `json:"timed_out"`
}

// historyOf asks the program for its history, as JSON.
func historyOf(ts *testscript.TestScript, args ...string) (runs []pinnedRun) {
	cmd := command(ts, append([]string{"stretcher", "history", "--json"}, args...))
	out, err := cmd.Output()
	ts.Check(err)
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var r pinnedRun
		ts.Check(dec.Decode(&r))
		runs = append(runs, r)
	}
	slices.Reverse(runs) // the oldest first
	return runs
}

var (
	pinnedName     = regexp.MustCompile(`^[A-Z_]+=`)
	pinnedID       = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	pinnedDigest   = regexp.MustCompile(`\b[0-9a-f]{32}(?:[0-9a-f]{32})?\b`)
	pinnedOurs     = regexp.MustCompile(`[^" \n]*/\.stretcher-[^" \n]*`) // in messages
	pinnedSize     = regexp.MustCompile(`\b[0-9]+ bytes announced`)
	pinnedLock     = regexp.MustCompile(`-[0-9a-f]{16}\.lock\b`)
	pinnedPID      = regexp.MustCompile(`"pid":[0-9]+`)
	pinnedVersion  = regexp.MustCompile(`"ociVersion":"1\.[0-9.]+"`)
	pinnedStaging  = regexp.MustCompile(`(?m)^STRETCHER_STAGING=(/.+)$`)
	pinnedManifest = regexp.MustCompile(`(?m)^HOOKED_POD_MANIFEST=(.+)/[^/]*$`)
	pinnedMark     = regexp.MustCompile(`(?m)^(STRETCHER_(?:COMMAND_ID|HOOK_ID|RUN_SUMMARY)|HOOKED_NODE)=.+$`)
)

// normalised gives what differs each time a name of its own: ids, checksums,
// directories that are made for one run.
func normalised(ts *testscript.TestScript, text string) string {
	text = pinnedMark.ReplaceAllString(text, "$1=VARIES")
	text = strings.ReplaceAll(text, nothingStaged, "NOTHING")
	for re, name := range map[*regexp.Regexp]string{pinnedStaging: "STAGING", pinnedManifest: "FILES"} {
		for _, m := range re.FindAllStringSubmatch(text, -1) {
			text = strings.ReplaceAll(text, m[1], name)
		}
	}
	text = pinnedOurs.ReplaceAllString(text, "OURS")
	ids := map[string]string{}
	for i, r := range historyOf(ts) {
		ids[r.ID] = fmt.Sprintf("RUN%d", i+1)
	}
	text = pinnedID.ReplaceAllStringFunc(text, func(id string) string {
		if name, ok := ids[id]; ok {
			return name
		}
		return "UNKNOWN-RUN"
	})
	text = pinnedDigest.ReplaceAllString(text, "DIGEST")
	text = pinnedSize.ReplaceAllString(text, "SIZE bytes announced")
	text = pinnedLock.ReplaceAllString(text, ".lock")
	text = pinnedPID.ReplaceAllString(text, `"pid":PID`)
	text = pinnedVersion.ReplaceAllString(text, `"ociVersion":"1.x"`)
	return strings.ReplaceAll(text, ts.Getenv("WORK"), "$WORK")
}

// takeSeen returns the blocks of the file seen and removes it.
func takeSeen(ts *testscript.TestScript) [][]string {
	name := ts.MkAbs("seen")
	data, err := os.ReadFile(name)
	ts.Check(err)
	ts.Check(os.Remove(name))
	var blocks [][]string
	for block := range strings.SplitSeq(string(data), "# ") {
		if block == "" {
			continue
		}
		text := normalised(ts, "# "+block)
		blocks = append(blocks, strings.Split(strings.TrimSuffix(text, "\n"), "\n"))
	}
	return blocks
}

func cmdSeen(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: seen FILE")
	}
	var out strings.Builder
	for _, block := range takeSeen(ts) {
		out.WriteString(strings.Join(block, "\n") + "\n")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(out.String()), 0o644))
}

func cmdChanges(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: changes FILE")
	}
	var out strings.Builder
	last := ts.Value("pinned").(*[]string)
	for _, block := range takeSeen(ts) {
		for i, line := range block {
			if i == 0 || !slices.Contains(*last, line) {
				out.WriteString(line + "\n")
			}
		}
		for _, line := range *last {
			name := pinnedName.FindString(line)
			if name != "" && !slices.ContainsFunc(block, func(l string) bool { return strings.HasPrefix(l, name) }) {
				out.WriteString("without " + strings.TrimSuffix(name, "=") + "\n")
			}
		}
		*last = block
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(out.String()), 0o644))
}

// cmdRows writes what the history has: of each run one line with result, step
// and exit status, one with its error if it has one, and one per step.
func cmdRows(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: rows FILE")
	}
	var out strings.Builder
	for _, r := range historyOf(ts) {
		fmt.Fprintf(&out, "%s of %s: %s in %q, exit %s, by %s\n", r.ID, title(r), r.Result, r.Step, number(r.Exit), r.Event)
		if r.Error != "" {
			fmt.Fprintf(&out, "  %s\n", r.Error)
		}
		for _, s := range historyOf(ts, "--run", r.ID)[0].Steps {
			fmt.Fprintf(&out, "  %s %s %q %s\n", s.Point, s.Dialect, s.Name, ending(s))
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(normalised(ts, out.String())), 0o644))
}

func title(r pinnedRun) string { return strings.TrimSpace(fmt.Sprintf("%q %s", r.Name, r.Version)) }

func ending(s pinnedStep) string {
	text := number(s.Exit)
	if s.Signal != "" {
		text += " " + s.Signal
	}
	if s.TimedOut {
		text += " timed out"
	}
	return text
}

// number writes an exit status; a run or step may have none.
func number(n *int) string {
	if n == nil {
		return "null"
	}
	return fmt.Sprint(*n)
}

// cmdLeft lists what is left after a run. Nothing is left out but SQLite's own
// files beside the history and the content of a release.
func cmdLeft(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: left FILE")
	}
	names := map[string]bool{}
	for _, root := range []string{"state", "srv", "tmp"} {
		err := filepath.WalkDir(ts.MkAbs(root), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			name, err := filepath.Rel(ts.MkAbs("."), path)
			switch {
			case err != nil:
				return err
			case strings.HasPrefix(name, "state/history.db-"):
			case d.IsDir() && root != "state" && name != root: // empty ones count there
				names[name+"/"] = true
			case d.Type()&fs.ModeSymlink != 0:
				to, err := os.Readlink(path)
				names[name+" -> "+to] = true
				return err
			case !d.IsDir():
				names[name] = true
			}
			return nil
		})
		ts.Check(err)
	}
	text := strings.Join(slices.Sorted(maps.Keys(names)), "\n") + "\n"
	if i := strings.Index(text, "/.stretcher-"); i >= 0 {
		ts.Fatalf("left behind:\n%s", text)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(normalised(ts, text)), 0o644))
}
