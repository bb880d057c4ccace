package discover

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var ann = Address{Local: "ann", Domain: "example.com", text: "ann@example.com"}

// wrap makes a document of what is in an emailProvider.
func wrap(inner string) string {
	return `<?xml version="1.0" encoding="UTF-8"?><clientConfig version="1.1"><emailProvider id="example.com">` + inner + `</emailProvider></clientConfig>`
}

// in is a POP3 server of a document.
func in(host, port, socket, rest string) string {
	return `<incomingServer type="pop3"><hostname>` + host + `</hostname><port>` + port + `</port><socketType>` + socket + `</socketType>` + rest + `</incomingServer>`
}

const aUser = "<username>%EMAILADDRESS%</username>"

var tlsPOP = in("pop.example.com", "995", "SSL", "<authentication>password-cleartext</authentication>"+aUser)

func pop(host string, port int, tls Security, user string, auth ...Auth) Server {
	return Server{Host: host, Port: port, TLS: tls, Username: user, Auth: auth}
}

var annPOP = pop("pop.example.com", 995, Implicit, "ann@example.com", Password)

func TestDocuments(t *testing.T) {
	tests := []struct {
		name, xml string
		want      document
	}{
		{"everything", "\ufeff" + wrap(`<domain>example.com</domain><displayName>Example
			Mail</displayName><displayShortName>Ex</displayShortName>
			<incomingServer type="imap"><hostname>imap.example.com</hostname><port>993</port><socketType>SSL</socketType></incomingServer>`+
			in("pop.example.com", "995", "SSL", `<username>%EMAILLOCALPART%</username><authentication>OAuth2</authentication><authentication>password-cleartext</authentication><pop3><leaveMessagesOnServer>true</leaveMessagesOnServer><checkInterval minutes="15"/></pop3>`)+
			`<outgoingServer type="smtp"><hostname>smtp.%EMAILDOMAIN%</hostname><port>587</port><socketType>STARTTLS</socketType><username>%EMAILLOCALPART%@%EMAILDOMAIN%</username><authentication>password-encrypted</authentication></outgoingServer>
			<enable visiturl="https://%EMAILDOMAIN%/settings"><instruction>Switch it on</instruction></enable>
			<documentation url="https://example.com/help"><descr lang="en">Help</descr></documentation>`),
			document{name: "Example Mail", pop: pop("pop.example.com", 995, Implicit, "ann", OAuth2, Password), smtp: pop("smtp.example.com", 587, StartTLS, "ann@example.com", Encrypted),
				enableURL: "https://example.com/settings", helpURLs: []string{"https://example.com/help"}, minInterval: 15 * time.Minute}},
		{"the best encryption, then the first", wrap(in("plain.example.com", "110", "plain", aUser) + in("stls.example.com", "110", "STARTTLS", aUser) +
			in("tls1.example.com", "995", "SSL", aUser) + in("tls2.example.com", "995", "SSL", aUser)),
			document{pop: pop("tls1.example.com", 995, Implicit, "ann@example.com", Password)}},
		{"STARTTLS after plain", wrap(in("pop.example.com", "110", "plain", aUser) + in("pop.example.com", "110", "STARTTLS", aUser) + in("second.example.com", "110", "STARTTLS", aUser)),
			document{pop: pop("pop.example.com", 110, StartTLS, "ann@example.com", Password)}},
		{"unknown elements at every level", `<clientConfig><new><emailProvider2/></new><emailProvider><x><incomingServer type="pop3"><hostname>bad.example.com</hostname></incomingServer></x>` +
			in("pop.example.com", "995", "SSL", "<y><username>z</username></y>"+aUser) + `</emailProvider><webMail/></clientConfig>`, document{pop: annPOP}},
		{"odd space and case", wrap(in("\n POP.Example.COM. \n", " 995\n", " ssl ", "<authentication> Password-Cleartext </authentication><username> %EMAILADDRESS%\n</username>")), document{pop: annPOP}},
		{"a namespace, comments and CDATA", strings.Replace(wrap("<!-- pop3 -->"+in("<![CDATA[pop.example.com]]>", "995", "SSL", aUser)), "<clientConfig", `<clientConfig xmlns="urn:x"`, 1), document{pop: annPOP}},
		{"no user name", wrap(in("pop.example.com", "995", "SSL", "")), document{pop: annPOP}},
		{"a user name that the server made", wrap(in("pop.example.com", "995", "SSL", "<username>customer-4711</username>")), document{pop: pop("pop.example.com", 995, Implicit, "customer-4711", Password)}},
		{"a placeholder that no one knows", wrap(in("pop.example.com", "995", "SSL", "<username>%CUSTOMER%</username>")), document{pop: annPOP}},
		{"a user name of two lines", wrap(in("pop.example.com", "995", "SSL", "<username>ann&#13;&#10;DELE 1</username>")), document{pop: annPOP}},
		{"an internationalised host", wrap(in("pop.müller.de", "995", "SSL", aUser)), document{pop: pop("pop.xn--mller-kva.de", 995, Implicit, "ann@example.com", Password)}},
		{"the short names of version 1.0", wrap(in("pop.example.com", "995", "SSL", "<authentication>secure</authentication><authentication>plain</authentication>"+aUser)), document{pop: pop("pop.example.com", 995, Implicit, "ann@example.com", Encrypted, Password)}},
		{"OAuth2 only", wrap(in("pop.example.com", "995", "SSL", "<authentication>OAuth2</authentication>"+aUser)), document{pop: pop("pop.example.com", 995, Implicit, "ann@example.com", OAuth2)}},
		{"a server whose login is unknown is passed over", wrap(in("k.example.com", "995", "SSL", "<authentication>GSSAPI</authentication>"+aUser) + tlsPOP), document{pop: annPOP}},
		{"a server that cannot be is passed over", wrap(in("192.0.2.1", "995", "SSL", aUser) + in("localhost", "995", "SSL", aUser) + in("a b.com", "995", "SSL", aUser) + in("x.example.com", "0", "SSL", aUser) +
			in("x.example.com", "99999", "SSL", aUser) + in("x.example.com", "995", "QUIC", aUser) + in("x.example.com:995/", "995", "SSL", aUser) + tlsPOP), document{pop: annPOP}},
		{"SMTP without encryption", wrap(tlsPOP + `<outgoingServer type="smtp"><hostname>smtp.example.com</hostname><port>25</port><socketType>plain</socketType></outgoingServer>`), document{pop: annPOP}},
		{"links that are none", wrap(tlsPOP + `<enable visiturl="javascript:alert(1)"/><enable visiturl="http://example.com"/><documentation url="file:///etc/passwd"/><documentation url="https://a@example.com/"/><documentation url="https://example.com/&#x9b;0m"/>`), document{pop: annPOP}},
		{"a display name with control characters", wrap(`<displayName>A&#x202e;B&#x9b;1mC` + strings.Repeat("x", 100) + `</displayName>` + tlsPOP), document{name: "AB1mC" + strings.Repeat("x", 55) + "…", pop: annPOP}},
		{"two providers", `<clientConfig><emailProvider>` + tlsPOP + `</emailProvider><emailProvider>` + in("other.example.com", "995", "SSL", aUser) + `</emailProvider></clientConfig>`, document{pop: annPOP}},
		{"cut after the provider", strings.TrimSuffix(wrap(tlsPOP), "</clientConfig>"), document{pop: annPOP}},
		{"an interval of years", wrap(in("pop.example.com", "995", "SSL", aUser+`<pop3><checkInterval minutes="999999999999"/></pop3>`)), document{pop: annPOP}},
		{"ISO 8859-1", strings.Replace(wrap("<displayName>M\xfcller</displayName>"+tlsPOP), "UTF-8", "ISO-8859-1", 1), document{name: "Müller", pop: annPOP}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseDocument([]byte(tt.xml), ann)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(document{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDocumentsThatAreNone(t *testing.T) {
	bomb := `<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>`
	tests := []struct{ name, xml, want string }{
		{"nothing", "", "not an autoconfig document"},
		{"a web page", "<!DOCTYPE html><html><body><p>Hello</body></html>", "not an autoconfig document"},
		{"JSON", `{"clientConfig": {}}`, "not an autoconfig document"},
		{"no provider", "<clientConfig/>", "no provider"},
		{"IMAP only", wrap(`<incomingServer type="imap"><hostname>imap.example.com</hostname><port>993</port><socketType>SSL</socketType></incomingServer>`), "no POP3 server"},
		{"in the clear only", wrap(in("pop.example.com", "110", "plain", aUser)), "without encryption only"},
		{"no encryption named", wrap(in("pop.example.com", "110", "", aUser)), "without encryption only"},
		{"a login that is not known", wrap(in("pop.example.com", "995", "SSL", "<authentication>NTLM</authentication>"+aUser)), "no kind of login"},
		{"an entity bomb", bomb + wrap(in("&c;.example.com", "995", "SSL", aUser))[38:], "damaged"},
		{"an external entity", `<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>` + wrap("<displayName>&f;</displayName>" + tlsPOP)[38:], "damaged"},
		{"cut", wrap(tlsPOP)[:200], "damaged"},
		{"not well formed", wrap("<a></b>" + tlsPOP), "damaged"},
		{"ten thousand levels", wrap(strings.Repeat("<a>", 20000)), "damaged"},
		{"too many servers", wrap(strings.Repeat(tlsPOP, maxServers+1)), "more than 64 servers"},
		{"an unknown character set", strings.Replace(wrap(tlsPOP), "UTF-8", "x-none", 1), "not an autoconfig document"},
		{"UTF-16 said, UTF-8 sent", strings.Replace(wrap(tlsPOP), "UTF-8", "UTF-16", 1), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseDocument([]byte(tt.xml), ann)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %+v, %v", got, err)
			}
			if err != nil && (len(err.Error()) > 200 || strings.ContainsAny(err.Error(), "\x1b\n")) {
				t.Errorf("text for a person: %q", err)
			}
		})
	}
}

// FuzzDocument: whatever is typed and comes, servers are encrypted, and all is
// safe to show, to look up and to send.
func FuzzDocument(f *testing.F) {
	for address, document := range map[string]string{
		"ann@example.com":   wrap(tlsPOP),
		`"a b"@müller.de`:   wrap(in("pop.%EMAILDOMAIN%", "110", "STARTTLS", "<authentication>OAuth2</authentication><username>%EMAILLOCALPART%</username>")),
		"a.%EMAILDOMAIN%@b": wrap(`<displayName>x</displayName><enable visiturl="https://example.com/"/><documentation url="https://example.com/"/>` + tlsPOP),
		"ａ@ｅx.com":          "<clientConfig/>",
		"a@xn--.com":        "<html>",
	} {
		f.Add(address, []byte(document))
	}
	f.Fuzz(func(t *testing.T, address string, raw []byte) {
		a, err := ParseAddress(address)
		if err == nil {
			checkAddress(t, a)
		} else {
			a = ann
		}
		d, err := parseDocument(raw, a)
		if err != nil {
			if d.pop.Known() {
				t.Errorf("a server beside %v", err)
			}
			return
		}
		for _, s := range []Server{d.pop, d.smtp} {
			if s.Known() {
				checkServer(t, s)
			}
		}
		for _, text := range append([]string{d.name, d.enableURL}, d.helpURLs...) {
			if printable(text, 250) != text {
				t.Errorf("text %q", text)
			}
		}
	})
}

func checkAddress(t *testing.T, a Address) {
	if host, ok := hostName(a.Domain); !ok || host != a.Domain || strings.ContainsAny(a.Domain, " /?#@:%\\") {
		t.Errorf("domain %q", a.Domain)
	}
	if a.Local == "" || strings.ContainsAny(a.String(), "\r\n\x00") {
		t.Errorf("address %q", a)
	}
	if again, err := ParseAddress(a.String()); err != nil || again != a {
		t.Errorf("%q is read again as %q, %v", a, again, err)
	}
}

func checkServer(t *testing.T, s Server) {
	if host, ok := hostName(s.Host); !ok || host != s.Host || s.TLS != Implicit && s.TLS != StartTLS || s.Port < 1 || s.Port > 65535 {
		t.Errorf("server %+v", s)
	}
	if s.Username == "" || len(s.Username) > 2*maxUsername || strings.ContainsAny(s.Username, "\r\n\x00") || len(s.Auth) == 0 {
		t.Errorf("login %+v", s)
	}
}
