package cli

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"stretcher/internal/event"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/printable"
)

// maxReply is how much of a reply Serf takes, in bytes, with what it says itself in
// it. One that is longer never arrives, and nobody is told.
const maxReply = 1024

// maxPayload is how much of a query's payload is read.
const maxPayload = 1024

// replyRoom is how much of a reply is left to this program: Serf adds the node's name,
// a second time where others pass copies on (-relay-factor), and a frame around each.
func (p Process) replyRoom() int {
	const frames, least = 104, 256
	return max(maxReply-frames-2*len(p.Getenv("SERF_SELF_NAME")), least)
}

// answer answers a Serf query: one line on stdout and nothing on stderr, since
// Serf takes both for the reply. "deploy" deploys the manifest that is the
// payload, "status" tells of the dest that is, "fleet" of the name that is, as an
// object. Other queries are not ours.
// The exit status is 0: the reply says how it went.
func (o *rootOptions) answer(ctx context.Context) (int, error) {
	var reply string
	switch o.Getenv("SERF_QUERY_NAME") {
	case "deploy":
		reply = o.answerDeploy(ctx)
	case "status":
		reply = o.answerStatus(ctx)
	case "fleet":
		object, err := o.answerFleet(ctx)
		if err == nil {
			_, err = o.Stdout.Write(append(object, '\n'))
		}
		return Status(err), err
	default:
		return ExitGood, nil
	}
	_, err := fmt.Fprintln(o.Stdout, replyLine(reply, o.replyRoom()))
	return Status(err), err
}

// replyLine makes one line of at most so many bytes, its end included.
func replyLine(text string, room int) string {
	text = printable.Line(strings.Join(strings.Fields(text), " "))
	const dots = "..."
	if len(text) > room-1 {
		text = strings.ToValidUTF8(text[:room-1-len(dots)], "") + dots
	}
	return text
}

func (o *rootOptions) answerDeploy(ctx context.Context) string {
	began := time.Now()
	d := o.deploy
	d.Stdout, d.Stderr, d.Bar = io.Discard, io.Discard, false
	outcome, err := o.start(ctx, d)
	took := time.Since(began).Round(time.Millisecond)
	if err != nil {
		return fmt.Sprintf("failed with exit status %d after %s: %s", Status(err), took, outcome)
	}
	return fmt.Sprintf("good after %s: %s", took, outcome)
}

func (o *rootOptions) answerStatus(ctx context.Context) string {
	payload, err := event.Drain(ctx, o.Stdin, maxPayload)
	if err != nil {
		return "error: read the query's payload: " + failure.Text(err)
	}
	dest := strings.TrimSpace(string(payload))
	if dest == "" {
		return "error: the query's payload must be a dest"
	}
	if dest, err = filepath.Abs(dest); err != nil {
		return "error: " + failure.Text(err)
	}
	v, err := o.verdict(ctx, dest)
	if err != nil {
		return "error: " + failure.Text(err)
	}
	return v.String()
}
