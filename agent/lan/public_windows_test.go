package lan

import "testing"

// Windows can be asked: the answer is about interfaces that there are.
func TestPublicNetworks(t *testing.T) {
	for range 3 {
		public, err := publicInterfaces()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("public: %v", public)
	}
	all, err := Interfaces()
	if err != nil || len(all) == 0 {
		t.Fatal(all, err)
	}
	for _, i := range all {
		t.Logf("%s %v public %v", i.Name, i.Addrs, i.Public)
	}
}
