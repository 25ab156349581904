package dist

import (
	"debug/elf"
	"debug/macho"
	"encoding/json"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"stretcher/internal/testparts"
)

// platform is what is released for one: its archive, what packages call it, and for what
// machine the program in them must be.
type platform struct {
	archive, deb, rpm, apk string
	machine                any // elf.Machine or macho.Cpu
}

func platforms() []platform {
	return []platform{
		{"linux_amd64", "amd64", "x86_64", "x86_64", elf.EM_X86_64},
		{"linux_arm64", "arm64", "aarch64", "aarch64", elf.EM_AARCH64},
		{"linux_arm", "armhf", "armv7hl", "armv7", elf.EM_ARM},
		{"linux_386", "i386", "i386", "x86", elf.EM_386},
		{archive: "darwin_amd64", machine: macho.CpuAmd64},
		{archive: "darwin_arm64", machine: macho.CpuArm64},
	}
}

// releasedForAll gives the directory with what is released for all platforms. In place
// of the program is a small one: packing asks nothing of it but that it is for the right
// machine, and the real ones take minutes.
func releasedForAll(t *testing.T) string {
	t.Helper()
	released(t) // skips where nothing is released
	dir := t.TempDir()
	if err := copySources(dir); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "testdata/small/main.go"), "package main\n\nfunc main() {}\n")
	makefile := string(read(t, filepath.Join(dir, "Makefile")))
	all := regexp.MustCompile(`(?m)^PLATFORMS \?= (.+)$`).FindStringSubmatch(makefile)
	if all == nil {
		t.Fatal("the Makefile has no platforms")
	}
	// That of this machine, which has no GOOS, is the real one: it makes the pages.
	write(t, filepath.Join(dir, "Makefile"), makefile+`
ifneq ($(GOOS),)
build:
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o $(BIN) ./testdata/small
endif
`)
	if err := runDist(dir, nil, "VERSION="+version, "PLATFORMS="+all[1]); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "dist")
}

// TestAllPlatforms: there is an archive and a list of what is in it for each platform, and
// packages of each kind for Linux, each for the machine that it says it is for.
func TestAllPlatforms(t *testing.T) {
	dist := releasedForAll(t)
	want := []string{"SHA256SUMS", "image", "stretcher_2.0.0_image.tar"}
	for _, p := range platforms() {
		archive := "stretcher_2.0.0_" + p.archive
		want = append(want, archive+".tar.gz", archive+".cdx.json")
		p.isIn(t, filepath.Join(dist, archive+".tar.gz"), archive+"/stretcher")
		listed := output(t, "tar", "-tzf", filepath.Join(dist, archive+".tar.gz"))
		if units := strings.Contains(listed, archive+"/systemd/"); units != (p.deb != "") {
			t.Errorf("%s has units: %v", archive, units)
		}
		if p.deb == "" {
			continue
		}
		deb, rpm := "stretcher_2.0.0_"+p.deb+".deb", "stretcher-2.0.0-1."+p.rpm+".rpm"
		apk := "stretcher_2.0.0-r0_" + p.apk + ".apk"
		want = append(want, deb, rpm, apk)
		p.isDeb(t, filepath.Join(dist, deb))
		p.isRpm(t, filepath.Join(dist, rpm))
		p.isApk(t, filepath.Join(dist, apk))
	}
	var got []string
	for _, name := range glob(t, dist, "*") {
		got = append(got, filepath.Base(name))
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("released: %q\nwant %q", got, want)
	}
	imagePlatforms(t, filepath.Join(dist, "image"))
}

// isIn: the program in an archive is for the platform.
func (p platform) isIn(t *testing.T, archive, name string) {
	t.Helper()
	dir := t.TempDir()
	output(t, "tar", "--warning=no-unknown-keyword", "-C", dir, "-xzf", archive, name)
	p.isFor(t, filepath.Join(dir, name))
}

// isFor: a program is for the platform.
func (p platform) isFor(t *testing.T, program string) {
	t.Helper()
	var got any
	if f, err := elf.Open(program); err == nil {
		got = f.Machine
		f.Close()
	} else if f, err := macho.Open(program); err == nil {
		got = f.Cpu
		f.Close()
	}
	if got != p.machine {
		t.Errorf("%s is for %v, want %v", program, got, p.machine)
	}
}

func (p platform) isDeb(t *testing.T, file string) {
	t.Helper()
	dir := t.TempDir()
	if got := strings.TrimSpace(output(t, testparts.Need(t, "dpkg-deb"), "--field", file, "Architecture")); got != p.deb {
		t.Errorf("%s is for %q, want %q", file, got, p.deb)
	}
	output(t, "dpkg-deb", "--extract", file, dir)
	p.isFor(t, filepath.Join(dir, "usr/bin/stretcher"))
}

func (p platform) isRpm(t *testing.T, file string) {
	t.Helper()
	rpm, dir := testparts.Need(t, "rpm"), t.TempDir()
	if got := output(t, rpm, "-qp", "--queryformat", "%{OS} %{ARCH}", file); got != "linux "+p.rpm {
		t.Errorf("%s is for %q, want %q", file, got, p.rpm)
	}
	output(t, "sh", "-ec", `"$1" "$2" | (cd "$3" && "$4" --quiet --no-absolute-filenames -idm ./usr/bin/stretcher)`,
		"sh", testparts.Need(t, "rpm2cpio"), file, dir, testparts.Need(t, "cpio"))
	p.isFor(t, filepath.Join(dir, "usr/bin/stretcher"))
}

func (p platform) isApk(t *testing.T, file string) {
	t.Helper()
	info := output(t, "tar", "--warning=no-unknown-keyword", "-xOzf", file, ".PKGINFO")
	if !strings.Contains(info, "\narch = "+p.apk+"\n") {
		t.Errorf("%s is not for %q:\n%s", file, p.apk, info)
	}
	p.isIn(t, file, "usr/bin/stretcher")
}

// imagePlatforms: the image is for all Linux platforms.
func imagePlatforms(t *testing.T, dir string) {
	t.Helper()
	var index struct {
		Manifests []struct {
			Digest   string
			Platform struct{ OS, Architecture, Variant string }
		}
	}
	file := filepath.Join(dir, "index.json")
	for range 2 { // the first names the second
		if err := json.Unmarshal(read(t, file), &index); err != nil || len(index.Manifests) == 0 {
			t.Fatalf("%s: %+v, %v", file, index, err)
		}
		file = filepath.Join(dir, "blobs", strings.Replace(index.Manifests[0].Digest, ":", "/", 1))
	}
	var got []string
	for _, m := range index.Manifests {
		got = append(got, strings.TrimSuffix(m.Platform.OS+"/"+m.Platform.Architecture+"/"+m.Platform.Variant, "/"))
	}
	if want := []string{"linux/amd64", "linux/arm64", "linux/arm/v6", "linux/386"}; !slices.Equal(got, want) {
		t.Errorf("the image is for %q, want %q", got, want)
	}
}
