package journal

import (
	"bytes"
	"math"
	"os"

	"stretcher/internal/disk"
	"stretcher/internal/journal/history"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/printable"
)

// auditLine is what the file of history.json gets for each hook and command,
// on one line: for whoever collects such files from many hosts.
type auditLine struct {
	auditRun
	Point    string  `json:"point"`
	Stage    string  `json:"stage"` // the dialect's own word for the point
	Dialect  string  `json:"dialect"`
	Name     string  `json:"name"`
	Source   string  `json:"source"`
	Exit     *int    `json:"exit"` // null: a signal ended it, or it never started
	Signal   string  `json:"signal"`
	TimedOut bool    `json:"timed_out"`
	Duration float64 `json:"duration_s"`
	Success  bool    `json:"success"`
	Why      string  `json:"why"` // it never started
}

// auditRun is what a line says of the run.
type auditRun struct {
	Time       string `json:"time"` // when the hook or command began
	Host       string `json:"host"`
	Run        string `json:"run"`
	Deployment string `json:"deployment"` // the manifest's name
	Version    string `json:"version"`
	Dest       string `json:"dest"`
}

func newAuditLine(run history.Run, s history.Step) auditLine {
	host, _ := os.Hostname()
	line := auditLine{
		auditRun: auditRun{
			Time: s.Started.UTC().Format("2006-01-02T15:04:05.000Z07:00"), Host: host, Run: s.Run,
			Deployment: run.Name, Version: run.Version, Dest: run.Dest,
		},
		Point: s.Point, Stage: s.Stage, Dialect: s.Dialect, Name: s.Name, Source: s.Source, Signal: s.Signal,
		TimedOut: s.TimedOut, Duration: math.Round(s.Duration.Seconds()*1000) / 1000, Success: s.OK(), Why: s.Why,
	}
	if s.Signal == "" && s.Exit >= 0 {
		line.Exit = &s.Exit
	}
	return line
}

// AuditTo names the file of history.json, to which each hook and command that
// ends is appended; "" is none.
func (j *Journal) AuditTo(file string) { j.audit = file }

// appendAudit appends a step to the file of history.json. The file is opened
// anew for each line, so that it may be rotated by renaming. What can't be
// written is a warning, once.
func (j *Journal) appendAudit(s history.Step) {
	if j.audit == "" || s.Dialect == DialectSelf {
		return
	}
	if err := appendLine(j.audit, newAuditLine(j.run, s)); err != nil {
		j.log.Warn(failure.Sayf("history.json: %v", err))
		j.audit = ""
	}
}

// appendLine writes the line at once: other runs append to the same file.
func appendLine(name string, line auditLine) error {
	var b bytes.Buffer
	if err := printable.EncodeJSON(&b, line); err != nil {
		return err
	}
	f, err := disk.OpenRegular(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	if _, err := f.Write(b.Bytes()); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

// Dialects of the steps that no hook dialect has.
const (
	DialectSelf    = "stretcher" // a step of the process itself
	DialectCommand = "command"
)
