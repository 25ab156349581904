package access

import "strings"

// login is an entry of a netrc.
type login struct {
	host           string
	others         bool // it is for all hosts: default
	user, password string
}

// find is the first entry for a host. byDefault says whether one for all others
// counts, too.
func find(all []login, host string, byDefault bool) (login, bool) {
	for _, l := range all {
		if l.others && byDefault || !l.others && strings.EqualFold(l.host, host) {
			return l, l.user != "" || l.password != ""
		}
	}
	return login{}, false
}

// parse reads a netrc as curl does: words, which may be quoted, in any layout. A
// macro ends at an empty line.
func parse(text []byte) (all []login) {
	macro := false
	var key string // that a value follows
	for line := range strings.Lines(string(text)) {
		if strings.TrimSpace(line) == "" {
			macro = false
			continue
		}
		for word, rest := next(line); word != "" && !macro; word, rest = next(rest) {
			plain := unquoted(word)
			switch {
			case key != "":
				all = set(all, key, plain)
				key = ""
			case strings.HasPrefix(word, "#"):
				rest = ""
			case word == "default":
				all = append(all, login{others: true})
			case word == "macdef":
				macro = true
			case word == "machine", word == "login", word == "password", word == "account":
				key = word
			}
		}
	}
	return all
}

// set sets a value of the last entry, or begins one.
func set(all []login, key, value string) []login {
	if key == "machine" {
		return append(all, login{host: value})
	}
	if len(all) == 0 {
		return all
	}
	switch last := &all[len(all)-1]; key {
	case "login":
		last.user = value
	case "password":
		last.password = value
	}
	return all
}

// next is the first word of a line, quotes included, and what is behind it.
func next(line string) (word, rest string) {
	line = strings.TrimLeft(line, " \t\r\n")
	if !strings.HasPrefix(line, `"`) {
		if i := strings.IndexAny(line, " \t\r\n"); i >= 0 {
			return line[:i], line[i:]
		}
		return line, ""
	}
	for i := 1; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case '"':
			return line[:i+1], line[i+1:]
		}
	}
	return line, ""
}

// unquoted is a word without its quotes and what is escaped in them.
func unquoted(word string) string {
	if !strings.HasPrefix(word, `"`) {
		return word
	}
	var b strings.Builder
	inner := strings.TrimSuffix(word[1:], `"`)
	for i := 0; i < len(inner); i++ {
		c := inner[i]
		if c == '\\' && i+1 < len(inner) {
			i++
			c = inner[i]
			if named := strings.IndexByte("nrt", c); named >= 0 {
				c = "\n\r\t"[named]
			}
		}
		b.WriteByte(c)
	}
	return b.String()
}
