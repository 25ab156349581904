package keys

import (
	"encoding/json"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"stretcher/internal/text/units"
)

func TestOneOf(t *testing.T) {
	for want, words := range map[string]OneOf{
		"": nil, "a": {"a"}, "a or b": {"a", "", "b"}, "a, b or c": {"a", "b", "c"},
	} {
		if got := words.String(); got != want {
			t.Errorf("%q: %q", words, got)
		}
	}
	if err := (OneOf{"a", "b"}).Check("c"); err == nil || err.Error() != "is not a or b" {
		t.Error(err)
	}
}

// TestNumber: the pattern of a range has its numbers and no others.
func TestNumber(t *testing.T) {
	for _, r := range [][2]int64{
		{1, 16}, {1, 100}, {1, 1000}, {1, 10000}, {7, 7}, {98, 1203}, {5, math.MaxInt64}, {math.MaxInt64 - 7, math.MaxInt64},
	} {
		p := regexp.MustCompile("^(?:" + between(r[0], r[1]) + ")$")
		for n := range int64(10100) {
			if got, want := p.MatchString(strconv.FormatInt(n, 10)), r[0] <= n && n <= r[1]; got != want {
				t.Errorf("%d of %v: %v", n, r, got)
			}
		}
		for n := uint64(math.MaxInt64 - 20); n < math.MaxInt64+20; n++ {
			want := n <= math.MaxInt64 && r[0] <= int64(n) && int64(n) <= r[1]
			if got := p.MatchString(strconv.FormatUint(n, 10)); got != want {
				t.Errorf("%d of %v: %v", n, r, got)
			}
		}
	}
	for _, n := range []Number{{Least: 1, Most: 16}, {Most: 1000}, {}} {
		p, _ := n.schema(&Document{})["pattern"].(string)
		for _, text := range strings.Split("0 -0 +0 00 1 +1 -1 016 16 17 1000 1001  x 1.0 1e1", " ") {
			value, err := strconv.ParseInt(text, 10, 64)
			if got, want := matches(p, text), err == nil && n.Check(value) == nil; got != want {
				t.Errorf("%q of %+v: %v", text, n, got)
			}
		}
	}
}

// TestUnits: a pattern has what the program reads, and nothing else but for what
// is too much, or less than a byte.
func TestUnits(t *testing.T) {
	var size units.Size
	var span units.Duration
	var mode units.Mode
	texts := strings.Fields(`0 00 1 5 5. 1.5 1.0 1.5b 1.5k 0.0 .0 .5
		-1 0x1p4 +1 1e3 1e 0x10 1,5 1..5 . 5b 5B 5k 5K 5kb 5KiB 5Ki 5i 5ib 500MB
		2GiB 1.5TiB 4EB 4eib 5bb 5mbi 30s 5m 1h30m 1.5h .5s 5.s 1d 90x s m + - 5ms 5us 5µs
		5ns -5s +5s 1h-5m 999999999 1000000000 1e9 1e8 NaN Inf
		0755 755 0o755 0o 08 02775 012345 0o12345 0x755 07`)
	texts = append(texts, "", " ", "5 MB", "5\tGiB", " 5", "5 ", "5 s", "1 h", "5MB ")
	for _, text := range texts {
		for _, kind := range []struct {
			name  string
			value Scalar
			err   error
		}{
			{"size", Size(), size.UnmarshalText([]byte(text))},
			{"span", Seconds(), span.UnmarshalText([]byte(text))},
			{"mode", Mode(), mode.UnmarshalText([]byte(text))},
		} {
			overflows := kind.name == "span" && slices.Contains([]string{"1000000000", "1e9"}, text)
			if got := kind.value.Check(text) == nil; got != (kind.err == nil) && !overflows {
				t.Errorf("%q as a %s: %v, the program: %v", text, kind.name, got, kind.err)
			}
		}
	}
}

// TestRows: those of a section are below it.
func TestRows(t *testing.T) {
	table := []Key{
		Row("a", Text(), "", ""),
		Row("b", Section{Row("c", Flag{}, "`true`", "whether"), Row("d", List{Of: Text()}, "", "")}, "", ""),
	}
	named := Named{Name: "x", Section: Section{Row("f", Text(), "", "")}}
	list := Row("e", Map{Of: List{Of: Either{Text(), named}}}, "", "")
	var paths []string
	for _, row := range Rows(append(slices.Clone(table), list)) {
		paths = append(paths, row.Name)
	}
	if !slices.Equal(paths, []string{"a", "b.c", "b.d", "e.*[].f"}) {
		t.Error(paths)
	}
	text, err := (&Document{ID: "urn:x", Keys: table}).JSON()
	var schema struct {
		Properties map[string]struct {
			Properties map[string]struct {
				Default     any
				Description string
			}
		}
	}
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	c := schema.Properties["b"].Properties["c"]
	if err != nil || c.Default != true || c.Description != "whether. Default: true. Since 2.0." {
		t.Errorf("%+v, %v", c, err)
	}
}
