//go:build !linux

package testkit

// UseMemoryDisk does nothing: only Linux has a folder in memory for everybody.
func UseMemoryDisk() {}
