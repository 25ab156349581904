package schema

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stretcher/internal/testparts"
)

// TestMain removes the program that the tests have built.
func TestMain(m *testing.M) { testparts.Main(m) }

// editor speaks to a language server as an editor does (LSP 3.17, over stdio).
type editor struct {
	*testing.T
	in   io.Writer
	said chan message
	id   int
	dir  string
}

// message is one of JSON-RPC 2.0.
type message struct {
	ID     any             `json:"id,omitempty"`
	Method string          `json:"method,omitempty"`
	Params json.RawMessage `json:"params,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  json.RawMessage `json:"error,omitempty"`
}

// object is one of JSON.
type object = map[string]any

// newEditor starts a language server in a directory of its own.
func newEditor(t *testing.T) *editor {
	t.Helper()
	cmd := exec.Command(testparts.Need(t, "yaml-language-server"), "--stdio")
	e := &editor{T: t, said: make(chan message, 100), dir: t.TempDir()}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	e.in, cmd.Env = in, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + e.dir}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	go e.listen(bufio.NewReader(out))
	e.ask("initialize", object{"processId": os.Getpid(), "rootUri": "file://" + e.dir, "capabilities": object{
		"textDocument": object{
			"completion": object{"completionItem": object{"documentationFormat": []string{"markdown"}}},
			"hover":      object{"contentFormat": []string{"markdown"}},
		},
	}})
	e.tell("initialized", object{})
	return e
}

// listen reads what the server says, until it ends.
func (e *editor) listen(out *bufio.Reader) {
	defer close(e.said)
	for {
		size := 0
		for {
			line, err := out.ReadString('\n')
			if err != nil {
				return
			}
			if line = strings.TrimSpace(line); line == "" {
				break
			}
			_, _ = fmt.Sscanf(line, "Content-Length: %d", &size)
		}
		text := make([]byte, size)
		if _, err := io.ReadFull(out, text); err != nil {
			return
		}
		var m message
		if json.Unmarshal(text, &m) == nil {
			e.said <- m
		}
	}
}

func (e *editor) send(m object) {
	e.Helper()
	m["jsonrpc"] = "2.0"
	text, err := json.Marshal(m)
	if err == nil {
		_, err = fmt.Fprintf(e.in, "Content-Length: %d\r\n\r\n%s", len(text), text)
	}
	if err != nil {
		e.Fatal(err)
	}
}

func (e *editor) tell(method string, params any) { e.send(object{"method": method, "params": params}) }

// ask is a request with its answer.
func (e *editor) ask(method string, params any) json.RawMessage {
	e.Helper()
	e.id++
	e.send(object{"id": e.id, "method": method, "params": params})
	return e.wait(method, func(m message) bool { return m.Method == "" && fmt.Sprint(m.ID) == fmt.Sprint(e.id) }).Result
}

// wait waits for a message. What the server asks meanwhile is answered by nothing.
func (e *editor) wait(what string, found func(message) bool) message {
	e.Helper()
	limit := time.After(testparts.Limit(time.Minute))
	for {
		select {
		case m, ok := <-e.said:
			switch {
			case !ok:
				e.Fatalf("%s: the server has ended", what)
			case m.Method != "" && m.ID != nil:
				e.send(object{"id": m.ID, "result": nil})
			case len(m.Error) > 0:
				e.Fatalf("%s: %s", what, m.Error)
			}
			if found(m) {
				return m
			}
		case <-limit:
			e.Fatalf("%s: nothing has come", what)
		}
	}
}

// open opens a document that names its schema, and returns its URI with what is
// said to be wrong with it.
func (e *editor) open(name, text string) (uri string, wrong []string) {
	e.Helper()
	uri = "file://" + filepath.Join(e.dir, name)
	e.tell("textDocument/didOpen", object{"textDocument": object{
		"uri": uri, "languageId": "yaml", "version": 1, "text": text,
	}})
	var said struct {
		URI         string
		Diagnostics []struct{ Message string }
	}
	e.wait("diagnostics", func(m message) bool {
		said.URI = ""
		return m.Method == "textDocument/publishDiagnostics" && json.Unmarshal(m.Params, &said) == nil && said.URI == uri
	})
	for _, d := range said.Diagnostics {
		wrong = append(wrong, d.Message)
	}
	return uri, wrong
}

// at is a position in a document.
func at(uri string, line, column int) object {
	return object{"textDocument": object{"uri": uri}, "position": object{"line": line, "character": column}}
}

// offered are the completions at a position, with what is told of each.
func (e *editor) offered(uri string, line, column int) map[string]string {
	e.Helper()
	var list struct {
		Items []struct {
			Label         string
			Documentation any
		}
	}
	answer := e.ask("textDocument/completion", at(uri, line, column))
	if err := json.Unmarshal(answer, &list); err != nil {
		e.Fatalf("%s: %v", answer, err)
	}
	all := map[string]string{}
	for _, item := range list.Items {
		all[item.Label] = fmt.Sprint(item.Documentation)
	}
	return all
}

// hover is what is told of a position.
func (e *editor) hover(uri string, line, column int) string {
	e.Helper()
	return string(e.ask("textDocument/hover", at(uri, line, column)))
}

// TestEditor: a language server that has the schemas offers the keys, tells what
// each is for, and marks a wrong one.
func TestEditor(t *testing.T) {
	e := newEditor(t)
	for _, kind := range []string{"manifest", "policy"} {
		text, err := exec.Command(testparts.Shipped(t), "schema", kind).Output()
		if err == nil {
			err = os.WriteFile(filepath.Join(e.dir, kind+".schema.json"), text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	line := "# yaml-language-server: $schema=" + e.dir
	t.Run("manifest", func(t *testing.T) {
		e.T = t
		uri, wrong := e.open("app.yml", line+`/manifest.schema.json
src: s3://deploys/app.tar.gz
checksum: sha256:`+strings.Repeat("ab", 32)+`
dest: /srv/app
sync_strategy: releases
releases:
  ke
commands:
  post:
    - run: systemctl restart app
      
comands: {}
`)
		if !slices.ContainsFunc(wrong, func(text string) bool { return strings.Contains(text, "comands") }) {
			t.Errorf("wrong: %q", wrong)
		}
		offered := e.offered(uri, 6, 4)
		if !strings.Contains(offered["keep"], "how many good releases stay") || offered["src"] != "" {
			t.Errorf("below releases: %q", offered)
		}
		if offered = e.offered(uri, 10, 6); offered["timeout"] == "" || offered["cwd"] == "" || offered["keep"] != "" {
			t.Errorf("in a command: %q", offered)
		}
		if text := e.hover(uri, 4, 3); !strings.Contains(text, "How the archive's tree becomes") {
			t.Errorf("sync_strategy: %s", text)
		}
	})
	t.Run("values", func(t *testing.T) {
		e.T = t
		uri, _ := e.open("b.yml", line+"/manifest.schema.json\nsync_strategy: \nd\n")
		if offered := e.offered(uri, 1, 15); !has(offered, "native", "releases", "mv", "rsync") {
			t.Errorf("of sync_strategy: %q", offered)
		}
		if offered := e.offered(uri, 2, 1); !has(offered, "dest", "dest_mode", "src", "hooks") {
			t.Errorf("at the top: %q", offered)
		}
	})
	t.Run("templates", func(t *testing.T) {
		e.T = t
		_, wrong := e.open("c.yml", line+`/manifest.schema.json
name: {{ must_env "APP" }}
version: '{{ env "VERSION" "1.0" }}'
sync_strategy: {{ env "STRATEGY" "native" }}
commands: {post: [&again {run: true, timeout: 5m}, {<<: *again, run: date}]}
x-own: anything
`)
		if len(wrong) > 0 {
			t.Errorf("wrong: %q", wrong)
		}
	})
	t.Run("policy", func(t *testing.T) {
		e.T = t
		uri, wrong := e.open("config.yml", line+"/policy.schema.json\nallow:\n  dests: srv\nextract: loose\nli\n")
		if text := strings.Join(wrong, "\n"); !strings.Contains(text, "absolute path") || !strings.Contains(text, "strict") {
			t.Errorf("wrong: %q", wrong)
		}
		if offered := e.offered(uri, 4, 2); !has(offered, "limits", "require_state", "run_as") {
			t.Errorf("at the top: %q", offered)
		}
	})
}

func has(offered map[string]string, labels ...string) bool {
	return !slices.ContainsFunc(labels, func(label string) bool {
		_, ok := offered[label]
		return !ok
	})
}

// TestDocumentedManifestsInEditor: nothing is marked in a manifest of the
// documents.
func TestDocumentedManifestsInEditor(t *testing.T) {
	e := newEditor(t)
	text, err := exec.Command(testparts.Shipped(t), "schema", "manifest").Output()
	if err == nil {
		err = os.WriteFile(filepath.Join(e.dir, "manifest.schema.json"), text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	opened := 0
	for _, d := range blocks(t, "docs/manifest.md", "yaml manifest") {
		if strings.Contains(string(d.raw), "{{ ") {
			continue // a template without quotes is no YAML
		}
		opened++
		line := "# yaml-language-server: $schema=" + e.dir + "/manifest.schema.json\n"
		if _, wrong := e.open(fmt.Sprintf("%d.yml", opened), line+string(d.raw)); len(wrong) > 0 {
			t.Errorf("%s: %q", d.name, wrong)
		}
	}
	if opened < 5 {
		t.Errorf("%d manifests found", opened)
	}
}
