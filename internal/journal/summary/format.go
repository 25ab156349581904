package summary

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"regexp"
	"strings"
	"time"

	"stretcher/internal/journal/history"
	"stretcher/internal/text/printable"
)

// Format is a way to write a summary.
type Format struct {
	Name  string
	Write func(Summary, io.Writer) error
}

// Formats are the ways to write a summary; the first is for people.
func Formats() []Format {
	return []Format{
		{"text", Summary.writeText}, {"json", Summary.WriteJSON}, {"slack", Summary.writeSlack},
		{"teams", Summary.writeTeams}, {"mail", Summary.writeMail},
	}
}

// Headline is the summary in one line.
func (s Summary) Headline() string { return s.what() + s.how() }

// what is what was deployed.
func (s Summary) what() string {
	what := s.Name
	switch {
	case what == "" && s.Dest != "":
		what = s.Dest
	case what == "":
		what = s.URL
	}
	if s.Version != "" {
		what += " " + s.Version
	}
	return strings.TrimSpace(what)
}

// how is how that went, and where.
func (s Summary) how() string {
	text := fmt.Sprintf(" on %s: %s", s.Host, s.Result)
	if s.Step != "" {
		text += " in " + s.Step
	}
	took := time.Duration(s.Duration * float64(time.Second)).Round(time.Millisecond)
	switch {
	case took <= 0: // so short, or nobody knows
		return text
	case took < time.Minute:
		return text + ", after " + history.Human(took)
	}
	return text + ", after " + took.Truncate(time.Second).String()
}

// fact is a field of a summary, for people.
type fact struct{ name, value string }

// facts are what a summary tells besides its headline, without what is empty. The
// error names the command that failed.
func (s Summary) facts() (told []fact) {
	by := s.Event
	if s.User != "" {
		by = strings.TrimSpace(by + " by " + s.User)
	}
	for _, f := range []fact{
		{"dest", s.Dest}, {"manifest", s.URL}, {"asked by", by}, {"run", s.ID}, {"went back to", s.Back},
		{"error", s.Error},
	} {
		if f.value != "" {
			told = append(told, f)
		}
	}
	return told
}

// writeText writes the headline, a line for each fact, and the lines. No line of
// what others have said begins one: programs that send mail obey some that do.
func (s Summary) writeText(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintln(&b, s.Headline())
	for _, f := range s.facts() {
		fmt.Fprintf(&b, "%-13s %s\n", f.name+":", f.value)
	}
	if len(s.Lines) > 0 {
		fmt.Fprintln(&b, "last lines:")
	}
	for _, line := range s.Lines {
		fmt.Fprintln(&b, "  | "+line)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// WriteJSON writes one object on one line, which Parse reads.
func (s Summary) WriteJSON(w io.Writer) error {
	return printable.EncodeJSON(w, struct {
		Summary
		Text string `json:"text"` // the headline
	}{s, s.Headline()})
}

// writeSlack writes what Slack and those who took over its webhooks want. What was
// deployed, what has failed and what it said stand between marks for text as it is. Nothing there is
// a mention or a link: Slack knows those by what is escaped, and others by names
// that are taken apart.
func (s Summary) writeSlack(w io.Writer) error {
	text := mention(strings.ReplaceAll(s.how(), "`", "'"))
	if what := strings.ReplaceAll(printable.Line(s.what()), "`", "'"); what != "" {
		text = "`" + mention(what) + "`" + text
	}
	if s.Result != history.Good {
		var b bytes.Buffer
		for _, f := range s.facts() {
			fmt.Fprintf(&b, "%s: %s\n", f.name, f.value)
		}
		for _, line := range s.Lines {
			fmt.Fprintln(&b, "| "+line)
		}
		text += "\n```\n" + strings.ReplaceAll(b.String(), "```", "'''") + "```"
	}
	return printable.EncodeJSON(w, map[string]string{
		"text": strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text),
	})
}

// mention takes apart what would call all people in a channel.
func mention(text string) string {
	return regexp.MustCompile(`(?i)@(channel|here|all|everyone)`).ReplaceAllString(text, "@ $1")
}

// writeTeams writes an adaptive card in the message that the webhooks of Teams'
// workflows want. Its texts are runs, in which nothing is markup.
func (s Summary) writeTeams(w io.Writer) error {
	color := "Attention"
	if s.Result == history.Good {
		color = "Good"
	}
	body := []any{block(run{Type: "TextRun", Text: s.Headline(), Weight: "Bolder", Size: "Medium", Color: color})}
	for _, f := range s.facts() {
		body = append(body, block(run{Type: "TextRun", Text: f.name + ": ", Weight: "Bolder"},
			run{Type: "TextRun", Text: f.value}))
	}
	for _, line := range s.Lines {
		body = append(body, block(run{Type: "TextRun", Text: "| " + line, Font: "Monospace"}))
	}
	return printable.EncodeJSON(w, map[string]any{
		"type": "message",
		"attachments": []any{map[string]any{
			"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": nil,
			"content": map[string]any{
				"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard",
				"version": "1.4", "msteams": map[string]string{"width": "Full"}, "body": body,
			},
		}},
	})
}

// run is some text of an adaptive card.
type run struct {
	Type   string `json:"type"`
	Text   string `json:"text"`
	Weight string `json:"weight,omitempty"`
	Size   string `json:"size,omitempty"`
	Color  string `json:"color,omitempty"`
	Font   string `json:"fontType,omitempty"`
}

// block is a line of an adaptive card.
func block(runs ...run) any {
	return map[string]any{"type": "RichTextBlock", "spacing": "None", "inlines": runs}
}

// maxSubject bounds a subject, in bytes: what it is encoded to is one line.
const maxSubject = 200

// writeMail writes headers, but for those that say to whom, and the text.
func (s Summary) writeMail(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Subject: %s\nAuto-Submitted: auto-generated\nMIME-Version: 1.0\n"+
		"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n",
		mime.QEncoding.Encode("utf-8", printable.Cut(s.Headline(), maxSubject)))
	body := quotedprintable.NewWriter(&b)
	if err := s.writeText(body); err != nil {
		return err
	}
	if err := body.Close(); err != nil {
		return err
	}
	_, err := w.Write(bytes.ReplaceAll(b.Bytes(), []byte("\r\n"), []byte("\n")))
	return err
}
