//go:build !windows

package atomicfile

func openable(string) error { return nil }

// Elsewhere a file that is open can be renamed and removed.
var system = holding{refusal: func(error) (may, must bool) { return false, false }}
