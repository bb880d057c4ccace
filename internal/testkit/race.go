//go:build race

package testkit

// Race reports whether the race detector is on, under which everything takes
// five times as long. A test may then try fewer examples of what it tries all of
// without it.
const Race = true
