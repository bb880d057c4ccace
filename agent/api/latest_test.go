package api

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/bridge"
)

func TestLatestKeepsOneProgressPerName(t *testing.T) {
	l := newLatest()
	for i := range 10_000 {
		l.put(operations.Progress{Progress: bridge.Progress{Account: "home", Messages: i}})
		l.put(operations.Progress{Progress: bridge.Progress{Account: "work", Messages: i}})
	}
	l.close()
	var got []operations.Progress
	for p := range l.all() {
		got = append(got, p)
	}
	want := []operations.Progress{{Progress: bridge.Progress{Account: "home", Messages: 9999}}, {Progress: bridge.Progress{Account: "work", Messages: 9999}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
