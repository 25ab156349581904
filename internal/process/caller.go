package process

import (
	"os"
	"os/user"
	"strconv"
	"strings"
)

// UserName is what the user database of this machine calls a user: /etc/passwd,
// else getent(1). "" where nobody knows one.
func UserName(uid int) string {
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

// LoginUser is the user who has logged in to start this process; "" where nobody
// has, or is not known by a name.
func LoginUser() string {
	text, err := os.ReadFile(loginFile)
	uid, bad := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
	if err != nil || bad != nil || uid == unsetLogin {
		return ""
	}
	return UserName(int(uid))
}
