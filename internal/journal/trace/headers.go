package trace

import (
	"iter"
	"net/url"
	"strings"
)

// Secrets are the values of the environment that no log must have: what
// collectors are told to let somebody in, by the variables that hold it.
func Secrets(getenv func(string) string) map[string][]string {
	found := map[string][]string{}
	for _, variable := range []string{"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"} {
		for pair := range pairs(getenv(variable)) {
			found[variable] = append(found[variable], secrets(pair)...)
		}
	}
	for _, variable := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"} {
		u, err := url.Parse(strings.TrimSpace(getenv(variable)))
		if err != nil || u.User == nil {
			continue
		}
		_, raw, _ := strings.Cut(u.User.String(), ":")
		password, has := u.User.Password()
		if !has { // a token
			raw, password = u.User.String(), u.User.Username()
		}
		found[variable] = append(found[variable], raw, password)
	}
	return found
}

// secrets are what a header lets somebody in by: its value, and what follows a word
// as Bearer there. Where it is no header all of it may be that.
func secrets(pair string) []string {
	_, value, ok := header(pair)
	if !ok {
		return append(strings.Fields(pair), pair)
	}
	_, raw, _ := strings.Cut(pair, "=")
	all := []string{strings.TrimSpace(raw), value}
	if _, token, found := strings.Cut(value, " "); found {
		all = append(all, strings.TrimSpace(token))
	}
	return all
}

// pairs are the members of a list of headers.
func pairs(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for pair := range strings.SplitSeq(text, ",") {
			if pair = strings.TrimSpace(pair); pair != "" && !yield(pair) {
				return
			}
		}
	}
}

// header is a member of a list of headers: NAME=VALUE, the value as in a URL.
func header(pair string) (name, value string, ok bool) {
	name, raw, found := strings.Cut(pair, "=")
	name = strings.TrimSpace(name)
	value, err := url.PathUnescape(strings.TrimSpace(raw))
	value = strings.TrimSpace(value)
	return name, value, found && err == nil && isName(name) && isValue(value)
}

// isName tells whether a text is the name of a header. What is none may hold the
// value, with a password that ends in =: "Authorization: Basic YTpi=".
func isName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

// isValue tells whether a header can have a value.
func isValue(value string) bool {
	return !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}
