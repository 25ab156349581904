package hookenv

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// names are the exported names of p2's package hooks, at its last commit, of
// which a hook may use those in have; the others are missing.
const (
	have = `HookType HookType.String AsHookType DefaultPath PreparerInit BeforeInstall AfterInstall
		BeforeUninstall BeforeLaunch AfterLaunch AfterAuthFail HookEnvVar HookEventEnvVar
		HookedNodeEnvVar HookedPodIDEnvVar HookedPodHomeEnvVar HookedPodManifestEnvVar
		HookedConfigPathEnvVar HookedEnvPathEnvVar HookedConfigDirPathEnvVar HookedSystemPodRootEnvVar
		HookedPodUniqueKeyEnvVar HookedPodReadOnly CurrentEnv HookEnv HookEnv.Manifest HookEnv.PodID
		HookEnv.PodHome HookEnv.Node HookEnv.Config HookEnv.Event HookEnv.EnvPath HookEnv.ConfigDirPath
		HookEnv.ExitUnlessEvent HookEnv.PodUniqueKey HookEnv.PodUniqueName`
	missing = `HookEnv.Pod HookEnv.PodFromDisk Pod DefaultTimeout HookExecutionEnvironment
		HookExecutionEnvironment.Env HookExecContext HookExecContext.Run HookExecContext.RunWithTimeout
		HookExecContext.Close NewHookExecContext NewContext RunHookResult ErrHookTimeout
		ErrHookTimeout.Error AuditLogger FileAuditLogger NewFileAuditLogger SQLiteAuditLogger
		NewSQLiteAuditLogger InstallHookScripts`
	// added are the names that p2 has not.
	added = `HookTypes HookEnv.Hook HookEnv.SystemPodRoot HookEnv.PodReadOnly HookEnv.Variable
		HookEnv.Staging HookEnv.Status HookEnv.Error Manifest List List.UnmarshalYAML`
)

// exported are the exported names of this package, methods after their type.
func exported(t *testing.T) (all []string) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "hookenv.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	p, err := doc.NewFromFiles(set, []*ast.File{file}, "hookenv")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range append(p.Consts, p.Vars...) {
		all = append(all, v.Names...)
	}
	for _, f := range p.Funcs {
		all = append(all, f.Name)
	}
	for _, typ := range p.Types {
		all = append(all, typ.Name)
		for _, v := range append(typ.Consts, typ.Vars...) {
			all = append(all, v.Names...)
		}
		for _, f := range typ.Funcs {
			all = append(all, f.Name)
		}
		for _, m := range typ.Methods {
			all = append(all, typ.Name+"."+m.Name)
		}
	}
	return all
}

// TestNamesOfP2: this package has the names of p2's that the table says, those that
// it adds, and no others; docs/hooks.md lists those that are missing, with the
// reason, and no others.
func TestNamesOfP2(t *testing.T) {
	got, want := exported(t), strings.Fields(have+" "+added)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the package has\n%q, the table\n%q", got, want)
	}
	text, err := os.ReadFile("../docs/hooks.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "\n| missing of p2's `hooks` | why |\n|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	var listed []string
	for _, row := range strings.Split(table, "\n") {
		cells := strings.Split(strings.Trim(row, "| "), " | ")
		if len(cells) != 2 || cells[1] == "" {
			t.Errorf("a row without a reason: %q", row)
		}
		for _, m := range regexp.MustCompile("`([A-Za-z0-9.]+)`").FindAllStringSubmatch(cells[0], -1) {
			listed = append(listed, m[1])
		}
	}
	for _, name := range strings.Fields(missing) { // methods go with their type
		typ, _, method := strings.Cut(name, ".")
		if !slices.Contains(listed, name) && !(method && slices.Contains(listed, typ)) {
			t.Errorf("docs/hooks.md does not say why %s is missing", name)
		}
	}
	for _, name := range listed {
		if !slices.Contains(strings.Fields(missing), name) {
			t.Errorf("docs/hooks.md says that %s is missing", name)
		}
	}
}

// TestZeroValue: as p2's, the zero value reads the environment of the process.
func TestZeroValue(t *testing.T) {
	t.Setenv(HookEventEnvVar, AfterLaunch.String())
	if event, err := (&HookEnv{}).Event(); event != AfterLaunch || err != nil {
		t.Errorf("%s, %v", event, err)
	}
}
