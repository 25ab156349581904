package process

import (
	"bytes"
	"context"
	"errors"
	"os/user"
	"slices"
	"strings"
	"time"
)

// askTime bounds one question to getent: a directory of users that does not
// answer must not hold a deployment.
const askTime = 10 * time.Second

// askGetent asks for a user whom the files do not have: LDAP, SSSD, systemd know
// others. It returns nil where nobody does. PATH is the caller's, so that getent
// is only looked for where it belongs.
func askGetent(name string) (found *user.User, groups []string) {
	if name == "" || strings.ContainsAny(name, ":\n") || strings.HasPrefix(name, "-") {
		return nil, nil
	}
	line, _, _ := strings.Cut(getent("passwd", name), "\n")
	f := strings.Split(line, ":")
	if len(f) < 7 || f[0] != name && f[2] != name {
		return nil, nil
	}
	found = &user.User{Username: f[0], Uid: f[2], Gid: f[3], HomeDir: f[5]}
	groups = []string{found.Gid}
	if words := strings.Fields(getent("initgroups", f[0])); len(words) > 1 && words[0] == f[0] {
		groups = append(groups, words[1:]...)
	}
	slices.Sort(groups)
	return found, slices.Compact(groups)
}

// getent is what getent(1) prints; "" where it is not there, fails or is silent.
func getent(args ...string) string {
	for _, path := range [...]string{"/usr/bin/getent", "/bin/getent", "/run/current-system/sw/bin/getent"} {
		var out bytes.Buffer
		_, err := Run(context.Background(), Command{
			Path: path, Args: args, Dir: "/", Env: []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}, Stdout: &out,
			Timeout: askTime, Grace: NoGrace,
		})
		switch {
		case err == nil:
			return out.String()
		case !errors.As(err, new(*StartError)): // it was there, and does not know
			return ""
		}
	}
	return ""
}
