package dist

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"stretcher/internal/testparts"
)

// debian is a fresh Debian of a test's own, with the packages in its /root.
type debian struct{ dir string }

func newDebian(t *testing.T) debian {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("packages are installed by root")
	}
	from := filepath.Join(root, ".tools/debian.tar")
	if _, err := os.Stat(from); err != nil {
		testparts.Missing(t, "%v; run `make test-tools` as root", err)
	}
	dist := released(t)
	d := debian{dir: t.TempDir()}
	output(t, "tar", "--numeric-owner", "-C", d.dir, "-xpf", from)
	if err := os.Chmod(d.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range append(glob(t, dist, "*.deb"), filepath.Join(made.dir, "stretcher_2.0.1_amd64.deb")) {
		if err := copyFile(name, filepath.Join(d.dir, "root", filepath.Base(name))); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// try runs commands as root there, in name spaces of their own.
func (d debian) try(text string) ([]byte, error) {
	cmd := exec.Command("unshare", "--mount", "--pid", "--net", "--fork", "--kill-child",
		"--root="+d.dir, "--wd=/root", "--mount-proc", "/bin/sh", "-e")
	cmd.Stdin = strings.NewReader(text)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8",
		"DEBIAN_FRONTEND=noninteractive"}
	return cmd.CombinedOutput()
}

func (d debian) run(t *testing.T, text string) string {
	t.Helper()
	out, err := d.try(text)
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, text, out)
	}
	return string(out)
}

// is fails unless a command prints just that.
func (d debian) is(t *testing.T, text, want string) {
	t.Helper()
	if got := strings.TrimSpace(d.run(t, text)); got != want {
		t.Errorf("%s prints\n%s\nwant\n%s", text, got, want)
	}
}

// deploy is what somebody does who has just installed the package.
const deploy = `mkdir -p site && date >> site/index.html && tar -czf site.tar.gz -C site .
printf 'name: site\nsrc: file:///root/site.tar.gz\nchecksum: sha256:%s\ndest: /srv/site\n' \
	$(sha256sum site.tar.gz | cut -d ' ' -f 1) > site.yml
stretcher file:///root/site.yml
`

// TestPageOfDebian pastes what docs/install.md has for Debian into a fresh one.
// Between installing and purging deployments are made, and settings.
func TestPageOfDebian(t *testing.T) {
	d := newDebian(t)
	list := steps(t, "sh debian")
	between := []func(*testing.T, debian){installed, upgraded, removed, purged}
	if len(list) != len(between) {
		t.Fatalf("%d blocks in docs/install.md, want %d", len(list), len(between))
	}
	for i, s := range list {
		out, err := d.try(s.text)
		s.check(t, out, err)
		between[i](t, d)
	}
}

func installed(t *testing.T, d debian) {
	t.Helper()
	d.is(t, `stat -c '%a %U %G %n' /usr/bin/stretcher /etc/stretcher /etc/stretcher/* /var/lib/stretcher`,
		"755 root root /usr/bin/stretcher\n755 root root /etc/stretcher\n"+
			"644 root root /etc/stretcher/config.yml.example\n700 root root /var/lib/stretcher")
	d.is(t, `find /etc/systemd /etc/cron* /etc/init.d /etc/rc?.d -name '*stretcher*' 2> /dev/null || true`, "")
	d.is(t, `cd / && md5sum --quiet --check /var/lib/dpkg/info/stretcher.md5sums`, "")
	out := d.run(t, deploy)
	if !strings.Contains(out, "host policy: none\n") {
		t.Errorf("the example is active:\n%s", out)
	}
	d.is(t, "ls /srv/site", "index.html")
	d.run(t, deploy)
	d.run(t, "stretcher rollback /srv/site")
	d.run(t, `echo '# mine' >> /etc/stretcher/config.yml.example
echo 'limits: {archive: 1MiB}' > /etc/stretcher/config.yml
mkdir -p /etc/systemd/system/multi-user.target.wants /etc/systemd/system/timers.target.wants /var/log/stretcher
echo '{}' > /var/log/stretcher/history.jsonl
ln -s /usr/lib/systemd/system/stretcher-watch@.service \
	/etc/systemd/system/multi-user.target.wants/stretcher-watch@deploy.service
ln -s /root/mine.timer /etc/systemd/system/timers.target.wants/stretcher-pull@mine.timer
`)
}

func upgraded(t *testing.T, d debian) {
	t.Helper()
	d.is(t, "stretcher version", "stretcher version "+newer)
	d.is(t, "tail -n 1 /etc/stretcher/config.yml.example", "# mine")
	d.is(t, "stretcher history /srv/site --json | wc -l", "3")
	if out := d.run(t, deploy); !strings.Contains(out, `host policy: "/etc/stretcher/config.yml"`) {
		t.Errorf("the policy is not obeyed:\n%s", out)
	}
}

func removed(t *testing.T, d debian) {
	t.Helper()
	d.is(t, "test ! -e /usr/bin/stretcher && ls /etc/stretcher", "config.yml\nconfig.yml.example")
	d.is(t, "dpkg --status stretcher | grep ^Status", "Status: deinstall ok config-files")
	// Who comes back finds all.
	d.run(t, "dpkg --install stretcher_2.0.1_amd64.deb")
	d.is(t, "stretcher history /srv/site --json | wc -l", "4")
	d.run(t, "dpkg --remove stretcher")
}

func purged(t *testing.T, d debian) {
	t.Helper()
	d.is(t, "ls -d /var/lib/stretcher /var/log/stretcher /usr/share/doc/stretcher 2> /dev/null || true", "")
	d.is(t, "ls /etc/stretcher /srv/site", "/etc/stretcher:\nconfig.yml\n\n/srv/site:\nindex.html")
	d.is(t, "find /etc/systemd -name '*stretcher*'", "/etc/systemd/system/timers.target.wants/stretcher-pull@mine.timer")
	d.is(t, "find / -xdev -path /root -prune -o -path /proc -prune -o -name '*stretcher*' -print | sort",
		"/etc/stretcher\n/etc/systemd/system/timers.target.wants/stretcher-pull@mine.timer")
}

// TestPurgeStaysAtHome: what a link or a mount in the place of a directory leads
// to is not the package's.
func TestPurgeStaysAtHome(t *testing.T) {
	d := newDebian(t)
	d.run(t, `dpkg --install stretcher_2.0.0_amd64.deb && dpkg --remove stretcher
mkdir -p /srv/state /srv/data && touch /srv/state/precious /srv/data/precious
ln -s /srv/state /var/lib/stretcher
mkdir -p /var/log/stretcher/below && touch /var/log/stretcher/history.jsonl`)
	out := d.run(t, "mount --bind /srv/data /var/log/stretcher/below && dpkg --purge stretcher")
	for _, want := range []string{"/var/lib/stretcher is a link: ", "/var/log/stretcher stays: something is mounted"} {
		if !strings.Contains(out, want) {
			t.Errorf("not said: %s\n%s", want, out)
		}
	}
	d.is(t, "ls /srv/state /srv/data", "/srv/data:\nprecious\n\n/srv/state:\nprecious")
	d.is(t, "ls -d /var/lib/stretcher 2> /dev/null || ls /var/log/stretcher", "below\nhistory.jsonl")

	// A link within is removed, and what it leads to is not; so where there is no /proc.
	d.run(t, `dpkg --install stretcher_2.0.0_amd64.deb
ln -s /srv/state /var/lib/stretcher/link && umount /proc && dpkg --purge stretcher`)
	d.is(t, "ls /srv/state && test ! -e /var/lib/stretcher", "precious")
}
