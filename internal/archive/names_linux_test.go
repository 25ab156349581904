package archive

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"stretcher/internal/testparts"
)

// inNamespace runs one test again, as root, in a mount namespace that script
// has prepared. Its directory has the files.
func inNamespace(t *testing.T, name, script string, files map[string]string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root makes mount namespaces")
	}
	dir := t.TempDir()
	for file, text := range files {
		check(t, os.WriteFile(filepath.Join(dir, file), []byte(text), 0o755))
	}
	self, err := os.Executable()
	check(t, err)
	cmd := exec.Command("unshare", "-m", "sh", "-ec", script+"\nexec \"$0\" \"$@\"", self, "-test.v", "-test.run",
		"^"+name+"$")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "ARCHIVE_TEST_NAMESPACE="+name)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && !bytes.Contains(out, []byte("--- FAIL")) {
		testparts.Missing(t, "no mount namespace with names of its own: %v: %s", err, out)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// nameService gives the namespace a passwd and group of its own, and names of
// another source, which systemd's module reads.
const nameService = `
mount --bind passwd /etc/passwd
mount --bind group /etc/group
mount --bind nsswitch.conf /etc/nsswitch.conf
mount -t tmpfs none /run
mkdir /run/userdb
cp ldapapp.user ldapgrp.group /run/userdb
ln -s ldapapp.user /run/userdb/70007.user
ln -s ldapgrp.group /run/userdb/70009.group
getent passwd ldapapp && getent group ldapgrp
`

// TestNamesSameAsGNUTar compares owners where names come from more than one
// source.
func TestNamesSameAsGNUTar(t *testing.T) {
	if os.Getenv("ARCHIVE_TEST_NAMESPACE") == "" {
		inNamespace(t, "TestNamesSameAsGNUTar", nameService, map[string]string{
			"passwd":        "root:x:0:0::/root:/bin/sh\napp:x:70001:70002::/:/bin/sh\nmany:x:70003:0::/:/bin/sh\n",
			"group":         "root:x:0:\ngrp:x:70005:app,many\n",
			"nsswitch.conf": "passwd: files systemd\ngroup: files systemd\n",
			"ldapapp.user":  `{"userName":"ldapapp","uid":70007,"gid":70009,"disposition":"regular"}`,
			"ldapgrp.group": `{"groupName":"ldapgrp","gid":70009,"disposition":"regular"}`,
		})
		return
	}
	// With the C library these names need no getent; the program that ships is
	// without it.
	for name, want := range map[string][2]int{"ldapapp": {70007, -1}, "ldapgrp": {-1, 70009}, "app": {70001, -1},
		"nobody-knows": {-1, -1}} {
		if u, g := askGetent(t.Context(), users, name), askGetent(t.Context(), groups, name); u != want[0] || g != want[1] {
			t.Errorf("%s: getent says %d and %d, want %d", name, u, g, want)
		}
	}
	gnu := tool(t, "tar", "GNU tar")
	b := tarOf(ent{name: "files", uname: "app", gname: "grp", uid: 5, gid: 6}, ent{name: "both", uname: "ldapapp",
		gname: "ldapgrp"},
		ent{name: "user", uname: "ldapapp", gname: "nobody-knows", uid: 5, gid: 6}, ent{name: "d", typ: '5', mode: 0o755,
			gname: "ldapgrp"},
		ent{name: "d/l", typ: '2', link: "x", uname: "ldapapp"}, ent{name: "none", uname: "nobody-knows", uid: 1234},
		ent{name: "number", uname: "70007", gname: "70009", uid: 5, gid: 6}, ent{name: "swapped", uname: "grp",
			gname: "app", uid: 7, gid: 8},
		ent{name: "record", uname: "ldapapp", gname: "ldapgrp", pax: map[string]string{"uid": "300000"}},
		ent{name: "daemon", uname: "daemon", gname: "daemon", uid: 9, gid: 9},
		ent{name: "g", typ: 'g', data: paxRecord("gid", "34")}, ent{name: "global", uname: "ldapapp", gname: "ldapgrp"})
	dir := sameAs(t, gnu, b)
	if fi, err := os.Stat(filepath.Join(dir, "both")); err != nil || ownerOf(fi) != "70007:70009" {
		t.Errorf("%v, %s", err, ownerOf(fi))
	}
}

// TestGetentHangs cancels while a getent is asked that does not answer.
func TestGetentHangs(t *testing.T) {
	if os.Getenv("ARCHIVE_TEST_NAMESPACE") == "" {
		const script = "mount --bind slow /usr/bin/getent; mkdir mark; mount --bind mark /mnt"
		inNamespace(t, "TestGetentHangs", script,
			map[string]string{"slow": "#!/bin/sh\necho > /mnt/asked\nsleep 3600\n"})
		return
	}
	ctx, cancel := ending(t)
	defer cancel()
	go func() {
		for {
			if _, err := os.Stat("/mnt/asked"); err == nil {
				cancel()
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	b := tarOf(ent{name: "f", uname: "nobody-knows"})
	if _, err := extractInto(ctx, bytes.NewReader(b), t.TempDir(), Options{}); !errors.Is(err, errEnough) {
		t.Errorf("got %v", err)
	}
}
