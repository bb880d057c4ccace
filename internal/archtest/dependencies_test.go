package archtest

import (
	"bytes"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/testkit"
)

const module = "github.com/popbridge/popbridge/"

// folders says what each top-level folder may import of this module. A folder
// that is not listed fails the test, so a new one is a decision, not a slip.
var folders = map[string][]string{
	"cmd":       {"agent", "installer"},
	"agent":     {"agent", "bridge", "localimap", "installer", "config", "internal"},
	"bridge":    {"bridge", "internal"},
	"localimap": {"localimap", "internal"},
	"installer": {"installer", "internal"},
	"config":    {"config", "internal"},
	"internal":  {"internal"},
	"test":      {"test", "localimap", "internal"},
}

// owner says which folders may import a library or package.
type owner struct {
	imports  string
	only     []string
	testsMay bool
	why      string
}

func (o owner) includes(dir string) bool {
	return slices.ContainsFunc(o.only, func(only string) bool { return within(dir, only) })
}

var owners = []owner{
	{"database/sql", []string{"internal/mailstore"}, true, "only the mail store knows SQL"},
	{"modernc.org/sqlite", []string{"internal/mailstore"}, true, "only the mail store knows its driver"},
	{"github.com/emersion/go-imap", []string{"agent/agenttest", "agent/cli", "localimap", "test"}, true, "only localimap, tests and the client of the demo know IMAP"},
	{"github.com/emersion/go-imap/v2/imapserver", nil, false, "the IMAP server is our own"},
	{"github.com/chromedp", []string{"test"}, true, "only tests drive a browser"},
	{"github.com/kardianos/service", []string{"agent", "installer"}, true, "only agent and installer know service managers"},
	{"github.com/fsnotify/fsnotify", []string{"config"}, true, "only config watches files"},
	{"github.com/Microsoft/go-winio", []string{"agent/control"}, true, "only the control endpoint is a named pipe"},
	{module + "internal/mailtext", []string{"internal/mailstore", "internal/textindex", "localimap"}, true, "only searches and the text index read the text of messages"},
	{module + "internal/contents", []string{"internal/mailstore"}, true, "only the mail store knows where message files are"},
	{module + "internal/textindex", []string{"internal/mailstore", "localimap"}, true, "the text index is part of a store"},
	{module + "internal/mailstore", []string{"agent", "bridge", "localimap", "test"}, true, "leaves do not know the store"},
	{"golang.org/x/crypto/argon2", []string{"internal/password"}, true, "one package hashes passwords"},
	{module + "internal/password", []string{"agent", "internal/mailstore", "internal/testkit"}, true, "whoever has devices checks their passwords"},
	{"github.com/rs/zerolog/log", nil, false, "the logger is passed in, never global"},
	{"os/exec", []string{"agent/accounts", "agent/cli", "cmd", "installer", "internal/secret", "test"}, true, "the agent starts no program, such as a browser, but what prints a password"},
	{"C", nil, false, "popbridge is built with CGO_ENABLED=0 everywhere"},
	{"testing", testSupport, true, "test support stays out of the program"},
	{module + "internal/testkit", testSupport, true, "test support stays out of the program"},
	{module + "agent/agenttest", testSupport, true, "test support stays out of the program"},
	{module + "bridge/smtp/smtptest", testSupport, true, "test support stays out of the program"},
	{module + "internal/oauth/oauthtest", testSupport, true, "test support stays out of the program"},
	{"golang.org/x/oauth2", []string{"internal/oauth"}, false, "only internal/oauth knows the library"},
}

// pure says what packages that compute and do nothing else may import: no
// network, no files, no context. Their clock is an argument.
var pure = map[string][]string{
	"bridge/plan":        {"bytes", "crypto/sha256", "encoding/binary", "fmt", "math", "slices", "strconv", "strings", "time", module + "internal/mailstore"},
	"bridge/outbox/plan": {"cmp", "errors", "fmt", "regexp", "slices", "strconv", "strings", "time", module + "bridge/smtp", module + "internal/mailstore"},
	"internal/mailflags": {"slices", "strings", "sync", module + "internal/fault"},
}

// layers are the packages of agent: each imports only those before it.
var layers = []string{"agent/health", "agent/lan", "agent/state", "agent/datadir", "agent/users", "agent/signin", "agent/accounts", "agent/sending", "agent/editing", "agent/operations", "agent/api", "agent/control", "agent/web", "agent", "agent/cli"}

// testSupport is the code that only tests import.
var testSupport = []string{"internal/testkit", "agent/agenttest", "bridge/smtp/smtptest", "internal/oauth/oauthtest", "test"}

// supportsTests reports whether tests of any package may import dir.
func supportsTests(dir string) bool {
	return within(dir, "internal/testkit") || within(dir, "test/rig")
}

// file is one Go file as this test sees it; paths are slash-separated and
// relative to the module's root.
type file struct {
	path    string
	test    bool
	imports []string
}

func (f file) dir() string { return path.Dir(f.path) }

func (f file) folder() string {
	folder, _, _ := strings.Cut(f.path, "/")
	return folder
}

func TestDependencies(t *testing.T) {
	for _, f := range tree(t) {
		for _, v := range violations(f) {
			t.Error(v)
		}
	}
}

// The rules themselves are tested, because a rule that never bites looks just
// like a tree that keeps it.
func TestRulesBite(t *testing.T) {
	tests := []struct {
		path, imports string
		bites         bool
	}{
		{"cmd/popbridge/main.go", module + "agent/cli", false},
		{"cmd/popbridge/main.go", module + "bridge", true},
		{"agent/agent.go", module + "localimap", false},
		{"agent/operations/status.go", module + "agent/accounts", false},
		{"agent/operations/status.go", module + "agent/control", true},
		{"agent/operations/status_test.go", module + "agent", false},
		{"agent/users/stores.go", module + "agent/accounts", true},
		{"agent/web/page.go", module + "agent/operations", false},
		{"bridge/runner.go", module + "internal/mailstore", false},
		{"bridge/runner.go", module + "localimap", true},
		{"bridge/runner_test.go", module + "localimap", true},
		{"bridge/plan/plan.go", module + "internal/mailstore", false},
		{"bridge/plan/plan.go", module + "bridge/pop3", true},
		{"bridge/plan/plan.go", "os", true},
		{"bridge/plan/plan_test.go", "os", false},
		{"bridge/runner.go", module + "config", true},
		{"installer/unit.go", module + "agent", true},
		{"internal/secret/secret.go", module + "config", true},
		{"internal/secret/secret.go", module + "internal/fault", false},
		{"internal/mailstore/open.go", "database/sql", false},
		{"agent/cli/check.go", "database/sql", true},
		{"internal/mailstore/open.go", "modernc.org/sqlite", false},
		{"bridge/runner.go", "modernc.org/sqlite/lib", true},
		{"localimap/session.go", "github.com/emersion/go-imap/v2", false},
		{"localimap/session.go", "github.com/emersion/go-imap/v2/imapserver", true},
		{"bridge/runner.go", "github.com/emersion/go-imap/v2", true},
		{"bridge/runner_test.go", "github.com/emersion/go-imap/v2", false},
		{"config/watch.go", "github.com/fsnotify/fsnotify", false},
		{"agent/watch.go", "github.com/fsnotify/fsnotify", true},
		{"bridge/runner.go", "github.com/rs/zerolog", false},
		{"bridge/runner.go", "github.com/rs/zerolog/log", true},
		{"bridge/runner_test.go", "github.com/rs/zerolog/log", true},
		{"internal/message/parse.go", module + "internal/mailtext", true},
		{"internal/mailstore/expunged.go", module + "internal/mailtext", false},
		{"internal/mailstore/store.go", module + "internal/textindex", false},
		{"internal/textindex/index.go", module + "internal/mailstore", true},
		{"internal/textindex/index.go", "database/sql", true},
		{"bridge/runner.go", module + "internal/textindex", true},
		{"internal/mailstore/deliver.go", module + "internal/contents", false},
		{"bridge/commit.go", module + "internal/contents", true},
		{"internal/contents/spool.go", "database/sql", true},
		{"internal/mailstore/login.go", "golang.org/x/crypto/argon2", true},
		{"internal/mailstore/login.go", module + "internal/password", false},
		{"bridge/runner.go", module + "internal/password", true},
		{"bridge/runner.go", module + "internal/testkit", true},
		{"bridge/runner_test.go", module + "internal/testkit", false},
		{"internal/message/dovecot_test.go", module + "test/rig", false},
		{"internal/message/dovecot.go", module + "test/rig", true},
		{"bridge/runner.go", "testing", true},
		{"bridge/runner.go", "C", true},
		{"agent/cli/browser_unix.go", "os/exec", false},
		{"agent/web/page.go", "os/exec", true},
		{"internal/oauth/login.go", "golang.org/x/oauth2", false},
		{"agent/agent.go", "golang.org/x/oauth2", true},
		{"agent/agent.go", module + "internal/oauth/oauthtest", true},
		{"agent/agent_test.go", module + "internal/oauth/oauthtest", false},
		{"extras/new.go", "fmt", true},
	}
	for _, tt := range tests {
		f := file{path: tt.path, test: strings.HasSuffix(tt.path, "_test.go"), imports: []string{tt.imports}}
		if got := violations(f); (len(got) > 0) != tt.bites {
			t.Errorf("%s imports %s: got %q", tt.path, tt.imports, got)
		}
	}
}

// violations says, one sentence each, which imports of f are against the rules.
func violations(f file) []string {
	var found []string
	allowed, known := folders[f.folder()]
	if !known {
		found = append(found, fmt.Sprintf("%s: folder %s is none of docs/ARCHITECTURE.md", f.path, f.folder()))
	}
	for _, imp := range f.imports {
		local, ours := strings.CutPrefix(imp, module)
		if ours && known {
			to, _, _ := strings.Cut(local, "/")
			if !slices.Contains(allowed, to) && !(f.test && supportsTests(local)) {
				found = append(found, fmt.Sprintf("%s imports %s: %s may not import %s", f.path, imp, f.folder(), to))
			}
		}
		if own, other := slices.Index(layers, f.dir()), slices.Index(layers, local); own >= 0 && other > own && !f.test {
			found = append(found, fmt.Sprintf("%s imports %s: %s comes before %s", f.path, imp, f.dir(), local))
		}
		if may, is := pure[f.dir()]; is && !f.test && !slices.Contains(may, imp) {
			found = append(found, fmt.Sprintf("%s imports %s: package %s is pure", f.path, imp, f.dir()))
		}
		for _, o := range owners {
			if within(imp, o.imports) && !(f.test && o.testsMay) && !o.includes(f.dir()) {
				found = append(found, fmt.Sprintf("%s imports %s: %s", f.path, imp, o.why))
			}
		}
	}
	return found
}

// The entry point only hands over to the composition root.
func TestMainIsShort(t *testing.T) {
	const main = "cmd/popbridge/main.go"
	raw, err := os.ReadFile(filepath.Join(testkit.ModuleRoot(t), filepath.FromSlash(main)))
	if err != nil {
		t.Fatal(err)
	}
	if lines := bytes.Count(raw, []byte("\n")); lines > 25 {
		t.Errorf("%s has %d lines, at most 25 are allowed", main, lines)
	}
}

// Only what tests use makes passwords cheap to guess.
func TestOnlyTestsHashCheaply(t *testing.T) {
	for _, f := range tree(t) {
		raw, err := os.ReadFile(filepath.Join(testkit.ModuleRoot(t), filepath.FromSlash(f.path)))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(raw, []byte("password.CheapForTests")) && !f.test && f.dir() != "internal/testkit" {
			t.Errorf("%s makes passwords cheap to guess", f.path)
		}
	}
}

// Only a command that a person has run opens a browser, never the agent: what does is in
// package cli, which no other may import (see layers), and there two commands call it.
func TestOnlyCommandsOpenABrowser(t *testing.T) {
	openers := regexp.MustCompile(`ShellExecute|xdg-open|wslview|rundll32|github\.com/pkg/browser`)
	var callers []string
	for _, f := range tree(t) {
		raw, err := os.ReadFile(filepath.Join(testkit.ModuleRoot(t), filepath.FromSlash(f.path)))
		if err != nil {
			t.Fatal(err)
		}
		if openers.Match(raw) && !f.test && !strings.HasPrefix(f.path, "agent/cli/browser_") {
			t.Errorf("%s names what opens a browser", f.path)
		}
		if strings.Contains(strings.ReplaceAll(string(raw), "func startBrowser(", ""), "startBrowser(") && !f.test {
			callers = append(callers, f.path)
		}
	}
	if want := []string{"agent/cli/account_signin.go", "agent/cli/open.go"}; !slices.Equal(callers, want) {
		t.Errorf("a browser is opened by %q, not by %q", callers, want)
	}
}

// within reports whether p is dir or lies below it.
func within(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

// tree parses the imports of every Go file of the module, whatever system it
// is for.
func tree(t *testing.T) []file {
	t.Helper()
	root := testkit.ModuleRoot(t)
	var files []file
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if rel != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || rel == "tools") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		f := file{path: rel, test: strings.HasSuffix(rel, "_test.go")}
		for _, imp := range parsed.Imports {
			p, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				return err
			}
			f.imports = append(f.imports, p)
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("no Go files found")
	}
	return files
}
