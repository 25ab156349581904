package units

import (
	"io/fs"
	"testing"
	"time"
)

func TestMode(t *testing.T) {
	for text, want := range map[string]fs.FileMode{"0755": 0o755, "0o711": 0o711, "0": 0, "02750": 0o750 | fs.ModeSetgid,
		"07777": 0o777 | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky} {
		var m Mode
		if err := m.UnmarshalText([]byte(text)); err != nil || fs.FileMode(m) != want {
			t.Errorf("%s: %v, %v", text, fs.FileMode(m), err)
		}
	}
	for _, text := range []string{"", "755", "0x1f", "00000755", "-0755", "rwx"} {
		if err := new(Mode).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "30": 30 * time.Second, "2.5": 2500 * time.Millisecond, "90s": 90 * time.Second,
		"5m": 5 * time.Minute, "1h30m": 90 * time.Minute,
	} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || time.Duration(d) != want {
			t.Errorf("%s: %v, %v", text, time.Duration(d), err)
		}
	}
	for _, text := range []string{"", "1e-10", "0.1ns", "0.0000000001",
		"-1", "-1s", "soon", "0x10", "0x1p4", "0X1P4s", "1_000", "-0.5", "1.5.5", "1,5", "30 s",
		"1d", "1w", "1e9", "1e10", "NaN", "Inf", "5 m", "5d"} {
		d := Duration(7)
		if err := d.UnmarshalText([]byte(text)); err == nil || d != 7 {
			t.Errorf("%q was accepted: %v", text, d)
		}
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]Size{"0": 0, "1000": 1000, "500MB": 500e6, "2GiB": 2 << 30, "1.5 KiB": 1536,
		"1.0": 1, "5.b": 5, "0.5KB": 500, "1.1GiB": 1181116006, ".5k": 500, "0.0": 0,
		"4EiB": 1 << 62} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%s: %d, %v", text, s, err)
		}
	}
	for _, text := range []string{"", "big", "-1", "5EiB", "1 parsec", "1.5", "1.5B", "1500.5", "1000000.1 b", "1.9999",
		"0.0015KB", "0.9995kb", "1e3", "1E3", "0x10", "1_000", "+5", "1.5.5", ".", ".MB", "NaN", "Inf", "-1.5MB", "5 5MB",
		"0.5", "0.0004KB", "0.9 B", "1,5GB", "1,500", "1,500MB", ",5"} {
		s := Size(7)
		if err := s.UnmarshalText([]byte(text)); err == nil || s != 7 {
			t.Errorf("%q was accepted: %d", text, s)
		}
	}
}

// FuzzUnits: nothing that people write is taken for a negative number.
func FuzzUnits(f *testing.F) {
	for _, s := range []string{"", "0755", "30", "90s", "-1", "2GiB", "NaN", "1e9", "0o17"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var (
			d Duration
			s Size
			m Mode
		)
		if d.UnmarshalText(text) == nil && d < 0 || s.UnmarshalText(text) == nil && s < 0 {
			t.Errorf("%q: %d, %d", text, d, s)
		}
		if m.UnmarshalText(text) == nil && fs.FileMode(m)&^(fs.ModePerm|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky) != 0 {
			t.Errorf("%q: mode %v", text, fs.FileMode(m))
		}
	})
}
