package cache

import (
	"errors"
	"strings"
	"testing"
)

// An index that is not what it should be goes, with a warning that names it; not so
// for who only looks.
func TestPoolDropIndex(t *testing.T) {
	p := newPool(t, 100)
	must(t, p.PutIndex(sumOf(1), []byte("spoilt")))
	said := ""
	p.Warn = func(err error) { said += err.Error() }
	reading, err := OpenPoolReading(p.Path())
	must(t, err)
	defer reading.Close()
	why := errors.New("its digest is another")
	var none *Pool
	none.DropIndex(sumOf(1), why)
	reading.DropIndex(sumOf(1), why)
	f, ok := p.Index(sumOf(1))
	if text(t, f, ok) != "spoilt" || said != "" {
		t.Fatalf("it is gone: %q", said)
	}
	p.DropIndex(sumOf(1), why)
	const want = `.idx" is dropped from the cache: its digest is another`
	if _, ok := p.Index(sumOf(1)); ok || !strings.Contains(said, want) {
		t.Errorf("there: %v, said %q", ok, said)
	}
}
