package archtest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/testkit"
)

var (
	testName   = regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9_]+)`")
	testFunc   = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9_]+)\(`)
	mdLink     = regexp.MustCompile(`\]\(([^)#]+)(?:#[^)]*)?\)`)
	healthCode = regexp.MustCompile(`(?m)^\s+Code[A-Za-z]+\s+= "([a-z-]+)"`)
)

// A page that names a test is worth no more than the test: it has to be there.
func TestDocsNameTestsThatExist(t *testing.T) {
	exists := make(map[string]bool)
	for _, f := range tree(t) {
		if f.test {
			for _, m := range testFunc.FindAllStringSubmatch(read(t, f.path), -1) {
				exists[m[1]] = true
			}
		}
	}
	for _, page := range pages(t) {
		for _, m := range testName.FindAllStringSubmatch(read(t, page), -1) {
			if !exists[m[1]] {
				t.Errorf("%s names %s, which does not exist", page, m[1])
			}
		}
	}
}

func TestDocsLinkToFilesThatExist(t *testing.T) {
	root := testkit.ModuleRoot(t)
	for _, page := range pages(t) {
		for _, m := range mdLink.FindAllStringSubmatch(read(t, page), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			target := filepath.Join(root, filepath.Dir(page), filepath.FromSlash(m[1]))
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s, which does not exist", page, m[1])
			}
		}
	}
}

// Whoever looks up a health condition finds it.
func TestDocsExplainEveryHealthCondition(t *testing.T) {
	page := read(t, "docs/troubleshooting.md")
	codes := healthCode.FindAllStringSubmatch(read(t, "agent/health/conditions.go")+read(t, "agent/health/lan.go"), -1)
	if len(codes) == 0 {
		t.Fatal("no codes found in agent/health")
	}
	for _, m := range codes {
		if !strings.Contains(page, "| `"+m[1]+"` |") {
			t.Errorf("docs/troubleshooting.md does not explain %s", m[1])
		}
	}
}

var walkStep = regexp.MustCompile("(?m)^\\| \\d+ \\|.*\\| `([a-z0-9_/]+\\.go)` \\| `(\\w+)` \\|$")

// The walks of docs/ARCHITECTURE.md name a file and a function at each step.
func TestTheWalksNameFunctionsThatExist(t *testing.T) {
	steps := walkStep.FindAllStringSubmatch(read(t, "docs/ARCHITECTURE.md"), -1)
	if len(steps) < 20 {
		t.Fatalf("%d steps found", len(steps))
	}
	for _, step := range steps {
		function := regexp.MustCompile(`(?m)^func (\([^)]*\) )?` + step[2] + `[\[(]`)
		if !function.MatchString(read(t, step[1])) {
			t.Errorf("%s has no function %s", step[1], step[2])
		}
	}
}

func pages(t *testing.T) []string {
	t.Helper()
	root := testkit.ModuleRoot(t)
	found, err := filepath.Glob(filepath.Join(root, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(filepath.Join(root, "docs"), func(name string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(name, ".md") {
			found = append(found, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range found {
		if found[i], err = filepath.Rel(root, found[i]); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(found)
	return found
}

func read(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(testkit.ModuleRoot(t), filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
