package progress

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/dustin/go-humanize"
)

const (
	minBar = 5  // columns that a drawn bar is worth, without its ends
	maxBar = 60 // more than that tells nothing
)

// line is what is shown on so many columns, and how many of them it has: what it
// is, how far it is, and as much of the rest as there is room for.
func (b *Bar) line(width int, now time.Time) (text string, columns int) {
	share := b.share()
	label := b.shown(width - len(share))
	head := Columns(label) + len(share)
	var tail string
	for _, part := range b.parts(now) {
		if part != "" && head+len(tail)+1+len(part) <= width {
			tail += " " + part
		}
	}
	bar := ""
	if room := min(width-head-len(tail)-len(" []"), maxBar); share != "" && room >= minBar {
		full := int(int64(room) * b.percent() / 100)
		bar = " [" + strings.Repeat("=", full) + strings.Repeat(" ", room-full) + "]"
		if full > 0 && full < room {
			bar = " [" + strings.Repeat("=", full-1) + ">" + strings.Repeat(" ", room-full) + "]"
		}
	}
	return label + share + bar + tail, head + len(bar) + len(tail)
}

// percent is how much is done, of a total that is known.
func (b *Bar) percent() int64 {
	if b.done >= b.total {
		return 100
	}
	return int64(100 * (float64(max(b.done, 0)) / float64(b.total)))
}

// share is how much is done, where that is known.
func (b *Bar) share() string {
	if !b.counting || b.total < 0 {
		return ""
	}
	return fmt.Sprintf(" %3d%%", b.percent())
}

// parts are what there may be room for, the first the most important.
func (b *Bar) parts(now time.Time) []string {
	spent := now.Sub(b.began)
	if !b.counting {
		return []string{clock(spent)}
	}
	rate := 0.0
	if spent > refresh {
		rate = float64(b.done-b.first) / spent.Seconds()
	}
	speed, left := "", clock(spent)
	if rate >= 1 {
		speed = humanize.IBytes(uint64(rate)) + "/s"
	}
	if b.total >= 0 {
		left = ""
		if rate > 0 {
			left = clock(time.Duration(float64(max(b.total-b.done, 0)) / rate * float64(time.Second)))
		}
	}
	switch {
	case b.unit == Bytes:
		return []string{b.amount(), speed, left}
	case b.total < 0:
		return []string{fmt.Sprintf("%d paths", b.done), left}
	}
	return []string{left}
}

// amount is how many bytes are done, of how many.
func (b *Bar) amount() string {
	done := humanize.IBytes(uint64(max(b.done, 0)))
	if b.total < 0 {
		return done
	}
	return done + "/" + humanize.IBytes(uint64(b.total))
}

// clock is a time as a clock shows it.
func clock(d time.Duration) string {
	const most = 1000 * time.Hour
	if d < 0 || d >= most {
		return ""
	}
	s := int(d.Seconds())
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// shown is the label on at most so many columns, with what the terminal may not
// show, or would obey, as question marks.
func (b *Bar) shown(width int) string {
	var out strings.Builder
	columns := 0
	for _, r := range b.label {
		if !unicode.IsPrint(r) || r >= 0x80 && !b.screen.on.UTF8 || r == unicode.ReplacementChar {
			r = '?'
		}
		if columns += Columns(string(r)); columns > width {
			break
		}
		out.WriteRune(r)
	}
	return out.String()
}

// firstWide: no rune before it takes two columns. Of those behind it many do, and
// all are taken for such.
const firstWide = 0x1100

// Columns is how many columns a text takes, at most.
func Columns(text string) (n int) {
	for _, r := range text {
		if n++; r >= firstWide {
			n++
		}
	}
	return n
}
