package trust

import "testing"

// Not Root: before Windows changes that it asks a person.
func TestAStoreOfWindows(t *testing.T) { keepsTheContract(t, rootStore("PopbridgeTest")[0]) }
