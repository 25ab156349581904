package dist

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"stretcher/internal/testparts"
)

// wanted is what each package has, as far as its system does not say otherwise.
func wanted() []string {
	return []string{"/etc/stretcher/config.yml.example", "/usr/bin/stretcher",
		"/usr/lib/systemd/system/stretcher-pull@.service", "/usr/lib/systemd/system/stretcher-pull@.timer",
		"/usr/lib/systemd/system/stretcher-watch@.service",
		"/usr/share/bash-completion/completions/stretcher", "/usr/share/fish/vendor_completions.d/stretcher.fish",
		"/usr/share/man/man1/stretcher.1.gz", "/usr/share/man/man1/stretcher-rollback.1.gz",
		"/usr/share/doc/stretcher/copyright", "/usr/share/doc/stretcher/sbom.cdx.json",
		"/usr/share/doc/stretcher/README.md", "/usr/share/doc/stretcher/docs/install.md",
		"/usr/share/doc/stretcher/examples/policy/config.yml",
		"/usr/share/stretcher/schemas/manifest.schema.json", "/usr/share/stretcher/schemas/policy.schema.json"}
}

// files are the paths in a listing that are not directories.
func files(t *testing.T, listing string, line *regexp.Regexp) (all []string) {
	t.Helper()
	for _, m := range line.FindAllStringSubmatch(listing, -1) {
		all = append(all, m[1])
	}
	if len(all) < len(wanted()) {
		t.Fatalf("listed:\n%s", listing)
	}
	return all
}

func checkFiles(t *testing.T, got []string, more ...string) {
	t.Helper()
	for _, want := range append(wanted(), more...) {
		if !slices.Contains(got, want) {
			t.Errorf("%s is missing in\n%s", want, strings.Join(got, "\n"))
		}
	}
	// Nobody's settings, and nothing that starts.
	for _, path := range got {
		if strings.HasPrefix(path, "/etc/") && path != "/etc/stretcher/config.yml.example" ||
			strings.Contains(path, ".wants/") || strings.Contains(path, "preset") {
			t.Errorf("%s is in the package", path)
		}
	}
}

// unpackedDeb is the tree of the Debian package.
func unpackedDeb(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	output(t, testparts.Need(t, "dpkg-deb"), "--extract", glob(t, released(t), "*.deb")[0], dir)
	return dir
}

// debListing is what the Debian package says that it has.
func debListing(t *testing.T) string {
	t.Helper()
	return output(t, testparts.Need(t, "dpkg-deb"), "--contents", glob(t, released(t), "*.deb")[0])
}

func debFiles(t *testing.T) []string {
	t.Helper()
	return files(t, debListing(t), regexp.MustCompile(`(?m)^-\S+ root/root .* \.(/\S+)$`))
}

// rpmFile is the package for rpm, by its whole name.
func rpmFile(t *testing.T) string {
	t.Helper()
	file, err := filepath.Abs(glob(t, released(t), "*.rpm")[0])
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func rpmFiles(t *testing.T) []string {
	t.Helper()
	return files(t, output(t, testparts.Need(t, "rpm"), "-qlvp", rpmFile(t)), regexp.MustCompile(`(?m)^-\S+ .* (/\S+)$`))
}

// apkListing is what the package for Alpine has: those are tar archives one after the
// other.
func apkListing(t *testing.T) string {
	t.Helper()
	return output(t, testparts.Need(t, "tar"), "--warning=no-unknown-keyword", "-tvzf", glob(t, released(t), "*.apk")[0])
}

func apkFiles(t *testing.T) []string {
	t.Helper()
	return files(t, regexp.MustCompile(`(?m) (\S+)$`).ReplaceAllString(apkListing(t), " /$1"),
		regexp.MustCompile(`(?m)^-\S+ root/root .* (/\S+)$`))
}

func TestDebContents(t *testing.T) {
	deb := glob(t, released(t), "*.deb")[0]
	listing := debListing(t)
	checkFiles(t, debFiles(t), "/usr/share/zsh/vendor-completions/_stretcher", "/usr/share/doc/stretcher/changelog.gz")
	if !regexp.MustCompile(`(?m)^drwx------ root/root .* \./var/lib/stretcher/$`).MatchString(listing) {
		t.Errorf("the state directory is not root's alone:\n%s", listing)
	}
	if !regexp.MustCompile(`(?m)^-rwxr-xr-x root/root .*/examples/pull/run\.sh$`).MatchString(listing) {
		t.Errorf("an example can't be started:\n%s", listing)
	}
	for field, want := range map[string]string{"Package": "stretcher", "Version": "2.0.0", "Architecture": "amd64"} {
		if got := strings.TrimSpace(output(t, "dpkg-deb", "--field", deb, field)); got != want {
			t.Errorf("%s: %q, want %q", field, got, want)
		}
	}
}

// TestLintian: Debian's own checks find no error.
func TestLintian(t *testing.T) {
	lintian := testparts.Need(t, "lintian")
	deb := glob(t, released(t), "*.deb")[0]
	out, err := exec.Command(lintian, "--allow-root", "--fail-on", "error", deb).CombinedOutput()
	if err != nil || strings.Contains("\n"+string(out), "\nE: ") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestRpm reads the package by rpm, unpacks it and runs what is in it.
func TestRpm(t *testing.T) {
	rpm, rpm2cpio, cpio := testparts.Need(t, "rpm"), testparts.Need(t, "rpm2cpio"), testparts.Need(t, "cpio")
	file := rpmFile(t)
	info := output(t, rpm, "-qip", file)
	for _, want := range []string{`Name +: stretcher`, `Version +: 2\.0\.0`, `Release +: 1`,
		`Architecture: x86_64`, `License +: MIT`} {
		if !regexp.MustCompile(`(?m)^` + want + `$`).MatchString(info) {
			t.Errorf("no %s in\n%s", want, info)
		}
	}
	checkFiles(t, rpmFiles(t), "/usr/share/zsh/site-functions/_stretcher")
	// A directory that is the system's would clash with the package of the system.
	dirs := regexp.MustCompile(`(?m)^(d\S+) .* (/\S+)$`).FindAllStringSubmatch(output(t, rpm, "-qlvp", file), -1)
	for _, m := range dirs {
		if !strings.Contains(m[2], "/stretcher") {
			t.Errorf("the package has %s", m[0])
		}
		if m[2] == "/var/lib/stretcher" && m[1] != "drwx------" {
			t.Errorf("the state directory is not root's alone: %s", m[0])
		}
	}
	if out := output(t, rpm, "-qcp", file); out != "/etc/stretcher/config.yml.example\n" {
		t.Errorf("settings: %q", out)
	}
	if out := output(t, rpm, "-K", "--nosignature", file); !strings.HasSuffix(out, ": digests OK\n") {
		t.Errorf("it is not whole: %s", out)
	}
	// By names that begin with a slash cpio would install it on this machine. The
	// option is there lest a mistake does so.
	names := strings.Fields(output(t, "sh", "-ec", `"$1" "$2" | "$3" --quiet -t`, "sh", rpm2cpio, file, cpio))
	for _, name := range names {
		if !strings.HasPrefix(name, "./") {
			t.Errorf("%s is not below where the package is unpacked", name)
		}
	}
	dir := t.TempDir()
	output(t, "sh", "-ec", `"$1" "$2" | (cd "$3" && "$4" --quiet --no-absolute-filenames -idm)`,
		"sh", rpm2cpio, file, dir, cpio)
	if out := output(t, filepath.Join(dir, "usr/bin/stretcher"), "version"); out != "stretcher version "+version+"\n" {
		t.Errorf("it says %q", out)
	}
}

func TestApk(t *testing.T) {
	file, list := glob(t, released(t), "*.apk")[0], apkListing(t)
	checkFiles(t, apkFiles(t), "/usr/share/zsh/site-functions/_stretcher")
	if !regexp.MustCompile(`(?m)^drwx------ root/root .* var/lib/stretcher/$`).MatchString(list) {
		t.Errorf("the state directory is not root's alone:\n%s", list)
	}
	info := output(t, "tar", "--warning=no-unknown-keyword", "-xOzf", file, ".PKGINFO")
	for _, want := range []string{"pkgname = stretcher\n", "pkgver = 2.0.0-r0\n", "arch = x86_64\n"} {
		if !strings.Contains(info, want) {
			t.Errorf("no %q in\n%s", want, info)
		}
	}
}

// TestInventory: the SBOM is CycloneDX, and names the program and what is in it.
func TestInventory(t *testing.T) {
	var sbom struct {
		Format   string `json:"bomFormat"`
		Metadata struct {
			Component struct{ Name, Version string }
		}
		Components []struct{ Name, Version string }
	}
	if err := json.Unmarshal(read(t, glob(t, released(t), "*.cdx.json")[0]), &sbom); err != nil {
		t.Fatal(err)
	}
	of := sbom.Metadata.Component
	if sbom.Format != "CycloneDX" || !strings.Contains(of.Name, "stretcher") || of.Version != version {
		t.Errorf("%+v", sbom.Metadata)
	}
	has := map[string]string{}
	for _, c := range sbom.Components {
		has[c.Name] = c.Version
	}
	// The program itself says what it was built of.
	program := filepath.Join(unpackedDeb(t), "usr/bin/stretcher")
	dependency := regexp.MustCompile(`(?m)^\tdep\t(\S+)\t(\S+)`)
	modules := dependency.FindAllStringSubmatch(output(t, "go", "version", "-m", program), -1)
	for _, m := range modules {
		if has[m[1]] != m[2] {
			t.Errorf("%s %s: the list has %q", m[1], m[2], has[m[1]])
		}
	}
	if len(modules) < 20 || has["std"] == "" {
		t.Errorf("%d modules, std %q", len(modules), has["std"])
	}
}

// TestImageLayout: one image for what was built, and nothing but the program and
// what it needs.
func TestImageLayout(t *testing.T) {
	dir := filepath.Join(released(t), "image")
	if got := string(read(t, filepath.Join(dir, "oci-layout"))); !strings.Contains(got, `"imageLayoutVersion"`) {
		t.Errorf("oci-layout: %s", got)
	}
	type manifests struct {
		Manifests []struct {
			Digest   string
			Platform struct{ OS, Architecture string }
		}
	}
	blob := func(digest string, v any) {
		t.Helper()
		file := filepath.Join(dir, "blobs", strings.Replace(digest, ":", "/", 1))
		if err := json.Unmarshal(read(t, file), v); err != nil {
			t.Fatal(err)
		}
	}
	var top, index manifests
	if err := json.Unmarshal(read(t, filepath.Join(dir, "index.json")), &top); err != nil || len(top.Manifests) != 1 {
		t.Fatalf("index.json: %+v, %v", top, err)
	}
	blob(top.Manifests[0].Digest, &index)
	if len(index.Manifests) != 1 || index.Manifests[0].Platform.Architecture != "amd64" {
		t.Fatalf("%+v", index)
	}
	var image struct{ Layers []struct{ Digest string } }
	blob(index.Manifests[0].Digest, &image)
	if len(image.Layers) != 1 {
		t.Fatalf("%+v", image)
	}
	layer := filepath.Join(dir, "blobs", strings.Replace(image.Layers[0].Digest, ":", "/", 1))
	got := strings.Fields(output(t, "tar", "-tzf", layer))
	got = slices.DeleteFunc(got, func(name string) bool { return strings.HasSuffix(name, "/") })
	want := []string{"etc/group", "etc/passwd", "etc/ssl/certs/ca-certificates.crt", "usr/bin/stretcher"}
	if !slices.Equal(got, want) {
		t.Errorf("in the image: %q", got)
	}
	certificates := output(t, "tar", "-xOzf", layer, want[2])
	if n := strings.Count(certificates, "BEGIN CERTIFICATE"); n < 80 {
		t.Errorf("%d authorities", n)
	}
	if _, err := os.Stat(filepath.Join(dir, "..", "stretcher_2.0.0_image.tar")); err != nil {
		t.Error(err)
	}
}
