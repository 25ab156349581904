package runlog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"stretcher/internal/text/printable"
)

func soFar(t *testing.T, l *Log) string {
	t.Helper()
	b, err := io.ReadAll(l.SoFar())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestTextLine(t *testing.T) {
	for _, tc := range []struct{ message, want string }{
		{"plain", "plain"},
		{"two\nlines", `two\nlines`},
		{"\x1b[31mred", `\x1b[31mred`},
		{"tab\tstays", "tab\tstays"},
		{"bell\a del\x7f", `bell\a del\x7f`},
		{"c1 \u009b31m", `c1 \u009b31m`},
		{"not utf8 \xff\xfe", `not utf8 \xff\xfe`},
		{"日本語", "日本語"},
		{"bidi \u202egpj", `bidi \u202egpj`},
	} {
		var out bytes.Buffer
		l := New(Options{Writers: []io.Writer{&out}})
		l.Info(tc.message)
		line := out.String()
		if _, err := time.Parse(time.RFC3339, line[:len(timeLayout)]); err != nil {
			t.Errorf("no time at the start: %v", err)
		}
		if got := line[len(timeLayout)+1:]; got != tc.want+"\n" {
			t.Errorf("%q: got %q, want %q", tc.message, got, tc.want)
		}
		if soFar(t, l) != line {
			t.Errorf("spool %q differs from output %q", soFar(t, l), line)
		}
	}
}

// TestTextZone: the time zone is a number, in UTC as well, so that messages stand
// in one column.
func TestTextZone(t *testing.T) {
	at := time.Date(2026, 11, 22, 16, 0, 54, 999_999_999, time.UTC)
	for zone, want := range map[*time.Location]string{
		time.UTC:                            "2026-11-22T16:00:54+00:00 m\n",
		time.FixedZone("CET", 3600):         "2026-11-22T17:00:54+01:00 m\n",
		time.FixedZone("NST", -3*3600-1800): "2026-11-22T12:30:54-03:30 m\n",
	} {
		var out bytes.Buffer
		_ = newTextHandler(&out).Handle(t.Context(), slog.NewRecord(at.In(zone), slog.LevelInfo, "m", 0))
		if out.String() != want {
			t.Errorf("%v: %q, want %q", zone, out.String(), want)
		}
	}
}

// TestJournal: a line begins with its priority, whatever a child prints, and is one
// line. A file beside it has times.
func TestJournal(t *testing.T) {
	var out, file bytes.Buffer
	l := New(Options{Writers: []io.Writer{&out}, File: &file, Format: FormatJournal})
	l.Mask("TOKEN", "secret")
	l.Info("a secret")
	l.Warn("careful\n<0>forged")
	l.Error("bad")
	_, _ = io.WriteString(l.Output(""), "<0>panic\n\r<1>alert\n")
	l.End("result", "good")
	want := "<6>a [TOKEN]\n<4>warning: careful\\n<0>forged\n<3>error: bad\n<6><0>panic\n<6>\\r<1>alert\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
	if file.String() != soFar(t, l) || strings.Count(file.String(), "\n") != 5 {
		t.Errorf("the file has %q", file.String())
	}
}

// TestSteps: each line of a step names it, what children print too, and one that
// names another stays there. The last line is for programs alone.
func TestSteps(t *testing.T) {
	var out bytes.Buffer
	l := New(Options{Writers: []io.Writer{&out}, Format: FormatJSON})
	l.Info("before")
	l.Enter("pre")
	l.With("run", "1").Info("in")
	_, _ = io.WriteString(l.Output(""), "printed\n")
	l.Info("own", "step", "post")
	l.Enter("")
	l.Info("after")
	l.End("exit", 1, "error", "x")
	var got []string
	for line := range strings.Lines(out.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(m["msg"], " ", m["step"], " ", m["exit"]))
	}
	want := "before <nil> <nil>|in pre <nil>|printed pre <nil>|own post <nil>|after <nil> <nil>|run ended <nil> 1"
	if strings.Join(got, "|") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "|"), want)
	}
	if strings.Contains(soFar(t, l), "run ended") {
		t.Error("people are told too")
	}
}

func TestLevelsAndAttributes(t *testing.T) {
	l := New(Options{})
	l.Warn("careful", "step", "fetch")
	l.With("run", "1").Error("bad", "text", "a b")
	l.Debug("not shown")
	got := soFar(t, l)
	for _, want := range []string{" warning: careful\n", " error: bad\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
	if strings.Contains(got, "not shown") {
		t.Error("a debug line was shown")
	}
}

// TestLimit: of what children print no more is kept, which is told once; the
// log's own lines are, and writers get all.
func TestLimit(t *testing.T) {
	var out bytes.Buffer
	l := New(Options{Writers: []io.Writer{&out}})
	l.Limit(1000)
	w := l.Output("hook: ")
	for range 1000 {
		_, _ = io.WriteString(w, "a line of 20 letters\n")
	}
	l.Info("the end")
	got := soFar(t, l)
	if n := strings.Count(got, "a line"); n < 10 || n > 25 {
		t.Errorf("%d lines kept", n)
	}
	if n := strings.Count(got, "from here on is not kept"); n != 1 || !strings.HasSuffix(got, " the end\n") {
		t.Errorf("told %d times:\n%s", n, got)
	}
	if n := strings.Count(out.String(), "a line"); n != 1000 || strings.Contains(out.String(), "not kept") {
		t.Errorf("a writer got %d lines", n)
	}
	l.Limit(1 << 20)
	_, _ = io.WriteString(w, "with more room\n")
	if got := soFar(t, l); !strings.HasSuffix(got, " hook: with more room\n") {
		t.Errorf("got %q", got)
	}
}

func TestJSON(t *testing.T) {
	var out bytes.Buffer
	l := New(Options{Writers: []io.Writer{&out}, Format: FormatJSON})
	l.Mask("TOKEN", `quo"ted`)
	l.With("run", "1").Info(`has quo"ted and `+"\x1b", "took", 1500*time.Millisecond, "attr", `x quo"ted`, "err", io.EOF)
	var m map[string]any
	if err := json.Unmarshal(out.Bytes(), &m); err != nil {
		t.Fatal(err)
	}
	if m["msg"] != "has [TOKEN] and \x1b" || m["took"] != 1.5 || m["attr"] != "x [TOKEN]" || m["err"] != "EOF" ||
		m["run"] != "1" || m["level"] != "INFO" {
		t.Errorf("got %v", m)
	}
	if text := soFar(t, l); !strings.Contains(text, `has [TOKEN] and \x1b`) {
		t.Errorf("spool is not text: %q", text)
	}
}

func TestMasks(t *testing.T) {
	l := New(Options{})
	l.Mask("SHORT", "abc")
	l.Mask("PART", "secret")
	l.Mask("WHOLE", "secret-and-more")
	l.Mask("KEY", "-----BEGIN-----\nline-two\n-----END-----\n")
	l.Mask("QUOTED", "a\t\"b\\c")
	l.Info(fmt.Sprintf("%q", "x a\t\"b\\c y"))
	if got := soFar(t, l); !strings.HasSuffix(got, " \"x [QUOTED] y\"\n") {
		t.Errorf("got %q", got)
	}
	l.Mask("UNSEEN", "pass\u3164 \"word")
	if got := l.Masked(printable.Line(fmt.Sprintf("bad %q", "pass\u3164 \"word"))); got != `bad "[UNSEEN]"` {
		t.Errorf("got %q", got)
	}
	l.Info("abc secret secret-and-more line-two", "attr", "x secret", "err", io.EOF)
	got := soFar(t, l)
	if !strings.Contains(got, `abc [PART] [WHOLE] [KEY]`) {
		t.Errorf("got %q", got)
	}
	if l.Masked("my secret") != "my [PART]" {
		t.Errorf("Masked = %q", l.Masked("my secret"))
	}
}

// TestCommonWords: words that are settings are no secrets; values that hold
// them are.
func TestCommonWords(t *testing.T) {
	l := New(Options{})
	for _, v := range []string{"true", "FALSE", "debug", "default", "true-secret", "mytrue", "production"} {
		l.Mask("V", v)
	}
	l.Info("it is true or false, a debug default; true-secret, mytrue, production")
	if got := soFar(t, l); !strings.HasSuffix(got, " it is true or false, a debug default; [V], [V], [V]\n") {
		t.Errorf("got %q", got)
	}
}

// The shortest value that is masked has four bytes, and not three or five.
func TestMaskBoundary(t *testing.T) {
	if MinMask != 4 {
		t.Errorf("docs/manifest.md says 4, MinMask is %d", MinMask)
	}
	for value, want := range map[string]string{
		"abc": "x abc y", "abcd": "x [V] y", "abcde": "x [V] y", " abc ": "x  abc  y", " abcd ": "x  [V]  y",
		"é1": "x é1 y", "éé": "x [V] y",
	} {
		l := New(Options{})
		l.Mask("V", value)
		if got := l.Masked("x " + value + " y"); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}

// A manifest may have ten thousand values: adding one must not cost more the
// more there are. What is asked in between is right all the same.
func TestManyMasks(t *testing.T) {
	l := New(Options{})
	name := func(i int) string { return fmt.Sprintf("value-%05d", i) }
	for i := range 10_000 {
		l.Mask("V"+strconv.Itoa(i), name(i))
		if i%2500 == 0 && l.Masked(name(i)) != "[V"+strconv.Itoa(i)+"]" {
			t.Errorf("value %d is not masked once it is added", i)
		}
	}
	if n := testing.AllocsPerRun(10, func() { l.Mask("V0", name(0)) }); n > 100 {
		t.Errorf("one more value takes %v allocations", n)
	}
	if got := l.Masked(name(0) + " " + name(9999)); got != "[V0] [V9999]" {
		t.Errorf("got %q", got)
	}
}

func TestOutputLines(t *testing.T) {
	for _, tc := range []struct {
		name   string
		writes []string
		want   []string
	}{
		{"whole", []string{"a\nb\n"}, []string{"a", "b"}},
		{"split", []string{"a", "b\nc", "\n"}, []string{"ab", "c"}},
		{"no end", []string{"a\nrest"}, []string{"a", "rest"}},
		{"crlf", []string{"a\r\nb\r", "\n"}, []string{"a", "b"}},
		{"empty line", []string{"\n\n"}, []string{"", ""}},
		{"long", []string{strings.Repeat("x", maxLine) + "yz\n"}, []string{strings.Repeat("x", maxLine), "yz"}},
		{"long, no end", []string{strings.Repeat("x", maxLine+2)}, []string{strings.Repeat("x", maxLine), "xx"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			w := &LineWriter{Line: func(s string) { got = append(got, s) }}
			for _, s := range tc.writes {
				if n, err := w.Write([]byte(s)); n != len(s) || err != nil {
					t.Fatalf("Write = %d, %v", n, err)
				}
			}
			_ = w.Close()
			if strings.Join(got, "|") != strings.Join(tc.want, "|") || len(got) != len(tc.want) {
				t.Errorf("got %d lines %.80q", len(got), got)
			}
		})
	}
}

func TestSecretIsNotCutInHalves(t *testing.T) {
	l := New(Options{})
	l.Mask("PW", "hunter2hunter2")
	for _, end := range []string{"\n", ""} {
		w := l.Output("")
		for _, part := range []string{
			strings.Repeat("x", maxLine-4) + "hunter2", "hunter2", strings.Repeat("y", 2*maxLine) + end,
		} {
			_, _ = w.Write([]byte(part))
		}
		_ = w.Close()
	}
	if got := soFar(t, l); strings.Contains(got, "hunt") || strings.Contains(got, "ter2") ||
		strings.Count(got, "[PW]") < 1 {
		t.Errorf("%d bytes of log hold a part of the secret", len(got))
	}
}

// TestLongSecret: one that is longer than a line, and comes in pieces, is not
// seen either.
func TestLongSecret(t *testing.T) {
	for _, length := range []int{5 << 10, 10 << 10, 80 << 10} {
		var secret strings.Builder
		for i := 0; secret.Len() < length; i++ {
			fmt.Fprintf(&secret, "<%06d>", i)
		}
		for _, before := range []int{0, 100, 30_000, 40_000} {
			var buf bytes.Buffer
			log := New(Options{Writers: []io.Writer{&buf}})
			log.Mask("V", secret.String())
			out := log.Output("")
			text := strings.Repeat(".", before) + secret.String() + "\n"
			for piece := range slices.Chunk([]byte(text), 7000) {
				_, _ = out.Write(piece)
			}
			_ = out.Close()
			if strings.ContainsAny(buf.String(), "<>") {
				t.Errorf("%d bytes after %d: a part of the secret is in the log", length, before)
			}
			_ = log.Close()
		}
	}
}

func TestClean(t *testing.T) {
	l := New(Options{Clean: strings.ToUpper})
	l.Mask("NAME", "secret")
	l.Info("my secret")
	if got := soFar(t, l); !strings.HasSuffix(got, " MY [NAME]\n") || l.Masked("secret") != "[NAME]" {
		t.Errorf("got %q", got)
	}
}

// TestRepeatingSecrets: a long value that repeats itself is looked for in pieces
// of a bounded length, and all of it is hidden, whole, cut, or twice.
func TestRepeatingSecrets(t *testing.T) {
	for _, part := range []string{"a", "ab", "abcdefg-", "xyz\n"} {
		value := strings.Repeat(part, 100_000/len(part)) + "the end"
		l := New(Options{})
		l.Mask("V", value)
		for piece := range l.masks.values {
			if len(piece) >= 2*maxPiece {
				t.Fatalf("%q: a piece of %d bytes", part, len(piece))
			}
		}
		for text, want := range map[string]string{
			"x " + value + " y":              "x [V] y",
			value + "," + value:              "[V],[V]",
			"x " + value[:50*maxPiece] + "!": "x [V]!",
		} {
			if got := l.Masked(text); got != want && !strings.Contains(part, "\n") {
				t.Errorf("%q: %.100q, want %q", part, got, want)
			} else if strings.Contains(got, part+part) || len(got) > 3*maxPiece {
				t.Errorf("%q: %d bytes are left", part, len(got))
			}
		}
	}
}

// TestLastPiece: how a long value ends is no secret of its own.
func TestLastPiece(t *testing.T) {
	for _, length := range []int{
		maxPiece, maxPiece + 1, maxPiece + 4, 2*maxPiece - 1, 2 * maxPiece, 2*maxPiece + 4, 1000,
	} {
		for _, end := range []string{"/usr", "true", "error"} {
			value := strings.Repeat("0123456789", 200)[:length-len(end)] + end
			l := New(Options{})
			l.Mask("V", value)
			text := "in /usr/lib: true, an error"
			if got := l.Masked(text); got != text {
				t.Errorf("%d bytes with %q at their end: %q", length, end, got)
			}
			if got := l.Masked("x " + value + " y"); got != "x [V] y" {
				t.Errorf("%d bytes: %q", length, got)
			}
			if got := l.Masked("x " + value[:len(value)-1]); len(got) > maxPiece+5 {
				t.Errorf("%d bytes, cut: %q", length, got)
			}
		}
	}
}

// BenchmarkMask: a byte of output costs the same however long the value is.
func BenchmarkMask(b *testing.B) {
	for _, size := range []int{1 << 10, 32 << 10, 800 << 10} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			l := New(Options{})
			l.Mask("V", strings.Repeat("ab", size/2))
			text := strings.Repeat("ab", 16<<10) + strings.Repeat("abc", 10<<10)
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				_ = l.Masked(text)
			}
		})
	}
}

// BenchmarkManyMasks: a value costs the same however many there are.
func BenchmarkManyMasks(b *testing.B) {
	for _, n := range []int{1000, 10_000, 40_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			for b.Loop() {
				l := New(Options{})
				for i := range n {
					l.Mask("V", fmt.Sprintf("value-%05d", i))
				}
				_ = l.Masked("value-00000")
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/value")
		})
	}
}
