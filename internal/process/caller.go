package process

import (
	"cmp"
	"os"
	"os/user"
	"strconv"
	"strings"
)

// Starter is who started this program: who has become root by ways that no
// variable tells of, as su and doas are, else the user as the environment and the
// user database have it.
func Starter() string {
	if sudo := os.Getenv("SUDO_USER"); os.Getuid() == 0 && (sudo == "" || sudo == "root") {
		if login := loginUser(); login != "" {
			return login
		}
	}
	return userName(os.Getuid(), os.Getenv)
}

// Caller is whom this program works for, as far as he can't say it himself. What
// root may do is asked of root.
func Caller() string {
	return userName(os.Getuid(), func(name string) string {
		if name == "SUDO_USER" {
			return os.Getenv(name)
		}
		return ""
	})
}

// userName is a user's name: where sudo has made somebody root, the one before
// it. All others could say that of themselves. Services have no USER, and who has
// one may have somebody else's: the user database goes first, where it knows the
// caller.
func userName(uid int, getenv func(string) string) string {
	if name := getenv("SUDO_USER"); uid == 0 && name != "" {
		return name
	}
	return cmp.Or(knownAs(uid), getenv("USER"), getenv("LOGNAME"), "uid "+strconv.Itoa(uid))
}

// knownAs is what the user database of this machine calls a user: /etc/passwd,
// else getent(1). "" where nobody knows one.
func knownAs(uid int) string {
	id := strconv.Itoa(uid)
	if found, err := user.LookupId(id); err == nil {
		return found.Username
	}
	if found, _ := askGetent(id); found != nil && found.Uid == id {
		return found.Username
	}
	return ""
}

// loginFile has the user who has logged in, as the kernel remembers it whoever
// he has become since. Of services it has unsetLogin, and of other systems than
// Linux there is none.
const (
	loginFile  = "/proc/self/loginuid"
	unsetLogin = 1<<32 - 1
)

// loginUser is the user who has logged in to start this process; "" where nobody
// has, or is not known by a name.
func loginUser() string {
	text, err := os.ReadFile(loginFile)
	uid, bad := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
	if err != nil || bad != nil || uid == unsetLogin {
		return ""
	}
	return knownAs(int(uid))
}
