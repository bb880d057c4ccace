//go:build !race

package testkit

// Race is false without the race detector.
const Race = false
