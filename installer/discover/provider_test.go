package discover

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var dateForm = regexp.MustCompile(`^(\d{4}(-\d\d){0,2}|undated)$`)

// Syntax and sanity of every row; nothing is contacted.
func TestEveryRow(t *testing.T) {
	table, err := parseTable(providersTSV)
	if err != nil {
		t.Fatal(err)
	}
	domains, plain := 0, 0
	for _, p := range table.rows {
		domains += len(p.domains)
		if p.pop.TLS == None {
			plain += len(p.domains)
		}
		for _, complaint := range complaints(p) {
			t.Errorf("%s: %s", p.name, complaint)
		}
	}
	if len(table.rows) < 150 || domains < 900 || plain == 0 {
		t.Errorf("%d rows with %d domains, %d of them without TLS", len(table.rows), domains, plain)
	}
}

// complaints says what is odd in a row.
func complaints(p *provider) []string {
	var odd []string
	for _, d := range append(append([]string{}, p.domains...), p.mx...) {
		d = strings.TrimPrefix(d, "*.")
		if name, ok := hostName(d); !ok || name != d {
			odd = append(odd, d+" is not a domain in ASCII and lower case")
		}
	}
	a := p.advice
	if a.Source == "" || !dateForm.MatchString(a.Date) {
		odd = append(odd, "source or date")
	}
	if (a.NoteSource != "" && !dateForm.MatchString(a.NoteDate)) || (a.NoteSource == "" && a.NoteDate != "") {
		odd = append(odd, "date of the facts")
	}
	if a.Note != "" && (!strings.HasSuffix(a.Note, ".") || printable(a.Note, 400) != a.Note) {
		odd = append(odd, "note is not whole sentences, short and printable")
	}
	switch pop := p.pop; {
	case p.noPOP() && pop.Known():
		odd = append(odd, "no POP3, but a server")
	case !pop.Known():
		if len(a.Lines()) == 0 || p.smtp.Known() {
			odd = append(odd, "neither server nor advice")
		}
	case pop.TLS == Implicit && pop.Port != 995, pop.TLS != Implicit && pop.Port != 110:
		odd = append(odd, "POP3 port of "+pop.String())
	case len(pop.Auth) == 0 || pop.Username == "":
		odd = append(odd, "POP3 without a login")
	case pop.OAuth2Only() && !a.wants(NeedOAuth2):
		odd = append(odd, "OAuth2 in pop, but not in needs")
	}
	switch smtp := p.smtp; {
	case smtp.Known() && (smtp.Username == "") != (len(smtp.Auth) == 0):
		odd = append(odd, "SMTP with half a login")
	case smtp.TLS == StartTLS && smtp.Port == 465, smtp.TLS == None && smtp.Port == 465:
		odd = append(odd, "SMTP port of "+smtp.String())
	}
	return odd
}

func TestARowThatIsWrong(t *testing.T) {
	const good = "Name\texample.com\t\tpop.example.com:995:implicit:password:address\t\t\t\t\t\t\tsource\t2026\t\t"
	if _, err := parseTable(tableHeader + "\n" + good + "\n"); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{
		strings.Replace(good, "Name", "", 1),
		strings.Replace(good, "example.com", "", 1),
		strings.Replace(good, ":995:", ":0:", 1),
		strings.Replace(good, ":995:", ":", 1),
		strings.Replace(good, ":implicit:", ":tls:", 1),
		strings.Replace(good, ":password:", ":secret:", 1),
		strings.Replace(good, ":address", ":mail", 1),
		strings.Replace(good, "pop.example.com", "192.0.2.1", 1),
		strings.Replace(good, ":address\t\t", ":address\t\tluck", 1),
		strings.Replace(good, ":address\t\t\t", ":address\t\t\thttp://example.com", 1),
		strings.Replace(good, "\t\t\tsource", "\t0\t\tsource", 1),
		good + "\t",
		good + "\n" + good,
	} {
		if _, err := parseTable(tableHeader + "\n" + bad + "\n"); err == nil {
			t.Errorf("taken: %q", bad)
		}
	}
	if _, err := parseTable("name\n" + good); err == nil {
		t.Error("a table without its columns was taken")
	}
}

func TestProviderByDomain(t *testing.T) {
	tests := []struct{ address, pop, user, smtp string }{
		{"ann@gmx.de", "pop.gmx.net:995 (TLS)", "ann@gmx.de", "mail.gmx.net:465 (TLS)"},
		{"Ann@WEB.DE", "pop3.web.de:995 (TLS)", "Ann", "smtp.web.de:465 (TLS)"},
		{"ann@bc.iij4u.or.jp", "mbox.iij4u.or.jp:110 (STARTTLS)", "ann.bc.iij4u.or.jp", "mbox.iij4u.or.jp:587 (STARTTLS)"},
		{"ann@inbox.lv", "mail.inbox.lv:995 (TLS)", "ann@inbox.lv", "mail.inbox.lv:465 (TLS)"},
		{"ann@mx2.tiki.ne.jp", "mx2.tiki.ne.jp:110 (not encrypted)", "ann", "smtp-auth.tiki.ne.jp:587 (not encrypted)"},
		{"ann@aa2.biglobe.ne.jp", "mail.biglobe.ne.jp:995 (TLS)", "ann@aa2.biglobe.ne.jp", "mail.biglobe.ne.jp:465 (TLS)"},
	}
	for _, tt := range tests {
		a, err := ParseAddress(tt.address)
		if err != nil {
			t.Fatal(err)
		}
		p := builtin().byDomain(a.Domain)
		if p == nil {
			t.Errorf("%s: no provider", tt.address)
			continue
		}
		pop, smtp := p.servers(a)
		if got := []string{pop.String(), pop.Username, smtp.String()}; !cmp.Equal(got, []string{tt.pop, tt.user, tt.smtp}) {
			t.Errorf("%s: got %q", tt.address, got)
		}
	}
	if p := builtin().byDomain("example.com"); p != nil {
		t.Errorf("example.com is of %s", p.name)
	}
}

func TestProviderByMX(t *testing.T) {
	for host, want := range map[string]string{
		"aspmx.l.google.com":                      "Google Mail",
		"alt1.aspmx.l.google.com":                 "Google Mail",
		"aspmx2.googlemail.com":                   "Google Mail",
		"example-com.mail.protection.outlook.com": "Microsoft 365",
		"example-com.a-v1.mx.microsoft":           "Microsoft 365",
		"in1-smtp.messagingengine.com":            "Fastmail",
		"mx01.emig.gmx.net":                       "GMX Freemail",
		"mta5.am0.yahoodns.net":                   "Yahoo! Mail",
		"mx-aol.mail.gm0.yahoodns.net":            "AOL Mail",
		"smtpin.rzone.de":                         "Strato",
		"mx1.example.net":                         "",
		"com":                                     "",
		"notgoogle.com":                           "",
	} {
		got := ""
		if p := builtin().byMX(host); p != nil {
			got = p.name
		}
		if got != want {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
}

func TestAdviceInWords(t *testing.T) {
	tests := map[string]string{
		"gmail.com":   "Google Mail: switch on POP3 in the settings of the mailbox: https://mail.google.com/mail/#settings/fwdandpop; use an app password, which is made in the settings of the mailbox, or sign in with OAuth2; An app password needs 2-step verification. Google Workspace",
		"web.de":      "WEB.DE Freemail: switch on POP3 in the settings of the mailbox: https://hilfe.web.de/pop-imap/einschalten.html; with two-factor login use an app password, which is made in the settings of the mailbox; poll at most every 15 minutes; A login",
		"mail.com":    "mail.com: have a paid plan",
		"hotmail.com": "Outlook.com (Microsoft): switch on POP3 in the settings of the mailbox: https://support.microsoft.com/office/d088b986-291d-42b8-9564-9c414e2aa040; sign in with OAuth2; ",
	}
	for domain, want := range tests {
		if got := builtin().byDomain(domain).advice.Refused(); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s", domain, got)
		}
	}
	if got := (Advice{Provider: "x"}).Refused(); got != "" {
		t.Errorf("no advice is %q", got)
	}
}

// README.md explains each column, in this order.
func TestTheTableIsExplained(t *testing.T) {
	raw, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	rest := string(raw)
	for _, column := range strings.Split(tableHeader, "\t") {
		_, after, found := strings.Cut(rest, "`"+column+"`")
		if !found {
			t.Fatalf("README.md does not explain the column %s", column)
		}
		rest = after
	}
}

func TestAdviceForAnAccount(t *testing.T) {
	tests := []struct{ address, host, want string }{
		{"ann@gmx.de", "pop.gmx.net", "GMX Freemail"},
		{"Ann@VERIZON.net", "POP.aol.com", "Verizon Online"},
		{"ann@aol.com", "pop.aol.com", "AOL Mail"},
		{"ann@example.com", "pop.gmail.com", "Google Mail"},
		{"ann", "pop3.web.de", "WEB.DE Freemail"},
		{"ann@inbox.lv", "mail.inbox.lv", "Inbox.lv"},
		{"ann@gmx.de", "pop.example.com", ""},
		{"ann@icloud.com", "", ""},
	}
	for _, tt := range tests {
		a, ok := AdviceFor(tt.address, tt.host)
		if a.Provider != tt.want || ok != (tt.want != "") {
			t.Errorf("%s at %s: %q, %v", tt.address, tt.host, a.Provider, ok)
		}
	}
}

func TestSenderForAnAccount(t *testing.T) {
	tests := []struct{ username, host, server, login string }{
		{"ann@gmx.de", "pop.gmx.net", "mail.gmx.net:465 (TLS)", "ann@gmx.de"},
		{"Ann@aol.com", "POP.aol.com", "smtp.aol.com:465 (TLS)", "Ann@aol.com"},
		{"ann@example.com", "pop.gmail.com", "smtp.gmail.com:465 (TLS)", "ann@example.com"}, // a domain of one's own there
		{"ann", "pop3.bol.com.br", "smtps.bol.com.br:465 (TLS)", "ann"},
		{"ann@broba.example", "mail.broba.cc", "", ""}, // it has no encryption
		{"ann@gmx.de", "pop.example.com", "", ""},
	}
	for _, tt := range tests {
		s, ok := SenderFor(tt.username, tt.host)
		if ok != (tt.server != "") || ok && (s.String() != tt.server || s.Username != tt.login) {
			t.Errorf("%s at %s: %v as %q, %v", tt.username, tt.host, s, s.Username, ok)
		}
	}
}
