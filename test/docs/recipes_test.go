package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"stretcher/internal/testparts"
)

// recipe is a job of a CI system.
type recipe struct {
	env   map[string]string
	steps []step
}

// step is a script of it.
type step struct {
	env map[string]string
	run string
}

// github is as much of a workflow as the page has.
type github struct {
	Jobs map[string]struct {
		Env   map[string]string
		Steps []struct {
			Uses, Run string
			Env       map[string]string
		}
	}
}

// gitlab is as much of a job.
type gitlab struct {
	Variables map[string]string
	Script    []string
}

// recipes are those of docs/publishing.md, by the system.
func recipes(t *testing.T) map[string]recipe {
	t.Helper()
	all := map[string]recipe{}
	for _, b := range blocks(readDoc(t, "docs/publishing.md")) {
		var hub github
		var lab map[string]gitlab
		switch {
		case b.kind != "yaml":
		case strings.Contains(b.text, "\njobs:\n"):
			unmarshal(t, b.text, &hub)
			job := hub.Jobs["release"]
			r := recipe{env: job.Env}
			for _, s := range job.Steps {
				if s.Run != "" {
					r.steps = append(r.steps, step{s.Env, s.Run})
				}
			}
			all["GitHub"] = r
		default:
			unmarshal(t, b.text, &lab)
			job := lab["release"]
			all["GitLab"] = recipe{job.Variables, []step{{nil, strings.Join(job.Script, "\n")}}}
		}
	}
	if len(all) != 2 || len(all["GitHub"].steps) != 3 || len(all["GitLab"].steps[0].run) == 0 {
		t.Fatalf("the page has %+v", all)
	}
	return all
}

func unmarshal(t *testing.T, text string, to any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), to); err != nil {
		t.Fatal(err)
	}
}

// repository is what the recipes run in: one commit, which `make dist` builds,
// a key, and a consul that only notes what it is told.
const repository = `set -e
mkdir -p deploy bin temp keys
(cd keys && stretcher keygen --no-password release && mkdir hosts && mv release.pub hosts) > /dev/null 2>&1
printf 'dist:\n\tmkdir -p dist && cp page dist/index.html\n' > Makefile
echo hello > page
printf 'dest: %s/live\nname: app\n' "$PWD" > deploy/app.yml
printf '#!/bin/sh\necho "$*" >> %s/told\n' "$PWD" > bin/consul
chmod 755 bin/consul
printf 'trust: {keys: %s/keys/hosts}\n' "$PWD" > policy.yml
git init -q && git add Makefile page deploy
git -c user.name=x -c user.email=x@example.com commit -qm one
`

// TestRecipes runs the scripts of each recipe, twice as after a failure, with a
// real store, and deploys what the event names where only that key is trusted.
func TestRecipes(t *testing.T) {
	for _, need := range []string{"git", "make"} {
		testparts.Need(t, need)
	}
	for name, r := range recipes(t) {
		t.Run(name, func(t *testing.T) {
			dir, env := t.TempDir(), bucket(t, name)
			env = append(env, "PATH="+filepath.Join(dir, "bin")+":"+filepath.Dir(testparts.Program(t))+":"+os.Getenv("PATH"),
				"HOME="+dir, "STRETCHER_STATE_DIR="+dir+"/state", "TMPDIR="+dir+"/temp", testparts.NoExitSleep,
				"RUNNER_TEMP="+dir+"/temp", "GITHUB_OUTPUT="+dir+"/output", "GITHUB_REF_NAME=v1.2", "CI_COMMIT_TAG=v1.2",
				"GOOGLE_CLOUD_PROJECT=none")
			script(t, dir, env, repository)
			key := read(t, filepath.Join(dir, "keys/release.key"))
			if name == "GitLab" {
				env = append(env, "RELEASE_KEY="+dir+"/keys/release.key")
			}
			first := r.follow(t, dir, env, key)
			again := r.follow(t, dir, env, key)
			if strings.Contains(again, "archive sent") || !strings.Contains(first, "archive sent") {
				t.Errorf("the same archive is sent again:\n%s%s", first, again)
			}
			told := strings.Split(strings.TrimSpace(read(t, filepath.Join(dir, "told"))), "\n")
			url, ok := strings.CutPrefix(told[0], "event -name deploy ")
			if !ok || len(told) != 2 || told[1] != told[0] || !strings.HasSuffix(url, "://deploys/app/app-v1.2.yml") {
				t.Fatalf("Consul is told %q", told)
			}
			log := script(t, dir, env, "stretcher --config policy.yml '"+url+"'")
			if got := read(t, filepath.Join(dir, "live/index.html")); got != "hello\n" || !strings.Contains(log, "signed by") {
				t.Errorf("deployed %q:\n%s", got, log)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "temp/*")); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

// bucket starts the store that a recipe publishes to, and gives its environment.
func bucket(t *testing.T, system string) []string {
	t.Helper()
	if system == "GitHub" {
		s := testparts.S3(t)
		s.Put(t, "deploys", "other", nil)
		return s.Env()
	}
	s := testparts.GCS(t)
	s.Put(t, "deploys", "other", []byte("x"))
	return s.Env()
}

// follow runs the scripts of a recipe as its system does.
func (r recipe) follow(t *testing.T, dir string, env []string, key string) (log string) {
	t.Helper()
	output := regexp.MustCompile(`\$\{\{ steps\.publish\.outputs\.(\w+) \}\}`)
	secret := strings.NewReplacer("${{ secrets.RELEASE_KEY }}", strings.TrimSpace(key))
	for _, s := range r.steps {
		own := env
		for _, vars := range []map[string]string{r.env, s.env} {
			for k, v := range vars {
				own = append(own[:len(own):len(own)], k+"="+secret.Replace(v))
			}
		}
		run := output.ReplaceAllStringFunc(s.run, func(m string) string {
			written := read(t, filepath.Join(dir, "output"))
			line := regexp.MustCompile(`(?m)^` + output.FindStringSubmatch(m)[1] + `=(.*)$`)
			values := line.FindAllStringSubmatch(written, -1)
			if len(values) == 0 {
				t.Fatalf("nothing has written %s: %q", m, written)
			}
			return values[len(values)-1][1]
		})
		log += script(t, dir, own, run)
	}
	return log
}

// script runs one as CI systems do, and gives all that it prints.
func script(t *testing.T, dir string, env []string, text string) string {
	t.Helper()
	cmd := exec.Command("bash", "-e", "-o", "pipefail", "-c", text)
	cmd.Dir, cmd.Env = dir, env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, text, out)
	}
	return string(out)
}
