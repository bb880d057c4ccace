package discover

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/popbridge/popbridge/internal/fault"
)

var pop3Script = []line{{"", "+OK ready\r\n"}, {"CAPA", "+OK\r\nUIDL\r\nUSER\r\nSASL PLAIN\r\n.\r\n"}}

var stlsScript = []line{{"", "+OK ready\r\n"}, {"STLS", "+OK\r\n"}, {"", "TLS"}, {"CAPA", "+OK\r\nSASL SCRAM-SHA-256 PLAIN\r\n.\r\n"}}

var smtpScript = []line{{"", "220-one\r\n220 ready\r\n"}, {"EHLO [127.0.0.1]", "250-x\r\n250-AUTH PLAIN LOGIN XOAUTH2\r\n250 HELP\r\n"}}

var startTLSScript = []line{{"", "220 ready\r\n"}, {"EHLO [127.0.0.1]", "250-x\r\n250 STARTTLS\r\n"}, {"STARTTLS", "220 go\r\n"}, {"", "TLS"}, {"EHLO [127.0.0.1]", "250-x\r\n250 AUTH PLAIN\r\n"}}

// document serves a document at every path.
func serveDocument(xml string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(xml)) }
}

var annDocument = wrap("<displayName>Example</displayName>" + tlsPOP +
	`<outgoingServer type="smtp"><hostname>smtp.example.com</hostname><port>465</port><socketType>SSL</socketType><username>%EMAILADDRESS%</username></outgoingServer>`)

var annSMTP = pop("smtp.example.com", 465, Implicit, "ann@example.com", Password)

func TestFromTheTable(t *testing.T) {
	w := newWorld(t)
	found, err := Discover(t.Context(), "ann@gmx.de", w.options())
	if err != nil {
		t.Fatal(err)
	}
	if found.POP.String() != "pop.gmx.net:995 (TLS)" || found.SMTP.String() != "mail.gmx.net:465 (TLS)" || found.Provider != "GMX Freemail" || found.Source.Kind != Table {
		t.Errorf("got %+v", found)
	}
	if !found.Foreign || found.Confirm() != nil {
		t.Errorf("foreign %v, confirm %q", found.Foreign, found.Confirm())
	}
	if seen := w.seen(); len(seen) > 0 {
		t.Errorf("asked the network: %q", seen)
	}
}

func TestNoPOPAtAll(t *testing.T) {
	found, err := Discover(t.Context(), "ann@icloud.com", newWorld(t).options())
	if fault.KindOf(err) != fault.NotFound || fault.Hint(err) == "" || found.Provider != "iCloud Mail" || found.POP.Known() {
		t.Errorf("got %+v, %v", found, err)
	}
}

// Each source is taken only where those before it have nothing.
func TestTheOrder(t *testing.T) {
	hosts := []string{"autoconfig.example.com", "example.com", "live.thunderbird.net", "autoconfig.mail.hoster.net", "autoconfig.hoster.net", "pop.example.com", "mail.example.com", "smtp.example.com"}
	const api = "192.0.2."
	type place struct {
		name  string
		setUp func(w *world)
		want  string // detail of the source
		mx    string
	}
	document := func(n int) func(w *world) {
		return func(w *world) {
			w.host(hosts[n], api+string(rune('1'+n)))
			w.web(api+string(rune('1'+n)), w.certificate(hosts...), serveDocument(annDocument))
		}
	}
	database := func(path string) func(w *world) {
		return func(w *world) {
			w.host("live.thunderbird.net", api+"9")
			w.web(api+"9", w.certificate(hosts...), func(rw http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/autoconfig/v1.1/"+path {
					http.NotFound(rw, r)
					return
				}
				serveDocument(annDocument)(rw, r)
			})
		}
	}
	places := []place{
		{"autoconfig of the domain", document(0), "https://autoconfig.example.com/mail/config-v1.1.xml", ""},
		{"well-known", document(1), "https://example.com/.well-known/autoconfig/mail/config-v1.1.xml", ""},
		{"public database", database("example.com"), "https://live.thunderbird.net/autoconfig/v1.1/example.com", ""},
		{"autoconfig of the exchanger's parent", document(3), "https://autoconfig.mail.hoster.net/mail/config-v1.1.xml", "mx1.mail.hoster.net"},
		{"autoconfig of the exchanger's domain", document(4), "https://autoconfig.hoster.net/mail/config-v1.1.xml", "mx1.mail.hoster.net"},
		{"public database by the exchanger", database("hoster.net"), "https://live.thunderbird.net/autoconfig/v1.1/hoster.net", "mx1.mail.hoster.net"},
		{"SRV", func(w *world) { w.srv("_pop3s._tcp.example.com", 1, 995, "pop.example.com") }, "_pop3s._tcp.example.com", ""},
		{"SRV, STARTTLS", func(w *world) { w.srv("_pop3._tcp.example.com", 1, 110, "pop.example.com") }, "_pop3._tcp.example.com", ""},
		{"a usual name", func(w *world) {
			w.host("pop.example.com", api+"20")
			w.talker(api+"20", 995, w.certificate(hosts...), true, pop3Script)
		}, "pop.example.com:995 (TLS) answered", ""},
		{"another usual name", func(w *world) {
			w.host("mail.example.com", api+"21")
			w.talker(api+"21", 995, w.certificate(hosts...), true, pop3Script)
		}, "mail.example.com:995 (TLS) answered", ""},
		{"a usual name with STLS", func(w *world) {
			w.host("pop.example.com", api+"20")
			w.talker(api+"20", 110, w.certificate(hosts...), false, stlsScript)
		}, "pop.example.com:110 (STARTTLS) answered", ""},
	}
	for i, p := range places {
		t.Run(p.name, func(t *testing.T) {
			w := newWorld(t)
			w.mx("example.com", 20, "mx2.other.net")
			w.mx("example.com", 10, "mx1.mail.hoster.net")
			// All that come later are there as well, where they do not share a server.
			p.setUp(w)
			if next := i + 1; next < len(places) && i != 2 && i != 5 {
				places[next].setUp(w)
			}
			found, err := Discover(t.Context(), "ann@example.com", w.options())
			if err != nil {
				t.Fatal(err)
			}
			if found.Source.Detail != p.want || found.Source.MX != p.mx || found.POP.Username != "ann@example.com" || found.POP.TLS == None {
				t.Errorf("got %+v", found)
			}
		})
	}
}

func TestADocument(t *testing.T) {
	w := newWorld(t)
	w.host("autoconfig.example.com", "192.0.2.1")
	w.web("192.0.2.1", w.certificate("autoconfig.example.com"), serveDocument(annDocument))
	o := w.options()
	lines := said(&o)
	found, err := Discover(t.Context(), "ann@example.com", o)
	if err != nil {
		t.Fatal(err)
	}
	want := Found{
		Address: ann, Provider: "Example", POP: annPOP, SMTP: annSMTP,
		Source: Source{Kind: Autoconfig, Detail: "https://autoconfig.example.com/mail/config-v1.1.xml"},
		Advice: Advice{Provider: "Example", Source: "https://autoconfig.example.com/mail/config-v1.1.xml"},
	}
	if diff := cmp.Diff(want, found, cmp.AllowUnexported(Address{})); diff != "" {
		t.Error(diff)
	}
	if !slices.Contains(w.seen(), "https://autoconfig.example.com/mail/config-v1.1.xml?emailaddress=ann%40example.com") {
		t.Errorf("asked for %q", w.seen())
	}
	if want := []string{"the built-in table of providers: does not have example.com", "settings at https://autoconfig.example.com/mail/config-v1.1.xml: pop.example.com:995 (TLS)"}; !cmp.Equal(*lines, want) {
		t.Errorf("said %q", *lines)
	}
}

// Only the domain of the address is told the address.
func TestTheAddressIsNotTold(t *testing.T) {
	w := newWorld(t)
	w.mx("example.com", 10, "mx1.mail.hoster.net")
	cert := w.certificate("live.thunderbird.net", "autoconfig.hoster.net", "autoconfig.mail.hoster.net", "example.com")
	for i, host := range []string{"live.thunderbird.net", "autoconfig.hoster.net", "autoconfig.mail.hoster.net", "example.com"} {
		ip := "192.0.2." + string(rune('1'+i))
		w.host(host, ip)
		w.web(ip, cert, http.NotFound)
	}
	if _, err := Discover(t.Context(), "ann@example.com", w.options()); fault.KindOf(err) != fault.NotFound {
		t.Errorf("%v", err)
	}
	documents := 0
	for _, seen := range w.seen() {
		if strings.HasPrefix(seen, "https://") {
			documents++
		}
		if strings.Contains(seen, "ann") {
			t.Errorf("told the address: %s", seen)
		}
	}
	if documents < 6 {
		t.Errorf("asked for %q only", w.seen())
	}
}

// A hoster has SMTP where POP3 is, more often than not.
func TestSMTPBesidePOP(t *testing.T) {
	w := newWorld(t)
	w.srv("_pop3s._tcp.example.com", 1, 995, "mail.hoster.net")
	w.host("mail.hoster.net", "192.0.2.1")
	w.talker("192.0.2.1", 465, w.certificate("mail.hoster.net"), true, smtpScript)
	found, err := Discover(t.Context(), "ann@example.com", w.options())
	if err != nil || found.SMTP.String() != "mail.hoster.net:465 (TLS)" || len(found.Confirm()) != 1 {
		t.Errorf("got %+v, %v, confirm %q", found, err, found.Confirm())
	}
}

func TestHostedDomains(t *testing.T) {
	for mx, want := range map[string]struct{ provider, pop string }{
		"aspmx.l.google.com":                      {"Google Mail", "pop.gmail.com"},
		"example-com.mail.protection.outlook.com": {"Microsoft 365", "outlook.office365.com"},
		"mx01.emig.gmx.net":                       {"GMX Freemail", "pop.gmx.net"},
	} {
		w := newWorld(t)
		w.mx("example.com", 10, mx)
		found, err := Discover(t.Context(), "ann@example.com", w.options())
		if err != nil || found.Provider != want.provider || found.POP.Host != want.pop || found.Source.MX != mx {
			t.Errorf("%s: %+v, %v", mx, found, err)
		}
		// Anyone on the way can answer for the DNS.
		if !found.Foreign || len(found.Confirm()) == 0 || !strings.Contains(found.Confirm()[0], "not in the domain example.com") {
			t.Errorf("%s: confirm %q", mx, found.Confirm())
		}
	}
}

func TestSRV(t *testing.T) {
	w := newWorld(t)
	w.srv("_pop3s._tcp.example.com", 20, 995, "second.hoster.net")
	w.srv("_pop3s._tcp.example.com", 10, 1995, "first.hoster.net")
	w.srv("_submissions._tcp.example.com", 0, 0, ".")
	w.srv("_submission._tcp.example.com", 1, 587, "smtp.hoster.net")
	found, err := Discover(t.Context(), "ann@example.com", w.options())
	if err != nil {
		t.Fatal(err)
	}
	if found.POP.String() != "first.hoster.net:1995 (TLS)" || found.SMTP.String() != "smtp.hoster.net:587 (STARTTLS)" || found.OtherUsername != "ann" || len(found.Confirm()) != 2 {
		t.Errorf("got %+v, confirm %q", found, found.Confirm())
	}
}

func TestSRVThatOffersNothing(t *testing.T) {
	w := newWorld(t)
	w.srv("_pop3s._tcp.example.com", 0, 0, ".")
	w.srv("_pop3._tcp.example.com", 0, 110, "localhost")
	o := w.options()
	lines := said(&o)
	if _, err := Discover(t.Context(), "ann@example.com", o); fault.KindOf(err) != fault.NotFound {
		t.Errorf("%v", err)
	}
	for _, want := range []string{"_pop3s._tcp.example.com: the domain says that it does not offer this", "_pop3._tcp.example.com: the record names no server"} {
		if !slices.Contains(*lines, "DNS SRV record "+want) {
			t.Errorf("said %q", *lines)
		}
	}
}

// A row of the table without encryption: TLS where the server has it after all.
func TestPlainRowsAreProbed(t *testing.T) {
	w := newWorld(t)
	w.host("pop.nifty.com", "192.0.2.1")
	w.host("smtp.nifty.com", "192.0.2.2")
	found, err := Discover(t.Context(), "ann@nifty.com", w.options())
	if err != nil || found.POP.TLS != None || found.POP.Port != 110 || len(found.Confirm()) != 2 || !strings.Contains(found.Confirm()[0], "not encrypted") {
		t.Errorf("got %+v, %v, confirm %q", found, err, found.Confirm())
	}
	w.talker("192.0.2.1", 995, w.certificate("pop.nifty.com"), true, pop3Script)
	w.talker("192.0.2.2", 587, w.certificate("smtp.nifty.com"), false, startTLSScript)
	found, err = Discover(t.Context(), "ann@nifty.com", w.options())
	if err != nil || found.POP.String() != "pop.nifty.com:995 (TLS)" || found.POP.Username != "ann" || found.SMTP.String() != "smtp.nifty.com:587 (STARTTLS)" || found.Confirm() != nil {
		t.Errorf("got %+v, %v", found, err)
	}
}

// A row without a server adds its advice; one without SMTP has it looked for.
func TestIncompleteRows(t *testing.T) {
	w := newWorld(t)
	w.host("autoconfig.163.com", "192.0.2.1")
	w.web("192.0.2.1", w.certificate("autoconfig.163.com"), serveDocument(wrap(in("pop.163.com", "995", "SSL", aUser))))
	found, err := Discover(t.Context(), "ann@163.com", w.options())
	if err != nil || found.POP.Host != "pop.163.com" || found.Provider != "NetEase Mail" || !found.Advice.wants(EnablePOP) || found.Source.Kind != Autoconfig {
		t.Errorf("got %+v, %v", found, err)
	}
	w.host("smtp.qq.com", "192.0.2.2")
	w.talker("192.0.2.2", 465, w.certificate("smtp.qq.com"), true, smtpScript)
	found, err = Discover(t.Context(), "ann@qq.com", w.options())
	if err != nil || found.POP.Host != "pop.qq.com" || found.SMTP.String() != "smtp.qq.com:465 (TLS)" || !slices.Equal(found.SMTP.Auth, []Auth{Password, OAuth2}) {
		t.Errorf("got %+v, %v", found, err)
	}
}

func TestNothingIsFound(t *testing.T) {
	t.Run("no such domain", func(t *testing.T) {
		_, err := Discover(t.Context(), "ann@exmaple.com", newWorld(t).options())
		if fault.KindOf(err) != fault.NotFound || !strings.Contains(fault.Hint(err), "spelling") {
			t.Errorf("%v, hint %q", err, fault.Hint(err))
		}
	})
	t.Run("no DNS", func(t *testing.T) {
		w := newWorld(t)
		w.breakDNS("example.com", "autoconfig.example.com", "pop.example.com", "pop3.example.com", "mail.example.com",
			"_pop3._tcp.example.com", "_pop3s._tcp.example.com", "live.thunderbird.net")
		_, err := Discover(t.Context(), "ann@example.com", w.options())
		if fault.KindOf(err) != fault.Temporary || fault.Hint(err) == "" {
			t.Errorf("%v", err)
		}
	})
	t.Run("not an address", func(t *testing.T) {
		_, err := Discover(t.Context(), "ann", newWorld(t).options())
		if fault.KindOf(err) != fault.Config {
			t.Errorf("%v", err)
		}
	})
}

// The lines that a person reads, when nothing is where it should be.
func TestHowItReads(t *testing.T) {
	w := newWorld(t)
	w.mx("example.com", 10, "mx1.mail.hoster.net")
	w.host("autoconfig.example.com", "192.0.2.1")
	w.web("192.0.2.1", w.certificate("*.hoster.net"), http.NotFound)
	w.host("example.com", "192.0.2.2")
	w.web("192.0.2.2", w.certificate("example.com"), serveDocument(wrap("")))
	w.host("pop.example.com", "192.0.2.3")
	w.host("mail.example.com", "192.0.2.3")
	cert := w.certificate("mail.example.com")
	w.talker("192.0.2.3", 995, cert, true, pop3Script)
	w.talker("192.0.2.3", 587, cert, false, startTLSScript)
	o := w.options()
	lines := said(&o)
	found, err := Discover(t.Context(), "ann@example.com", o)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.TrimSpace(`
the built-in table of providers: does not have example.com
settings at https://autoconfig.example.com/mail/config-v1.1.xml: its certificate is for *.hoster.net: not used
settings at https://example.com/.well-known/autoconfig/mail/config-v1.1.xml: the document names no POP3 server
settings at https://live.thunderbird.net/autoconfig/v1.1/example.com: there is none
who takes the mail of example.com (MX): mx1.mail.hoster.net
the built-in table of providers, for mx1.mail.hoster.net: does not have it
settings at https://autoconfig.mail.hoster.net/mail/config-v1.1.xml: there is none
settings at https://autoconfig.hoster.net/mail/config-v1.1.xml: there is none
settings at https://live.thunderbird.net/autoconfig/v1.1/mail.hoster.net: there is none
settings at https://live.thunderbird.net/autoconfig/v1.1/hoster.net: there is none
DNS SRV record _pop3s._tcp.example.com: there is none
DNS SRV record _pop3._tcp.example.com: there is none
pop.example.com:995 (TLS): its certificate is for mail.example.com: not used
usual names of POP3 servers: mail.example.com:995 (TLS)
DNS SRV record _submissions._tcp.example.com: there is none
DNS SRV record _submission._tcp.example.com: there is none
mail.example.com:465 (TLS): cannot be reached
usual names of SMTP servers: mail.example.com:587 (STARTTLS)`)
	if diff := cmp.Diff(strings.Split(want, "\n"), *lines); diff != "" {
		t.Error(diff)
	}
	if found.Foreign || found.Confirm() != nil || found.SMTP.Port != 587 {
		t.Errorf("got %+v", found)
	}
}
