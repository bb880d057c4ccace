//go:build race

package testkit

import (
	"flag"

	_ "pgregory.net/rapid" // its flags
)

// Race reports whether the race detector is on, under which everything takes
// five times as long. A test may then try fewer examples of what it tries all of
// without it.
const Race = true

// The model tests try fewer examples, unless -rapid.checks says otherwise.
func init() {
	if err := flag.Set("rapid.checks", "40"); err != nil {
		panic(err)
	}
}
