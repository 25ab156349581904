package archive

import "math"

const (
	defaultNameLen = 4096 // PATH_MAX
	defaultDepth   = 1000
	maxPart        = 255  // NAME_MAX of nearly every file system
	maxTarget      = 4095 // of symlink(2), on Linux
	// entrySlack and streamSlack are what headers and padding may add to the
	// decompressed stream over the content that Limits.Bytes speaks of: an
	// entry of two long names and some PAX records, and the end of the archive.
	entrySlack  = 32 << 10
	streamSlack = 2 << 20
	// behindSlack and behindRate bound what is decompressed behind the end of
	// the archive, where nothing else does: a number of bytes, and more for each
	// byte that the compressed data has.
	behindSlack = 256 << 20
	behindRate  = 16
	// textSlack and textRate bound the names and link targets that are kept
	// until the end, where the number of entries is bounded: a number of bytes,
	// and more for each entry that is allowed.
	textSlack = 16 << 20
	textRate  = 40
)

// Limits bounds an extraction; exceeding one is ErrLimit. Zero means the
// default: 4096 for NameLen, 1000 for Depth, no limit for Bytes and Entries.
type Limits struct {
	Bytes   int64 // content, holes included, again for each hard link; the whole stream, but for some slack
	Entries int64 // entries of any type, and directories that names imply
	NameLen int   // bytes of a name or link target
	Depth   int   // components of a name
	behind  int64 // bytes behind the end; 0 = behindSlack
}

func (l Limits) withDefaults() Limits {
	if l.NameLen == 0 {
		l.NameLen = defaultNameLen
	}
	if l.Depth == 0 {
		l.Depth = defaultDepth
	}
	if l.behind == 0 {
		l.behind = behindSlack
	}
	return l
}

// tally is what was read so far, as far as the limits speak of it. The reader
// and its target count into the same one.
type tally struct {
	lim     Limits
	entries int64 // read
	implied int64 // directories made for names in them
	content int64 // bytes read, holes included
	linked  int64 // bytes that hard links have in common with their files
	text    int64 // bytes of names and link targets
	turns   int64 // how often content was read, or a hole passed

	progress func(bytes int64) // nil: nobody wants to know
}

// entry counts one that was read.
func (t *tally) entry() error {
	t.entries++
	return t.checkEntries()
}

// imply counts a directory that the archive has no entry for so far.
func (t *tally) imply() error {
	t.implied++
	return t.checkEntries()
}

func (t *tally) checkEntries() error {
	if l := t.lim.Entries; l > 0 && t.entries+t.implied > l {
		return tooMany("archive holds more than %d entries", l)
	}
	return nil
}

// keep counts names and link targets that a target may have to remember. Their
// length is what the memory for an entry depends on.
func (t *tally) keep(n int) error {
	t.text += int64(n)
	if l := t.lim.Entries; l > 0 && (t.text-textSlack)/textRate > l {
		return tooMany("names and link targets are too long: %d bytes for at most %d entries", t.text, l)
	}
	return nil
}

// read counts bytes of content.
func (t *tally) read(n int64) error {
	t.content = addUp(t.content, n)
	if t.turns++; t.progress != nil {
		t.progress(t.content)
	}
	return t.checkContent()
}

// link counts a hard link to a file of n bytes: what copies the tree writes
// them again.
func (t *tally) link(n int64) error {
	t.linked = addUp(t.linked, n)
	return t.checkContent()
}

func (t *tally) checkContent() error {
	if l := t.lim.Bytes; l > 0 && addUp(t.content, t.linked) > l {
		return tooMuch("archive unpacks to more than %d bytes", l)
	}
	return nil
}

// addUp adds sizes, which may claim anything.
func addUp(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// checkStream is asked with the decompressed bytes read so far.
func (t *tally) checkStream(n int64) error {
	if l := t.lim.Bytes; l > 0 && n-streamSlack-(t.entries+1)*entrySlack > l {
		return tooMuch("archive decompresses to far more than %d bytes", l)
	}
	return nil
}

func (l Limits) checkName(name string) error {
	if len(name) > l.NameLen {
		return exceeded("name or link target is longer than %d bytes", l.NameLen)
	}
	return nil
}

// checkPart is for one component of a name. Some file systems take less than
// it does and say so themselves.
func checkPart(part string) error {
	if len(part) > maxPart {
		return exceeded("a part of the name is longer than %d bytes", maxPart)
	}
	return nil
}

// checkTarget is for the target of a symlink.
func (l Limits) checkTarget(to string) error {
	if err := l.checkName(to); err != nil {
		return err
	}
	if len(to) > maxTarget {
		return exceeded("symlink target is longer than %d bytes", maxTarget)
	}
	return nil
}
