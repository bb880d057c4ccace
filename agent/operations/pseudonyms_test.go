package operations

import "testing"

func TestPseudonyms(t *testing.T) {
	p := newPseudonyms()
	p.address("username", "ann@example.com")
	p.name("host", "pop.example.com")
	p.name("account", "Zuhause")
	p.name("user", "me")
	p.name("folder", "Work")
	p.name("folder", "Work/2024")
	for _, tt := range []struct{ text, want string }{
		{"account zuhause: ANN@example.com was refused by pop.example.com:995", "account account-1: username-1 was refused by host-1:995"},
		{`"Ann" and annabelle, Ann's`, `"word-1" and annabelle, word-1's`},
		{"<bob@other.example>, bob@other.example", "<address-1>, address-1"},
		{"bob@example.com", "address-2"},
		{"certificate of mx.other.net, mx.other.net.", "certificate of host-2, host-3"},
		{"192.0.2.1:1143 and [fd00::20]:1993, 127.0.0.1:1143, [::1]:1143, fd00::20", "ip-1:1143 and [ip-2]:1993, 127.0.0.1:1143, [::1]:1143, ip-2"},
		{"me in index.db at 2026-01-02T10:11:12Z, 3.0 s, log.level", "me in index.db at 2026-01-02T10:11:12Z, 3.0 s, log.level"},
		{"annann ann-ann xann", "annann word-1-word-1 xann"},
		{"Work/2024a, Work/2024, work/202, Works/2024", "folder-1/2024a, folder-2, folder-1/202, Works/2024"},
		{"pop.firma.md:995", "host-4:995"},
		{"", ""},
	} {
		if got := p.text(tt.text); got != tt.want {
			t.Errorf("%q:\n%q, want\n%q", tt.text, got, tt.want)
		}
	}
}
