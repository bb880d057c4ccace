//go:build !linux

package testkit

// memoryDisk is empty: only Linux has such a folder.
func memoryDisk(uint64) string { return "" }
