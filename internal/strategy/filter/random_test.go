package filter

import (
	"math/rand/v2"
	"strings"
)

// The generators of the differential test. Few different bytes make random
// patterns match random names often.

func pick(rnd *rand.Rand, from []string) string {
	return from[rnd.IntN(len(from))]
}

func randomName(rnd *rand.Rand) string {
	odd := strings.Split(`*?[]\!^-:. ;+_B1~`+"\xff", "")
	odd = append(odd, "é", "\xff")
	for {
		var b strings.Builder
		for range 1 + rnd.IntN(3) {
			if rnd.IntN(5) == 0 {
				b.WriteString(pick(rnd, odd))
			} else {
				b.WriteByte("abc"[rnd.IntN(3)])
			}
		}
		if n := b.String(); n != "." && n != ".." {
			return n
		}
	}
}

// newRuleText makes a rule list of which many rules match one of the paths.
func newRuleText(rnd *rand.Rand, paths []string) ruleText {
	var l ruleText
	least := 1
	if rnd.IntN(3) == 0 {
		least = 0
		var b strings.Builder
		for range rnd.IntN(4) {
			b.WriteString(pick(rnd, []string{"", "", "#", ";", " ", "\n"}))
			b.WriteString(randomRule(rnd, paths))
			b.WriteString(pick(rnd, []string{"\n", "\n", "\r\n", "\r", "\n\n", "\x00x\n"}))
		}
		l.file = strings.TrimSuffix(b.String(), pick(rnd, []string{"\n", ""}))
	}
	for range least + rnd.IntN(4) {
		l.args = append(l.args, randomRule(rnd, paths))
	}
	return l
}

func randomRule(rnd *rand.Rand, paths []string) string {
	prefix := pick(rnd, []string{"", "", "", "", "- ", "+ ", "+ ", "+", "-", "- +", "!"})
	switch rnd.IntN(20) {
	case 0:
		return pick(rnd, []string{"!", "! ", "", "+ ", "- ", "- !", "/", "//", "*", "**", "***", "/*", "/**", "/***", "*/",
			"**/", ".", "./", "./*"})
	case 1, 2, 3, 4, 5, 6:
		return prefix + randomPattern(rnd)
	}
	return prefix + likePath(rnd, strings.TrimSuffix(pick(rnd, paths), "/"))
}

func randomPattern(rnd *rand.Rand) string {
	parts := []string{
		"a", "b", "c", "a", "b", "c", "/", "/", "*", "*", "**", "***", "?",
		"[ab]", "[!a]", "[^b]", "[a-c]", "[b-]", "[]a]", "[!]a]", "[-a]", "[a-b-c]", "[c-a]", `[\]a]`, `[a\-c]`, `[a-\c]`,
		"[[:alpha:]]", "[[:upper:]x]", "[![:punct:]]", "[[:digit:]-a]", "[[:space:]]", "[[:print:]]", "[[:graph:]]",
		"[[:cntrl:]]",
		"[[:xdigit:]]", "[[:alnum:]]", "[[:blank:]]", "[[:lower:]]",
		"[[:foo:]]", "[[::]]", "[[:]", "[[:a]", "[a-[:alpha:]]", "[a/b]", "[", "]", `\`, `\*`, `\a`, "[!", "[a-",
		"[\xc0-\xff]", "\xff",
	}
	var b strings.Builder
	for range 1 + rnd.IntN(5) {
		b.WriteString(pick(rnd, parts))
	}
	return b.String()
}

// likePath makes a pattern from some elements of a path.
func likePath(rnd *rand.Rand, path string) string {
	elems := strings.Split(path, "/")
	first, last := 0, len(elems)
	if rnd.IntN(2) == 0 {
		first = rnd.IntN(len(elems))
	}
	if rnd.IntN(4) == 0 {
		last = first + 1 + rnd.IntN(last-first)
	}
	elems = append([]string(nil), elems[first:last]...)
	wild := rnd.IntN(4) > 0
	for i := range elems {
		if wild {
			elems[i] = likeName(rnd, elems[i])
		}
	}
	start := pick(rnd, []string{"", "", "", "/", "/", "**", "**/", "*/", "*"})
	end := pick(rnd, []string{"", "", "", "", "/", "*", "**", "***", "/*", "/**", "/***", "/***/", "//", "/**/"})
	return start + strings.Join(elems, "/") + end
}

// likeName replaces some bytes of a name by what matches them, mostly.
func likeName(rnd *rand.Rand, name string) string {
	if rnd.IntN(8) == 0 {
		return pick(rnd, []string{"*", "**", "***", "?", "??", "*a", "a*", "a**", "**a", "*a*b*"})
	}
	var b strings.Builder
	for i := range len(name) {
		c := name[i : i+1]
		switch rnd.IntN(24) {
		case 0, 1:
			c = "?"
		case 2, 3:
			c = "*"
		case 4:
			c = "**"
		case 5:
			c = `\` + c
		case 6:
			c = "[" + c + "]"
		case 7:
			c = "[a" + c + "-z]"
		case 8:
			c = "[!" + c + "]"
		case 9:
			c += "*"
		case 10:
			c = "*" + c
		case 11:
			c = "/"
		}
		b.WriteString(c)
	}
	return b.String()
}
