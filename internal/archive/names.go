package archive

import "strings"

// localName turns the name of an entry, or the target of a hard link, into a
// slash-separated path below the root without empty, "." or ".." components;
// "" is the root itself. absolute reports a leading slash, which GNU tar drops.
func localName(name string, lim Limits) (path string, absolute bool, err error) {
	if err := lim.checkName(name); err != nil {
		return "", false, err
	}
	if strings.IndexByte(name, 0) >= 0 {
		return "", false, malformed("name holds a NUL byte")
	}
	if name == "" {
		return "", false, malformed("name is empty")
	}
	parts := make([]string, 0, 16)
	for part := range strings.SplitSeq(name, "/") {
		switch part {
		case "", ".":
		case "..":
			return "", false, refused("name leaves the root")
		default:
			if err := checkPart(part); err != nil {
				return "", false, err
			}
			parts = append(parts, part)
		}
	}
	if len(parts) > lim.Depth {
		return "", false, exceeded("name is deeper than %d directories", lim.Depth)
	}
	return strings.Join(parts, "/"), name[0] == '/', nil
}

// Strip is name without its first n components, as GNU tar's --strip-components
// counts them: "." is one, what stands between two slashes in a row is none. ""
// = nothing is left. It is the name that an entry is unpacked under, or a hard
// link's target; targets of symlinks stay as they are.
func Strip(name string, n int) string {
	for name = strings.TrimLeft(name, "/"); n > 0; n-- {
		_, rest, found := strings.Cut(name, "/")
		if !found {
			return ""
		}
		name = strings.TrimLeft(rest, "/")
	}
	return name
}

// strictTarget judges the target of a symlink that lies depth directories
// below the root. ".." counts only at its head: there it speaks of real
// directories, whereas behind a name it depends on where that name leads.
func strictTarget(target string, depth int) error {
	if strings.HasPrefix(target, "/") {
		return refused("symlink target %q is absolute", target)
	}
	named := false
	for part := range strings.SplitSeq(target, "/") {
		switch part {
		case "", ".":
		case "..":
			if depth--; named || depth < 0 {
				return refused("symlink target %q may leave the root", target)
			}
		default:
			named = true
		}
	}
	return nil
}

// depthOf counts the directories above path.
func depthOf(path string) int { return strings.Count(path, "/") }
