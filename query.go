package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"stretcher/internal/journal/history"
	"stretcher/internal/text/failure"
)

// maxReply is how much of a reply Serf takes, in bytes.
const maxReply = 1024

// answer answers a Serf query: one line on stdout and nothing on stderr, since
// Serf takes both for the reply. "deploy" deploys the manifest that is the
// payload, "status" tells of the dest that is. Other queries are not ours.
// The exit status is 0: the reply says how it went.
func answer(ctx context.Context, again <-chan struct{}, s *settings) int {
	var reply string
	switch os.Getenv("SERF_QUERY_NAME") {
	case "deploy":
		reply = answerDeploy(ctx, again, s)
	case "status":
		reply = answerStatus(ctx, s)
	default:
		return exitGood
	}
	fmt.Println(replyLine(reply))
	return exitGood
}

// replyLine makes one line of at most maxReply bytes, its end included.
func replyLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	const dots = "..."
	if len(text) > maxReply-1 {
		text = strings.ToValidUTF8(text[:maxReply-1-len(dots)], "") + dots
	}
	return text
}

func answerDeploy(ctx context.Context, again <-chan struct{}, s *settings) string {
	began := time.Now()
	outcome, err := runDeploy(ctx, again, s, io.Discard, io.Discard)
	if err != nil {
		return fmt.Sprintf("failed with exit status %d after %s: %s", exitCode(err), since(began), outcome)
	}
	return fmt.Sprintf("good after %s: %s", since(began), outcome)
}

func since(began time.Time) time.Duration { return time.Since(began).Round(time.Millisecond) }

func answerStatus(ctx context.Context, s *settings) (reply string) {
	payload, err := io.ReadAll(io.LimitReader(os.Stdin, maxReply))
	dest := strings.TrimSpace(string(payload))
	if err != nil || dest == "" {
		return "error: the query's payload must be a dest"
	}
	if dest, err = filepath.Abs(dest); err != nil {
		return "error: " + failure.Text(err)
	}
	err = readHistory(ctx, s, func(db *history.Store) (err error) {
		reply, _, err = statusOf(ctx, db, dest)
		return err
	})
	if err != nil {
		return "error: " + failure.Text(err)
	}
	return reply
}
