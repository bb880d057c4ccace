package web

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/fault"
)

// entry is a text of a catalogue: its id, and its words with all forms.
var entry = regexp.MustCompile(`(?m)^  "([^"]+)": ("(?:[^"\\]|\\.)*"|\{.*\}),$`)

var placeholder = regexp.MustCompile(`\{(\w+)\}`)

func catalogue(t *testing.T, name string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("static", name))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, m := range entry.FindAllStringSubmatch(string(data), -1) {
		if _, twice := all[m[1]]; twice {
			t.Errorf("%s has %q twice", name, m[1])
		}
		all[m[1]] = m[2]
	}
	if lines := strings.Count(string(data), "\n  \""); lines != len(all) {
		t.Errorf("%s has %d texts, of which %d can be read", name, lines, len(all))
	}
	return all
}

// Every text of the page is in both catalogues, with the same values in it, and none is
// left that no module shows.
func TestWords(t *testing.T) {
	en, de := catalogue(t, "en.js"), catalogue(t, "de.js")
	values := func(text string) []string {
		list := placeholder.FindAllString(text, -1)
		slices.Sort(list)
		return slices.Compact(list)
	}
	same := 0
	for id, text := range en {
		other, ok := de[id]
		if !ok {
			t.Errorf("there is no German %q", id)
		} else if !slices.Equal(values(text), values(other)) {
			t.Errorf("%q has other values in German: %s, %s", id, text, other)
		}
		if text == other && len(text) > 12 {
			same++
			t.Logf("%q is the same in both: %s", id, text)
		}
	}
	if same > 5 {
		t.Errorf("%d texts are the same in both", same)
	}
	for id := range de {
		if _, ok := en[id]; !ok {
			t.Errorf("there is no English %q", id)
		}
	}
	modules, err := filepath.Glob("static/*.js")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, m := range modules {
		if base := filepath.Base(m); base != "en.js" && base != "de.js" {
			data, err := os.ReadFile(m)
			if err != nil {
				t.Fatal(err)
			}
			code.Write(data)
		}
	}
	for _, m := range regexp.MustCompile(`\bt\("([^"]+)"`).FindAllStringSubmatch(code.String(), -1) {
		if _, ok := en[m[1]]; !ok && !strings.HasSuffix(m[1], ".") {
			t.Errorf("there is no text %q", m[1])
		}
	}
	var built []string // ids that begin so are put together
	for _, m := range regexp.MustCompile("\"([a-z]+\\.(?:[a-z]+\\.)?)\" \\+").FindAllStringSubmatch(code.String(), -1) {
		built = append(built, m[1])
	}
	for id := range en {
		if !strings.Contains(code.String(), `"`+id+`"`) && !slices.ContainsFunc(built, func(b string) bool { return strings.HasPrefix(id, b) }) {
			t.Errorf("nothing shows %q", id)
		}
	}
}

// A condition has a sentence of its own, and a place where its button leads to.
func TestEveryConditionHasWords(t *testing.T) {
	files, err := filepath.Glob("../health/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	leads, err := os.ReadFile("static/health.js")
	if err != nil {
		t.Fatal(err)
	}
	en := catalogue(t, "en.js")
	n := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^\t[cC]ode\w+\s+= "([a-z-]+)"`).FindAllStringSubmatch(string(data), -1) {
			n++
			if _, ok := en["health."+m[1]]; !ok {
				t.Errorf("the page has no sentence for %s", m[1])
			}
			if !strings.Contains(string(leads), `"`+m[1]+`"`) && m[1] != "agent-not-running" { // there is no page then
				t.Errorf("the page has no button for %s", m[1])
			}
		}
	}
	if n < 30 {
		t.Errorf("%d codes were found", n)
	}
}

// What the search for a server asks, and why a message is to be deleted, have words.
func TestEveryStepAndReasonHasWords(t *testing.T) {
	en := catalogue(t, "en.js")
	for _, of := range []struct {
		file, values, id string
		n                int
	}{
		{"../../installer/discover/discover.go", `(?m)^\tStep\w+\s+= "(\w+)"`, "step.", 5},
		{"../../bridge/plan/keep.go", `return "(\w+)", (?:"|fmt)`, "reason.", 4},
		{"../../bridge/plan/policy.go", `why, reason = "(\w+)"`, "reason.", 1},
		{"../../bridge/confirm.go", `Why: "(\w+)"`, "reason.", 1},
	} {
		data, err := os.ReadFile(of.file)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(of.values).FindAllStringSubmatch(string(data), -1)
		for _, m := range found {
			if _, ok := en[of.id+m[1]]; !ok {
				t.Errorf("the page has no words for %s%s", of.id, m[1])
			}
		}
		if len(found) != of.n {
			t.Errorf("%s has %d, want %d", of.file, len(found), of.n)
		}
	}
}

// An error has a sentence about its kind, for a page that is not in English.
func TestEveryKindOfErrorHasWords(t *testing.T) {
	en, n := catalogue(t, "en.js"), 0
	for ; fault.Kind(n).String() != fmt.Sprintf("kind %d", n); n++ {
		if _, ok := en["kind."+fault.Kind(n).String()]; !ok {
			t.Errorf("the page has no sentence for errors of the kind %s", fault.Kind(n))
		}
	}
	if n < 10 {
		t.Errorf("%d kinds", n)
	}
}

// The whole page is small: it is there at once. What counts is what is sent.
func TestSize(t *testing.T) {
	const most = 120_000
	files, err := filepath.Glob("static/*")
	if err != nil {
		t.Fatal(err)
	}
	sum, sent := 0, 0
	for _, f := range files {
		if types[filepath.Ext(f)] == "" {
			continue
		}
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		sum += len(data)
		sent += len(compressed(data))
	}
	if sent > most {
		t.Errorf("%d bytes are sent, at most %d were meant", sent, most)
	}
	t.Logf("%d bytes, of which %d are sent", sum, sent)
}
