package policy

import (
	"stretcher/internal/text/keys"
	"stretcher/internal/text/units"
)

// Limits are the largest sizes accepted, in bytes, and the largest number of
// entries in an archive; 0 = no limit. Rate is the one that is a least.
type Limits struct {
	Manifest units.Size `yaml:"manifest"`
	Archive  units.Size `yaml:"archive"`
	Unpacked units.Size `yaml:"unpacked"`
	Files    int64      `yaml:"files"`
	// Rate is the least that a server must bring, in bytes per second; nil =
	// 1 KiB, 0 = no limit. A manifest has none.
	Rate *units.Size `yaml:"rate"`
}

// defaultRate is the least rate of a server, in bytes per second.
const defaultRate = 1 << 10

// LeastRate is the least that a server must bring, in bytes per second; 0 = no
// limit.
func (l Limits) LeastRate() int64 {
	if l.Rate == nil {
		return defaultRate
	}
	return int64(*l.Rate)
}

// Tightest returns, of each limit, the smaller that is set. Rate, which a
// manifest has none of, is left out.
func (l Limits) Tightest(other Limits) Limits {
	return Limits{
		Manifest: smaller(l.Manifest, other.Manifest),
		Archive:  smaller(l.Archive, other.Archive),
		Unpacked: smaller(l.Unpacked, other.Unpacked),
		Files:    smaller(l.Files, other.Files),
	}
}

func smaller[T ~int64](a, b T) T {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// Extract says how archives are unpacked; see package archive.
type Extract string

// The ways to unpack, from the looser to the tighter.
const (
	Compat Extract = "compat"
	Strict Extract = "strict"
)

// ExtractWords are the ways to unpack.
func ExtractWords() keys.OneOf { return keys.OneOf{string(Compat), string(Strict)} }

// UnmarshalText accepts compat and strict.
func (e *Extract) UnmarshalText(b []byte) error {
	*e = Extract(b)
	return ExtractWords().Check(string(b))
}

// Tighter returns the stricter of two ways to unpack.
func (e Extract) Tighter(other Extract) Extract {
	if e == Strict || other == Strict {
		return Strict
	}
	return Compat
}
