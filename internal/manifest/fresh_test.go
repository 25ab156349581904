package manifest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"stretcher/internal/text/failure"
)

func TestSerial(t *testing.T) {
	for text, want := range map[string]Serial{
		"1": 1, `"42"`: 42, "9223372036854775807": 1<<63 - 1, "": 0, "null": 0,
		"0": -1, "-1": -1, "+1": -1, "01": -1, "0x1f": -1, "1e3": -1, "1_000": -1, "1.0": -1, "9223372036854775808": -1,
		"' 1'": -1, "''": -1, "one": -1, "true": -1, "[1]": -1, "{a: 1}": -1, "\u0661": -1,
	} {
		m, warnings, err := parsed("name: app\nserial: " + text + "\n")
		switch {
		case want < 0 && (!errors.Is(err, failure.ErrMalformed) || !strings.Contains(err.Error(), "line 2: serial: ")):
			t.Errorf("%q was accepted: %v, %v", text, m, err)
		case want >= 0 && (err != nil || len(warnings) > 0 || m.Serial != want || m.IsDated() != (want > 0)):
			t.Errorf("%q: %v, %v, %v", text, m, warnings, err)
		}
	}
	for doc, want := range map[string]string{
		"serial: 1\ncommands: {pre: a}":                 "name: is required with serial, where there is no dest",
		"serial: 1\nserial: 2\nname: a":                 "serial: stands twice",
		"serial: 1\ndest: /srv/app\ncommands: {pre: a}": "",
	} {
		_, _, err := parsed(doc)
		if text := fmt.Sprint(err); want == "" && err != nil || !strings.Contains(text, want) {
			t.Errorf("%q: %v, want %q", doc, err, want)
		}
	}
}

func TestExpires(t *testing.T) {
	noon := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]bool{
		"2026-12-01T12:00:00Z": true, "2026-12-01T13:00:00+01:00": true, `"2026-12-01T12:00:00.000Z"`: true,
		"2026-12-01": false, "2026-12-01T12:00:00": false, "2026-12-01 12:00:00Z": false, "2026-13-01T12:00:00Z": false,
		"2026-12-01T24:00:00Z": false, "2026-12-01T12:00Z": false, "2026-12-01T12:00:00z": false,
		"1764590400": false, "''": false, "never": false, "[2026-12-01T12:00:00Z]": false,
		"0001-01-01T00:00:00Z": false, // what Go takes for no time at all
	} {
		m, _, err := parsed("commands: {pre: a}\nexpires: " + text + "\n")
		if want && (err != nil || !m.Expires.Equal(noon) || !m.IsDated()) {
			t.Errorf("%q: %v, %v", text, m, err)
		}
		if !want && (!errors.Is(err, failure.ErrMalformed) || !strings.Contains(err.Error(), "line 2: expires: ")) {
			t.Errorf("%q was accepted: %v, %v", text, m, err)
		}
	}
}

func TestCheckExpiry(t *testing.T) {
	noon := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	f := Freshness{Expires: Expiry{noon.In(time.FixedZone("", 3600))}}
	for now, want := range map[time.Time]bool{
		noon.Add(-time.Nanosecond): true, noon: false, noon.Add(time.Nanosecond): false, noon.AddDate(-1, 0, 0): true,
	} {
		if err := f.CheckExpiry(now); (err == nil) != want || err != nil && !errors.Is(err, failure.ErrRefused) {
			t.Errorf("at %s: %v", now, err)
		}
	}
	if err := (Freshness{}).CheckExpiry(noon); err != nil {
		t.Errorf("without expires: %v", err)
	}
}
