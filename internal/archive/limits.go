package archive

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
)

// Limits bounds an extraction; exceeding one is ErrLimit. Zero means the
// default: 4096 for NameLen, 1000 for Depth, no limit for Bytes and Entries.
type Limits struct {
	Bytes   int64 // content, holes included; the whole stream, but for some slack
	Entries int64 // entries of any type
	NameLen int   // bytes of a name or link target
	Depth   int   // components of a name
}

func (l Limits) withDefaults() Limits {
	if l.NameLen == 0 {
		l.NameLen = defaultNameLen
	}
	if l.Depth == 0 {
		l.Depth = defaultDepth
	}
	return l
}

// checkEntries is asked with the number of entries read so far.
func (l Limits) checkEntries(n int64) error {
	if l.Entries > 0 && n > l.Entries {
		return exceeded("archive holds more than %d entries", l.Entries)
	}
	return nil
}

// checkContent is asked with the number of content bytes read so far.
func (l Limits) checkContent(n int64) error {
	if l.Bytes > 0 && n > l.Bytes {
		return exceeded("archive unpacks to more than %d bytes", l.Bytes)
	}
	return nil
}

// checkStream is asked with the decompressed bytes and entries read so far.
func (l Limits) checkStream(n, entries int64) error {
	if l.Bytes > 0 && n-streamSlack-(entries+1)*entrySlack > l.Bytes {
		return exceeded("archive decompresses to far more than %d bytes", l.Bytes)
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
