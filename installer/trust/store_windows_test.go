package trust

import (
	"testing"

	"golang.org/x/sys/windows"
)

// Not Root: before Windows changes that it asks a person. And by the provider of the
// registry: of the store that SYSTEM_W puts together of several, wine 8 deletes nothing.
func TestAStoreOfWindows(t *testing.T) {
	keepsTheContract(t, Store{Name: "Windows", place: userStore{"PopbridgeTest", windows.CERT_STORE_PROV_SYSTEM_REGISTRY_W, ""}})
}
