package policy

import (
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"

	"stretcher/internal/disk"
	"stretcher/internal/text/failure"
)

// systemDirs are directories that no application has for itself: a sync would
// delete what others have there.
const systemDirs = `/ /bin /boot /boot/efi /dev /dev/shm /efi /etc /home /lib /lib32 /lib64 /libx32 /lost+found
	/media /mnt /opt /private /proc /root /run /run/lock /run/user /sbin /selinux /snap /srv /sys /tmp
	/usr /usr/bin /usr/games /usr/include /usr/lib /usr/lib32 /usr/lib64 /usr/libexec /usr/libx32 /usr/sbin
	/usr/share /usr/share/doc /usr/share/man /usr/src /usr/lib/systemd /usr/lib/systemd/system
	/usr/local /usr/local/bin /usr/local/etc /usr/local/lib /usr/local/libexec /usr/local/sbin /usr/local/share
	/usr/local/src /etc/cron.d /etc/cron.daily /etc/cron.hourly /etc/cron.weekly /etc/cron.monthly /etc/init.d
	/etc/ld.so.conf.d /etc/pam.d /etc/profile.d /etc/ssh /etc/ssl /etc/ssl/certs /etc/sudoers.d /etc/systemd
	/etc/systemd/system /etc/default /etc/security /etc/skel
	/var /var/backups /var/cache /var/empty /var/lib /var/lib/dpkg /var/lib/rpm /var/local /var/lock /var/log
	/var/mail /var/opt /var/run /var/spool /var/spool/cron /var/spool/cron/crontabs /var/tmp`

// System refuses a dest that is a directory of the system, under whatever name,
// or the home of the caller. Each allow.dests that there is may allow it by
// naming exactly it.
func (p *Policy) System(name string, dest disk.Way) error {
	system := append(strings.Fields(systemDirs), homes()...)
	for _, dir := range system {
		if filepath.Clean(name) != dir && dest.Real != dir && !dest.Is(dir) {
			continue
		}
		if p.names(dest.Real, system) {
			return nil
		}
		return failure.Hinted("name a directory below it; or name exactly it in allow.dests of the host policy",
			failure.Refused("dest %q is %q, a directory of the system: a deployment would delete what the archive has not",
				name, dir))
	}
	return nil
}

// names tells whether each allow.dests names exactly the directory dest, by its
// own name or one that the system has for it.
func (p *Policy) names(dest string, system []string) bool {
	names := func(entry string) bool {
		entry = filepath.Clean(entry)
		return entry == dest || slices.Contains(system, entry) && sureName(entry) == dest
	}
	named := false
	for _, l := range p.layers {
		if l.Allow.Dests == nil {
			continue
		}
		if named = slices.ContainsFunc(l.Allow.Dests, names); !named {
			return false
		}
	}
	return named
}

// homes are the caller's home directory, as the environment and the user
// database know it.
func homes() (list []string) {
	home, _ := os.UserHomeDir()
	dirs := []string{home}
	if u, err := user.Current(); err == nil {
		dirs = append(dirs, u.HomeDir)
	}
	for _, dir := range dirs {
		if filepath.IsAbs(dir) {
			list = append(list, filepath.Clean(dir))
		}
	}
	return list
}
