// Package rounds says how much the tests try.
package rounds

import (
	"flag"
	"os"
	"strconv"

	_ "pgregory.net/rapid" // its flags
)

// Long reports whether tests try all they can: more seeds, longer times, larger
// mailboxes. POPBRIDGE_LONG=1 says so, as .ci/run does; without it they take as long
// as one waits before a commit.
func Long() bool { return os.Getenv("POPBRIDGE_LONG") != "" }

// Of is how many examples a test tries.
func Of(short, long int) int {
	if Long() {
		return long
	}
	return short
}

// The model tests try fewer examples, unless -rapid.checks says otherwise.
func init() {
	if err := flag.Set("rapid.checks", strconv.Itoa(Of(8, 100))); err != nil {
		panic(err)
	}
}
