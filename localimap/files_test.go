package localimap

import (
	"slices"
	"testing"

	"github.com/popbridge/popbridge/internal/mailstore"
)

// The short files of a group fit into its memory, and one file of it is open at most.
func TestGroupEnds(t *testing.T) {
	for _, c := range []struct {
		name  string
		sizes []int64
		want  []int
	}{
		{"none", nil, nil},
		{"one", []int64{1}, []int{1}},
		{"short ones", slices.Repeat([]int64{100}, groupMost+1), []int{groupMost, groupMost + 1}},
		{"what fits", slices.Repeat([]int64{largeFile - 1}, 5), []int{4, 5}},
		{"a large one ends a group", []int64{1, largeFile, 1, 1 << 30, 1 << 30}, []int{2, 4, 5}},
	} {
		contents := make([]mailstore.Content, len(c.sizes))
		for i, size := range c.sizes {
			contents[i].Size = size
		}
		ends := groupEnds(contents)
		if !slices.Equal(ends, c.want) {
			t.Errorf("%s: %v, want %v", c.name, ends, c.want)
		}
	}
}

// A summary that is wrong about a message breaks nothing.
func TestSectionsBeyondTheEnd(t *testing.T) {
	for _, at := range [][2]int64{{0, 4}, {4, 9}, {3, 1}, {-1, 2}} {
		_ = stored(readFile("abc"), at[0], at[1], nil)
	}
}
