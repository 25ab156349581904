package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"stretcher/internal/testparts"
)

// fixtureCmds are commands that scripts have beside those of TestScript:
//
//	fails CODE MESSAGE [ARG...]   a deployment fails as it should; see cmdFails
//	manifest [NAME=VALUE...]      make manifest.yml of manifest.in, with @NAME@ replaced by VALUE or
//	                              else the variable NAME; ARCHIVE=FILE sets SUM to FILE's sha256
//	archive FILE SPEC             make a tar archive of entries that tar(1) would not write
//	mounted DIR ARG...            mount(8) ARG... on DIR until the script ends; root only
//	guarded DIR                   serve DIR to who may have it (see testparts.ServeGuarded); sets HTTPS and OTHER
//	json [-any] FILE              each line of FILE is a JSON object of the log, or, with -any, a JSON object
func fixtureCmds() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"fails": cmdFails, "manifest": cmdManifest, "archive": cmdArchive, "mounted": cmdMounted, "json": cmdJSON,
		"guarded": cmdGuarded,
	}
}

// cmdFails runs a deployment that must fail as every failure should:
//
//   - the exit status is CODE;
//   - stderr has one error line, and MESSAGE, a regular expression, is all of it;
//   - the directory dest, if there is one, is as it was before;
//   - failure commands, which write "POINT STATUS" to the file failed and their
//     stdin to failed.log, ran with the whole log, error line included;
//   - success commands, which write the file succeeded, did not run;
//   - nothing is left behind.
//
// "fails -early" is for failures before there is a manifest to take failure
// commands from, "fails -mixed" for those that may leave dest half done. The
// manifest is manifest.yml unless ARGs name another.
func cmdFails(ts *testscript.TestScript, neg bool, args []string) {
	mode := ""
	if len(args) > 0 && strings.HasPrefix(args[0], "-") {
		mode, args = args[0], args[1:]
	}
	if neg || len(args) < 2 {
		ts.Fatalf("usage: fails [-early|-mixed] CODE MESSAGE [ARG...]")
	}
	code, message, args := args[0], args[1], args[2:]
	if len(args) == 0 && ts.Getenv("STDIN") == "" {
		args = []string{"file://" + ts.MkAbs("manifest.yml")}
	}
	for _, name := range []string{"failed", "failed.log", "succeeded"} {
		_ = os.Remove(ts.MkAbs(name))
	}
	before := snapshot(ts.MkAbs("dest"))
	cmd := command(ts, append([]string{"stretcher"}, args...))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	got := testparts.ExitStatus(cmd.Run())
	show(ts, stdout.Bytes(), stderr.Bytes())
	if strconv.Itoa(got) != code {
		ts.Fatalf("exit status %d, want %s", got, code)
	}
	checkErrorLine(ts, stderr.String(), message)
	checkFailure(ts, mode, message)
	if after := snapshot(ts.MkAbs("dest")); after != before && mode != "-mixed" {
		ts.Fatalf("dest has changed from\n%sto\n%s", before, after)
	}
	cmdClean(ts, false, nil)
}

var errorLine = regexp.MustCompile(`(?m)^(?:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d error|stretcher): (.*)$`)

// checkErrorLine wants the one error line of a log to be message.
func checkErrorLine(ts *testscript.TestScript, log, message string) {
	lines := errorLine.FindAllStringSubmatch(log, -1)
	if len(lines) != 1 {
		ts.Fatalf("%d error lines, want one", len(lines))
	}
	if want := regexp.MustCompile(`^(?:` + message + `)$`); !want.MatchString(lines[0][1]) {
		ts.Fatalf("the error line is\n%s\nwant\n%s", lines[0][1], message)
	}
}

// checkFailure looks at what success and failure commands have written.
func checkFailure(ts *testscript.TestScript, mode, message string) {
	if _, err := os.Stat(ts.MkAbs("succeeded")); err == nil {
		ts.Fatalf("success commands ran")
	}
	said, err := os.ReadFile(ts.MkAbs("failed"))
	if mode == "-early" {
		if err == nil {
			ts.Fatalf("failure commands ran")
		}
		return
	}
	if string(said) != "failure failed\n" {
		ts.Fatalf("the failure command wrote %q, want point and status", said)
	}
	checkErrorLine(ts, ts.ReadFile("failed.log"), message)
}

// snapshot is a listing of a tree with all that a deployment could change.
func snapshot(dir string) string {
	var b strings.Builder
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		fmt.Fprintf(&b, "%s %s %s", path, info.Mode(), info.ModTime().Format("15:04:05.000000000"))
		switch {
		case info.Mode().IsRegular():
			data, _ := os.ReadFile(path)
			fmt.Fprintf(&b, " %x", sha256.Sum256(data))
		case info.Mode()&fs.ModeSymlink != 0:
			target, _ := os.Readlink(path)
			fmt.Fprintf(&b, " -> %s", target)
		}
		b.WriteString("\n")
		return nil
	})
	return b.String()
}

// cmdManifest leaves the script's environment alone, save for SUM: what a
// manifest takes from the environment by templates is masked in the log.
func cmdManifest(ts *testscript.TestScript, neg bool, args []string) {
	text := ts.ReadFile("manifest.in")
	for _, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		if neg || !ok {
			ts.Fatalf("usage: manifest [NAME=VALUE...]")
		}
		text = strings.ReplaceAll(text, "@"+name+"@", value)
		if name == "ARCHIVE" {
			cmdSum(ts, false, []string{"sha256", value, "SUM"})
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs("manifest.yml"), []byte(text), 0o644))
	cmdSubst(ts, false, []string{"manifest.yml"})
}

// cmdArchive writes a tar archive. Each line of SPEC is an entry:
//
//	file NAME MODE [TEXT...]
//	dir NAME MODE
//	symlink NAME TARGET
//	link NAME TARGET
//	char NAME
//	fifo NAME
func cmdArchive(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: archive FILE SPEC")
	}
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	defer f.Close()
	w := tar.NewWriter(f)
	for line := range strings.Lines(ts.ReadFile(args[1])) {
		h, text := entry(ts, strings.Fields(line))
		ts.Check(w.WriteHeader(h))
		_, err := io.WriteString(w, text)
		ts.Check(err)
	}
	ts.Check(w.Close())
}

func entry(ts *testscript.TestScript, words []string) (*tar.Header, string) {
	if len(words) < 2 {
		ts.Fatalf("archive: entry %q needs a kind and a name", words)
	}
	h, rest := &tar.Header{Name: words[1], Mode: 0o644}, words[2:]
	kinds := map[string]byte{
		"file": tar.TypeReg, "dir": tar.TypeDir, "symlink": tar.TypeSymlink,
		"link": tar.TypeLink, "char": tar.TypeChar, "fifo": tar.TypeFifo,
	}
	var known bool
	if h.Typeflag, known = kinds[words[0]]; !known {
		ts.Fatalf("archive: unknown kind %q", words[0])
	}
	switch words[0] {
	case "symlink", "link":
		h.Linkname = rest[0]
		return h, ""
	case "file", "dir":
		mode, err := strconv.ParseInt(rest[0], 8, 64)
		ts.Check(err)
		text := strings.Join(rest[1:], " ")
		h.Mode, h.Size = mode, int64(len(text))
		return h, text
	}
	return h, ""
}

// cmdMounted mounts a file system for one script. Where that is not possible
// the script is skipped, but not in CI.
func cmdMounted(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: mounted DIR ARG...")
	}
	dir := ts.MkAbs(args[0])
	out, err := exec.Command("mount", append(args[1:], dir)...).CombinedOutput()
	if err != nil {
		if os.Getenv("CI") == "true" {
			ts.Fatalf("mount %q: %v: %s", args[1:], err, out)
		}
		ts.Value("t").(testscript.T).Skip("mount is not permitted")
	}
	ts.Defer(func() {
		if err := exec.Command("umount", dir).Run(); err != nil {
			_ = exec.Command("umount", "-l", dir).Run()
		}
	})
}

// cmdJSON checks a log in JSON, or with -any other objects, one a line.
func cmdJSON(ts *testscript.TestScript, neg bool, args []string) {
	any := len(args) == 2 && args[0] == "-any"
	if neg || !any && len(args) != 1 {
		ts.Fatalf("usage: json [-any] FILE")
	}
	name := args[len(args)-1]
	text := ts.ReadFile(name)
	for line := range strings.Lines(text) {
		var record struct {
			Time, Level, Run string
			Msg              *string
		}
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			ts.Fatalf("%s: %v: %q", name, err, line)
		}
		if !any && (record.Time == "" || record.Level == "" || record.Msg == nil || len(record.Run) != 36) {
			ts.Fatalf("%s: time, level, msg or run is missing: %q", name, line)
		}
	}
	if text == "" {
		ts.Fatalf("%s is empty", name)
	}
}

// cmdGuarded starts servers for the script.
func cmdGuarded(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: guarded DIR")
	}
	url, other, stop, err := testparts.ServeGuarded(ts.MkAbs(args[0]), ts.MkAbs("."), ts.MkAbs("requests"))
	ts.Defer(stop)
	ts.Check(err)
	ts.Setenv("HTTPS", url)
	ts.Setenv("OTHER", other)
}
