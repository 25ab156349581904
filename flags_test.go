package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"stretcher/internal/text/failure"
)

func TestParseArgs(t *testing.T) {
	for _, tc := range []struct {
		args string
		want func(*settings) bool
	}{
		{"-max-bandwidth 10MB", func(s *settings) bool { return s.MaxBandwidth == 10_000_000 }},
		{"--max-bandwidth=512KiB", func(s *settings) bool { return s.MaxBandwidth == 512<<10 }},
		{"--max-band-width 100", func(s *settings) bool { return s.MaxBandwidth == 100 }},
		{"-max-band-width=100", func(s *settings) bool { return s.MaxBandwidth == 100 }},
		{"-timeout 30", func(s *settings) bool { return s.Timeout == 30*time.Second }},
		{"--timeout 30s", func(s *settings) bool { return s.Timeout == 30*time.Second }},
		{"-random-delay 2.5", func(s *settings) bool { return s.RandomDelay == 2500*time.Millisecond }},
		{"-retry 3 -retry-wait 1", func(s *settings) bool { return s.Retry == 3 && s.RetryWait == time.Second }},
		{"", func(s *settings) bool { return s.Retry == 0 && s.RetryWait == 3*time.Second && s.RsyncVerbose == "-v" }},
		{"-rsync-verbose -v", func(s *settings) bool { return s.RsyncVerbose == "-v" && !s.showVersion }},
		{"-rsync-verbose -vv -v", func(s *settings) bool { return s.RsyncVerbose == "-vv" && s.showVersion }},
		{"--rsync-verbose=", func(s *settings) bool { return s.RsyncVerbose == "" }},
		{"--rsync-verbose --stats", func(s *settings) bool { return s.RsyncVerbose == "--stats" }},
		{"-v", func(s *settings) bool { return s.showVersion }},
		{"-version", func(s *settings) bool { return s.showVersion }},
		{"--version", func(s *settings) bool { return s.showVersion }},
		{"-h", func(s *settings) bool { return s.showHelp }},
		{"-help", func(s *settings) bool { return s.showHelp }},
		{"s3://b/k -retry 2", func(s *settings) bool { return s.Retry == 2 && s.args[0] == "s3://b/k" }},
		{"-retry 2 check x", func(s *settings) bool { return s.Retry == 2 && s.subcommand == "check" && s.args[0] == "x" }},
		{"check -retry 2 x", func(s *settings) bool { return s.Retry == 2 && s.subcommand == "check" && s.args[0] == "x" }},
		{"-log-format json -log-file f -progress never -strict-exit", func(s *settings) bool {
			return s.logFormat == "json" && s.logFile == "f" && s.progress == "never" && s.strictExit
		}},
		{"-- -retry", func(s *settings) bool { return len(s.args) == 1 && s.args[0] == "-retry" }},
	} {
		s, err := parseArgs(strings.Fields(tc.args))
		if err != nil || !tc.want(s) {
			t.Errorf("%q: %+v, %v", tc.args, s, err)
		}
	}
}

func TestParseArgsErrors(t *testing.T) {
	for args, want := range map[string]string{
		"-nope":                 "unknown shorthand flag: 'n' in -nope",
		"--nope":                "unknown flag: --nope",
		"-timeout":              "flag needs an argument: --timeout",
		"-timeout soon":         `invalid --timeout "soon": it is not a duration such as 30, 90s or 5m`,
		"-timeout -5":           `invalid --timeout "-5": it is not a number of seconds from 0 to 999999999`,
		"-timeout NaN":          `invalid --timeout "NaN": it is not a number of seconds`,
		"-retry x":              `invalid --retry "x": `,
		"--retry=-1":            "invalid --retry -1: it must not be negative",
		"-max-bandwidth fast":   `invalid --max-bandwidth "fast": it is not a size such as 500KB or 10MiB`,
		"-rsync-verbose --exec": `invalid --rsync-verbose "--exec": it is not an rsync option for verbosity`,
		"--rsync-verbose=x":     `invalid --rsync-verbose "x": it is not an rsync option for verbosity`,
		"--log-format xml":      `invalid --log-format "xml": text or json expected`,
		"--progress on":         `invalid --progress "on": auto or never expected`,
	} {
		_, err := parseArgs(strings.Fields(args))
		if !errors.Is(err, failure.ErrUsage) || !strings.HasPrefix(err.Error(), want) || hintOf(err) == "" {
			t.Errorf("%q:\ngot  %v\nwant %s", args, err, want)
		}
	}
}
