package web

import (
	"strings"
	"testing"

	"github.com/popbridge/popbridge/config"
)

// Each key of the config has its words on the page, in every language.
func TestKeysHaveTheirWords(t *testing.T) {
	for _, catalogue := range []string{"static/en.js", "static/de.js"} {
		text, err := static.ReadFile(catalogue)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range config.Keys {
			wanted := []string{"settings." + k.Path}
			if k.Fixed == "" {
				wanted = append(wanted, "settings.doc."+k.Path)
				if table, _, ok := strings.Cut(k.Path, "."); ok {
					wanted = append(wanted, "settings.group."+table)
				}
				for _, choice := range k.Choices {
					wanted = append(wanted, "settings."+k.Path+"."+choice)
				}
			}
			for _, id := range wanted {
				if !strings.Contains(string(text), `"`+id+`":`) {
					t.Errorf("%s has no %s", catalogue, id)
				}
			}
		}
	}
}
