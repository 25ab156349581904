package delta

import (
	"crypto/sha256"
	"errors"
	"testing"

	"stretcher/internal/archive/index"
)

// TestAgreeKept: of a member that the archive before has as well, an index must say
// what that of the archive before says. Of another one it may say anything.
func TestAgreeKept(t *testing.T) {
	of := func(head, content string, member byte) *index.Index {
		b, err := index.NewBuilder()
		ok(t, err)
		ok(t, b.Frame([]byte(head)))
		ok(t, b.Content("f", int64(len(content))))
		b.Digest(sha256.Sum256([]byte(content)))
		ok(t, b.Frame([]byte("end")))
		b.Member(10, len(head)+len(content)+3, index.Sum{member})
		x, err := b.Finish(index.Sum{})
		ok(t, err)
		x, err = index.Decode(x.Encode())
		ok(t, err)
		return x
	}
	before := of("mode 644", "content", 1)
	for name, c := range map[string]struct {
		is     *index.Index
		agrees bool
	}{
		"itself":                         {of("mode 644", "content", 1), true},
		"another mode":                   {of("mode 755", "content", 1), false},
		"another content":                {of("mode 644", "CONTENT", 1), false},
		"a content elsewhere":            {of("mode 64", "4content", 1), false},
		"another mode in another member": {of("mode 755", "content", 2), true},
		"all in another member":          {of("mode", "something", 2), true},
	} {
		if err := agreeKept(c.is, before); (err == nil) != c.agrees || err != nil && !errors.Is(err, ErrIndex) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestExpected: an index must have the digest that is expected, and be of the
// archive, and of no larger one than is allowed.
func TestExpected(t *testing.T) {
	b, err := index.NewBuilder()
	ok(t, err)
	ok(t, b.Frame([]byte("frame")))
	b.Member(100, 5, index.Sum{})
	x, err := b.Finish(index.Sum{1})
	ok(t, err)
	data := x.Encode()
	sum := index.Sum(sha256.Sum256(data))
	for name, c := range map[string]struct {
		Expected
		is bool
	}{
		"it":              {Expected{Digest: sum, Archive: &index.Sum{1}, Limit: 100}, true},
		"another digest":  {Expected{Archive: &index.Sum{1}}, false},
		"another archive": {Expected{Digest: sum, Archive: &index.Sum{2}}, false},
		"too large":       {Expected{Digest: sum, Archive: &index.Sum{1}, Limit: 99}, false},
	} {
		if _, err := c.Decode(data); (err == nil) != c.is || err != nil && !errors.Is(err, ErrIndex) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
