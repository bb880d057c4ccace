package web

import "testing"

func TestAddressesOfTheKernel(t *testing.T) {
	for text, want := range map[string]string{
		"0100007F:1F90":                         "127.0.0.1:8080",
		"00000000000000000000000001000000:0050": "[::1]:80",
		"0000000000000000FFFF00000100007F:1F90": "127.0.0.1:8080",
		"0100007F:1F9":                          "invalid AddrPort",
		"0100007F":                              "invalid AddrPort",
	} {
		if got := parseAddress(text).String(); got != want {
			t.Errorf("%s is read as %s", text, got)
		}
	}
}

// Whatever stands there, an address of the kernel's table is read or is none.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{"0100007F:1F90", "00000000000000000000000001000000:0050", "0100007F", ":", "0100007F:1F9", "xx:yy"} {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, text string) { parseAddress(text) })
}
