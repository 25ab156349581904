package summary

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"stretcher/internal/journal/history"
)

// hostile is what a command prints that means harm.
const hostile = "say \"hi\" <!channel> @channel & `x` ``` \\\x1b[31m\u202e"

// failed is a run that has failed in a command.
func failed() history.Detail {
	start := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	return history.Detail{
		Run: history.Run{
			ID: "01a2", Started: start, Finished: start.Add(12340 * time.Millisecond), Result: history.Failed, Step: "post",
			Exit: 1, Error: `post: post command 2 "exit 3": exit status 3`, Event: "stdin", User: "deploy", Back: "r1",
			Deployment: history.Deployment{Name: "web", Version: "1.2", Dest: "/srv/web", URL: "https://h/web.yml"},
		},
		Steps: []history.Step{
			{Seq: 1, Point: "init", Dialect: "oci", Name: "bad", Exit: -1},
			{Seq: 2, Point: "fetch", Dialect: "stretcher", Name: "fetch"},
			{Seq: 3, Point: "post", Dialect: "command", Name: "exit 3", Exit: 3, Offset: 30},
			{Seq: 4, Point: history.WayBack, Dialect: "stretcher", Name: history.WayBack, Offset: 300},
			{Seq: 5, Point: "post", Dialect: "command", Name: "exit 4", Exit: 4, Offset: 350},
		},
	}
}

func TestOf(t *testing.T) {
	s := Of(failed(), "h1", time.Now(), []string{"one", hostile})
	if s.Step != "post" || s.Command != "exit 3" || *s.Exit != 1 || s.Duration != 12.34 || s.Back != "r1" {
		t.Errorf("%+v", s)
	}
	good := failed()
	good.Result, good.Error, good.Step, good.Exit, good.Finished = history.Good, "", "success", 0, time.Time{}
	good.Elapsed = time.Second // until it entered its step
	g := Of(good, "h1", good.Started.Add(65*time.Second), []string{"one"})
	if g.Step != "" || len(g.Lines) != 0 || g.Headline() != "web 1.2 on h1: good, after 1m5s" {
		t.Errorf("%q, %+v", g.Headline(), g)
	}
	for took, want := range map[float64]string{
		0.0004: "", 0.042: ", after 42ms", 0.999: ", after 999ms", 1: ", after 1.0s", 59.99: ", after 59.9s",
		61.9: ", after 1m1s",
	} {
		s := Summary{Name: "x", Host: "h", Result: "good", Duration: took}
		if got := s.Headline(); got != "x on h: good"+want {
			t.Errorf("%v: %q", took, got)
		}
	}
	for want, r := range map[string]history.Run{
		"/srv/x on h1: refused in lock": {Deployment: history.Deployment{Dest: "/srv/x"},
			Result: history.Refused, Step: "lock"},
		"https://h/m.yml on h1: died in sync": {Deployment: history.Deployment{URL: "https://h/m.yml"},
			Result: history.Died, Step: "sync"},
		`a\nSubject: b \x1b on h1: failed in x`: {
			Deployment: history.Deployment{Name: "a\nSubject: b", Version: "\x1b"}, Result: history.Failed, Step: "x"},
	} {
		if got := Of(history.Detail{Run: r}, "h1", time.Time{}, nil).Headline(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestFailed(t *testing.T) {
	d := failed()
	if s, ok := Failed(d); !ok || s.Seq != 3 {
		t.Errorf("%v, %v", s, ok)
	}
	d.Result, d.Step = history.Running, "failure" // its failure commands run
	if s, ok := Failed(d); !ok || s.Seq != 3 {
		t.Errorf("running: %v, %v", s, ok)
	}
	d.Error = "panic: post: x"
	if s, ok := Failed(d); ok {
		t.Errorf("a step that has nothing to do with it: %v", s)
	}
}

// TestBounds: however much a command prints, a summary is short, and whole
// characters.
func TestBounds(t *testing.T) {
	d := failed()
	d.Name, d.Error = strings.Repeat("ü", 9000), "post: "+strings.Repeat("€", 9000)
	lines := []string{}
	for range 100 {
		lines = append(lines, strings.Repeat("ß", 500))
	}
	s := Of(d, "h1", time.Now(), append(lines, "last"))
	for _, f := range Formats() {
		var b bytes.Buffer
		if err := f.Write(s, &b); err != nil || b.Len() > 24_000 || !utf8.Valid(b.Bytes()) {
			t.Errorf("%s: %d bytes, %v", f.Name, b.Len(), err)
		}
	}
	if n := len(s.Lines); n < 5 || n > MaxLines || s.Lines[n-1] != "last" {
		t.Errorf("%d lines, the last %q", n, s.Lines[n-1])
	}
}

func TestParse(t *testing.T) {
	s := Of(failed(), "h1", time.Now(), []string{hostile})
	var b bytes.Buffer
	if err := s.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	got, err := Parse(b.String())
	if err != nil || got.Headline() != s.Headline() || got.Lines[0] != s.Lines[0] || got.Error != s.Error {
		t.Errorf("%+v, %v, want %+v", got, err, s)
	}
	got, err = Parse(`{"lines":["a\nb\u001b"],"name":"a\nb"}`)
	if err != nil || got.Lines[0] != `a\nb\x1b` || got.Name != `a\nb` {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := Parse("[]"); err == nil {
		t.Error("a list is a summary")
	}
}

// written is a summary with hostile lines in a format.
func written(t *testing.T, format string) string {
	t.Helper()
	d := failed()
	d.Name = "web @channel <!here>"
	s := Of(d, "h1", time.Now(), []string{"one", hostile, ""})
	for _, f := range Formats() {
		if f.Name == format {
			var b bytes.Buffer
			if err := f.Write(s, &b); err != nil {
				t.Fatal(err)
			}
			return b.String()
		}
	}
	t.Fatalf("no format %q", format)
	return ""
}

func TestText(t *testing.T) {
	want := `web @channel <!here> 1.2 on h1: failed in post, after 12.3s
dest:         /srv/web
manifest:     https://h/web.yml
asked by:     stdin by deploy
run:          01a2
went back to: r1
error:        post: post command 2 "exit 3": exit status 3
last lines:
  | one
  | say "hi" <!channel> @channel & ` + "`x` ``` " + `\\x1b[31m\u202e
  | ` + "\n"
	if got := written(t, "text"); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestSlack(t *testing.T) {
	var m map[string]string
	if err := json.Unmarshal([]byte(written(t, "slack")), &m); err != nil {
		t.Fatal(err)
	}
	head, code, _ := strings.Cut(m["text"], "\n```\n")
	if len(m) != 1 || head != "`web @ channel &lt;!here&gt; 1.2` on h1: failed in post, after 12.3s" {
		t.Errorf("%d fields, headline %q", len(m), head)
	}
	if strings.ContainsAny(m["text"], "<>") || strings.Index(code, "```") != len(code)-3 {
		t.Errorf("what was printed is more than text:\n%s", m["text"])
	}
	for _, markup := range []string{"*x*", "_x_", "[a](http://x)", "a`*b*`", "~~x~~", "# x"} {
		d := failed()
		d.Name, d.Version = markup, markup
		var b bytes.Buffer
		err := Of(d, "h1", time.Now(), nil).writeSlack(&b)
		want := "`" + strings.ReplaceAll(markup+" "+markup, "`", "'") + "` on h1: "
		if err != nil || !strings.Contains(b.String(), `{"text":"`+want) {
			t.Errorf("%s, %v: %s", markup, err, b.String())
		}
	}
	for _, mark := range []string{"```", "``", "`````"} { // or what follows would be no text as it is
		d := failed()
		d.Name, d.Version = "a"+mark, mark+"b"
		var b bytes.Buffer
		err := Of(d, mark, time.Now(), []string{mark + "`"}).writeSlack(&b)
		if got := strings.Count(b.String(), "```"); err != nil || got != 2 {
			t.Errorf("%s: %d marks, %v: %s", mark, got, err, b.String())
		}
	}
}

func TestTeams(t *testing.T) {
	var m struct {
		Type        string
		Attachments []struct {
			ContentType string
			Content     struct {
				Type, Version string
				Body          []struct {
					Type    string
					Inlines []struct{ Type, Text, FontType, Color string }
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(written(t, "teams")), &m); err != nil {
		t.Fatal(err)
	}
	a := m.Attachments[0]
	body := a.Content.Body
	if m.Type != "message" || a.ContentType != "application/vnd.microsoft.card.adaptive" ||
		a.Content.Type != "AdaptiveCard" {
		t.Errorf("%+v", m)
	}
	for _, b := range body {
		if b.Type != "RichTextBlock" || len(b.Inlines) == 0 || b.Inlines[0].Type != "TextRun" || b.Inlines[0].Text == "" {
			t.Errorf("%+v", b)
		}
	}
	said := body[len(body)-2].Inlines[0].Text
	if body[0].Inlines[0].Color != "Attention" || !strings.Contains(said, `say "hi" <!channel>`) {
		t.Errorf("%+v", body)
	}
}

func TestMail(t *testing.T) {
	text := written(t, "mail")
	m, err := mail.ReadMessage(strings.NewReader("To: ops@example.com\n" + text))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil || string(body) != written(t, "text") {
		t.Errorf("%v:\n%s", err, body)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil || !strings.HasPrefix(subject, "web @channel <!here> 1.2 on h1: failed") || len(m.Header) != 6 {
		t.Errorf("%v, %v", m.Header, err)
	}
	d := failed()
	d.Name = strings.Repeat("ü", 200) + "\r\nBcc: x@example.com"
	var b bytes.Buffer
	if err := Of(d, "h1", time.Now(), nil).writeMail(&b); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if len(line) > 998 || strings.HasPrefix(line, "Bcc") {
			t.Errorf("%d bytes: %.80q", len(line), line)
		}
	}
}
