package cli

import (
	"io"
	"strings"
	"text/tabwriter"
)

// table is text in columns.
type table struct{ strings.Builder }

// row adds a line. Text from elsewhere stays in its cell: a tab or a line end
// in it becomes a space.
func (t *table) row(cells ...string) {
	for i, c := range cells {
		if i > 0 {
			t.WriteByte('\t')
		}
		t.WriteString(strings.NewReplacer("\t", " ", "\n", " ").Replace(c))
	}
	t.WriteByte('\n')
}

// print writes the table with its columns aligned.
func (t *table) print(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if _, err := io.WriteString(tw, t.String()); err != nil {
		return err
	}
	return tw.Flush()
}
