package fleet

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Amount is a number of hosts, or a share of a group in percent, or both, where
// the smaller holds. The zero value says nothing.
type Amount struct {
	hosts, percent     int64
	inHosts, inPercent bool
}

// Hosts is an amount of so many hosts.
func Hosts(n int64) Amount { return Amount{hosts: n, inHosts: true} }

// Percent is an amount of so many hosts in a hundred.
func Percent(n int64) Amount { return Amount{percent: n, inPercent: true} }

// UnmarshalText reads 3 or 10%.
func (a *Amount) UnmarshalText(b []byte) error {
	text := strings.TrimPrefix(string(b), "+")
	digits, share := strings.CutSuffix(text, "%")
	n, err := strconv.ParseUint(digits, 10, 32)
	switch {
	case err != nil, !share && n > MaxHosts, share && n > 100:
		return errors.New("is not a number of hosts such as 3, or a share such as 10%")
	case share:
		*a = Percent(int64(n))
	default:
		*a = Hosts(int64(n))
	}
	return nil
}

// IsSet tells whether it says something.
func (a Amount) IsSet() bool { return a.inHosts || a.inPercent }

// IsZero tells whether it is none of any group.
func (a Amount) IsZero() bool { return a.inHosts && a.hosts == 0 || a.inPercent && a.percent == 0 }

// Of is the amount in a group of n hosts. A share is rounded down: it is never
// more than it says. Where the amount says nothing it is otherwise.
func (a Amount) Of(n, otherwise int) int {
	if !a.IsSet() {
		return otherwise
	}
	most := int64(max(0, n))
	if a.inPercent {
		most = most * a.percent / 100
	}
	if a.inHosts {
		most = min(most, a.hosts)
	}
	return int(most)
}

// Least are two amounts together: of each group the smaller holds.
func (a Amount) Least(other Amount) Amount {
	if !a.inHosts || other.inHosts && other.hosts < a.hosts {
		a.hosts, a.inHosts = other.hosts, other.inHosts
	}
	if !a.inPercent || other.inPercent && other.percent < a.percent {
		a.percent, a.inPercent = other.percent, other.inPercent
	}
	return a
}

// String is the amount in words; "" = it says nothing.
func (a Amount) String() string {
	if a.IsZero() {
		return "0 hosts"
	}
	var all []string
	if a.inPercent {
		all = append(all, fmt.Sprintf("%d%%", a.percent))
	}
	if a.inHosts {
		all = append(all, plural(a.hosts, "host", "hosts"))
	}
	return strings.Join(all, " and no more than ")
}

// or is String, and where it says nothing, what holds then.
func (a Amount) or(otherwise string) string {
	if !a.IsSet() {
		return otherwise
	}
	return a.String()
}

// plural counts something.
func plural(n int64, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

func sorted(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
