package discover

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
)

// short are limits for servers that never answer.
var short = limits{fetch: time.Second, talk: time.Second}

// redirect answers with a redirect to a web address.
func redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusFound)
	}
}

// What a web server can do instead of giving a good document, and what is said of it.
func TestHostileWebServers(t *testing.T) {
	t.Parallel()
	endless := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write([]byte(strings.Repeat("<x/>", 1000))); err != nil {
				return
			}
		}
	}
	tests := []struct {
		name   string
		handle http.HandlerFunc
		want   string
	}{
		{"huge", endless, "longer than 64 KiB"},
		{"huge, and a server in it", serveDocument(annDocument + strings.Repeat(" ", 100_000)), "longer than 64 KiB"},
		{"silent", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "no answer in time"},
		{"a drip", func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte("<clientConfig>"))
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, "no answer in time"},
		{"a redirect with a body that never ends", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "https://elsewhere.example.net/none")
			w.WriteHeader(http.StatusFound)
			endless(w, r)
		}, "there is none"},
		{"a huge header", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", 200_000))
		}, "does not answer in HTTP"},
		{"an error", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }, "answers 418"},
		{"a web page", serveDocument("<!DOCTYPE html><title>Welcome</title>"), "not an autoconfig document"},
		{"an entity bomb", serveDocument(`<!DOCTYPE b [<!ENTITY a "` + strings.Repeat("a", 1000) + `"><!ENTITY b "` + strings.Repeat("&a;", 1000) + `">]><clientConfig><emailProvider><displayName>` + strings.Repeat("&b;", 1000) + `</displayName></emailProvider></clientConfig>`), "damaged"},
		{"in the clear", serveDocument(wrap(in("pop.example.com", "110", "plain", aUser))), "without encryption only"},
		{"a redirect to http", redirect("http://example.com/config.xml"), "something else than https"},
		{"a redirect to a file", redirect("file:///etc/passwd"), "something else than https"},
		{"a redirect to an IP address", redirect("https://192.0.2.5/config.xml"), "something else than https"},
		{"a redirect to another port", redirect("https://elsewhere.example.net:8443/good"), "something else than https"},
		{"a redirect with a password", redirect("https://a:b@elsewhere.example.net/good"), "something else than https"},
		{"a redirect into the local network", redirect("https://router.example.net/good"), "private network"},
		{"a redirect to this machine", redirect("https://loopback.example.net/good"), "private network"},
		{"a redirect to itself", redirect("https://autoconfig.example.com/"), "more than 3 redirects"},
		{"a redirect to nowhere", redirect("https://%zz"), "redirect to nowhere"},
		{"a redirect to another name of the certificate", redirect("https://other.example.net/"), "its certificate is for autoconfig.example.com"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for host, ip := range map[string]string{"autoconfig.example.com": "192.0.2.1", "elsewhere.example.net": "192.0.2.2", "router.example.net": "192.168.0.1", "loopback.example.net": "127.0.0.1", "other.example.net": "192.0.2.1"} {
				w.host(host, ip)
			}
			w.web("192.0.2.1", w.certificate("autoconfig.example.com"), tt.handle)
			elsewhere := w.certificate("elsewhere.example.net", "router.example.net", "loopback.example.net")
			for _, ip := range []string{"192.0.2.2", "192.168.0.1", "127.0.0.1"} {
				w.web(ip, elsewhere, func(rw http.ResponseWriter, r *http.Request) {
					if r.URL.Path != "/good" {
						http.NotFound(rw, r)
						return
					}
					serveDocument(annDocument)(rw, r)
				})
			}
			o := w.options()
			if tt.want == "no answer in time" {
				o.limits = short
			}
			lines := said(&o)
			found, err := Discover(t.Context(), "ann@example.com", o)
			if fault.KindOf(err) != fault.NotFound || found.POP.Known() {
				t.Fatalf("got %+v, %v", found, err)
			}
			if !slices.ContainsFunc(*lines, func(l string) bool {
				return strings.HasPrefix(l, "settings at https://autoconfig.example.com/") && strings.Contains(l, tt.want)
			}) {
				t.Errorf("said %q", *lines)
			}
			if tt.want == "private network" && slices.ContainsFunc(w.seen(), func(s string) bool { return strings.HasPrefix(s, "192.168.") || strings.HasPrefix(s, "127.") }) {
				t.Errorf("connected: %q", w.seen())
			}
		})
	}
}

// A domain may send its clients to the web server of its hoster, and its own web
// server may be at home; neither is asked without encryption.
func TestWebServersThatAreFine(t *testing.T) {
	for _, ip := range []string{"192.0.2.1", "192.168.0.1"} {
		w := newWorld(t)
		w.host("autoconfig.example.com", ip)
		w.host("elsewhere.example.net", "192.0.2.2")
		w.web(ip, w.certificate("autoconfig.example.com"), redirect("//elsewhere.example.net:443/one"))
		w.web("192.0.2.2", w.certificate("elsewhere.example.net"), func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/one" {
				redirect("/two")(rw, r)
				return
			}
			serveDocument(wrap(in("pop.hoster.net", "995", "SSL", aUser)))(rw, r)
		})
		found, err := Discover(t.Context(), "ann@example.com", w.options())
		if err != nil || found.POP.Host != "pop.hoster.net" {
			t.Errorf("got %+v, %v", found, err)
		}
		// A document of the domain itself, and yet another domain than that of the address.
		if !found.Foreign || len(found.Confirm()) != 1 || !strings.HasPrefix(found.Confirm()[0], "pop.hoster.net is not in the domain example.com") {
			t.Errorf("foreign %v, confirm %q", found.Foreign, found.Confirm())
		}
		if slices.ContainsFunc(w.seen(), func(s string) bool { return strings.HasSuffix(s, ":80") }) {
			t.Errorf("asked by http: %q", w.seen())
		}
	}
}

func TestPrivateAddresses(t *testing.T) {
	for ip, want := range map[string]bool{
		"127.0.0.1": true, "10.1.2.3": true, "172.16.0.1": true, "192.168.1.1": true, "169.254.169.254": true, "100.64.0.1": true, "0.0.0.0": true, "224.0.0.1": true, "255.255.255.255": true,
		"::1": true, "::": true, "fe80::1": true, "fd00::1": true, "ff02::1": true, "::ffff:127.0.0.1": true, "::ffff:10.0.0.1": true,
		"9.9.9.9": false, "2001:db8::1": false, "::ffff:9.9.9.9": false,
	} {
		if private(netip.MustParseAddr(ip)) != want {
			t.Errorf("%s: private is not %v", ip, want)
		}
	}
}

// Servers under usual names that are not taken, and what is said of each.
func TestServersThatAreNotTaken(t *testing.T) {
	t.Parallel()
	greeting := line{"", "+OK ready\r\n"}
	tests := []struct {
		name     string
		port     int
		implicit bool
		script   []line
		want     string
	}{
		{"not POP3", 995, true, []line{{"", "220 ftp\r\n"}}, `the server says "220 ftp"`},
		{"a refusal with an escape sequence", 995, true, []line{{"", "-ERR \x1b[31mgo away\r\n"}}, `the server says "-ERR [31mgo away"`},
		{"silent", 995, true, nil, "no answer in time"},
		{"a line without end", 995, true, []line{{"", strings.Repeat("+OK ", 5000)}}, "a line that is too long"},
		{"a list without end", 995, true, []line{greeting, {"CAPA", "+OK\r\n" + strings.Repeat("X\r\n", 5000)}}, "has no end"},
		{"OAuth2 of no known kind", 995, true, []line{greeting, {"CAPA", "+OK\r\nSASL GSSAPI\r\n.\r\n"}}, "no kind of login"},
		{"no TLS at 995", 995, false, []line{greeting}, "first record does not look like a TLS handshake"},
		{"no STLS", 110, false, []line{greeting, {"STLS", "-ERR what?\r\n"}}, `the server says "-ERR what?"`},
		{"an answer before TLS begins", 110, false, []line{greeting, {"STLS", "+OK\r\n+OK\r\nSASL PLAIN\r\n.\r\n"}, {"", "TLS"}}, "between STARTTLS and TLS"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.host("pop.example.com", "192.0.2.1")
			w.talker("192.0.2.1", tt.port, w.certificate("pop.example.com"), tt.implicit, tt.script)
			expectNotTaken(t, w, tt.want)
		})
	}
	t.Run("a certificate of an unknown authority", func(t *testing.T) {
		w := newWorld(t)
		w.host("pop.example.com", "192.0.2.1")
		cert := w.certificate("pop.example.com")
		w.roots = newWorld(t).roots
		w.talker("192.0.2.1", 995, cert, true, pop3Script)
		expectNotTaken(t, w, "its certificate is not valid")
	})
	t.Run("a certificate for another name", func(t *testing.T) {
		w := newWorld(t)
		w.host("pop.example.com", "192.0.2.1")
		w.talker("192.0.2.1", 995, w.certificate("*.hoster.net"), true, pop3Script)
		err := expectNotTaken(t, w, "its certificate is for *.hoster.net: not used")
		if !strings.Contains(fault.Hint(err), "pop.example.com shows a certificate for *.hoster.net: if that is your provider") {
			t.Errorf("hint %q", fault.Hint(err))
		}
	})
}

func expectNotTaken(t *testing.T, w *world, want string) error {
	t.Helper()
	o := w.options()
	if want == "no answer in time" {
		o.limits = short
	}
	lines := said(&o)
	found, err := Discover(t.Context(), "ann@example.com", o)
	if fault.KindOf(err) != fault.NotFound || found.POP.Known() {
		t.Fatalf("got %+v, %v", found, err)
	}
	if !slices.ContainsFunc(*lines, func(l string) bool { return strings.HasPrefix(l, "pop.example.com:") && strings.Contains(l, want) }) {
		t.Errorf("said %q", *lines)
	}
	return err
}

func TestLoginsThatAreOffered(t *testing.T) {
	for capa, want := range map[string][]Auth{
		"+OK\r\nUSER\r\nUIDL\r\n.\r\n":                       {Password},
		"+OK\r\nUIDL\r\n.\r\n":                               {Password},
		"-ERR unknown command\r\n":                           {Password},
		"+OK\r\nSASL CRAM-MD5 PLAIN XOAUTH2\r\n.\r\n":        {Encrypted, Password, OAuth2},
		"+OK\r\nSASL XOAUTH2 OAUTHBEARER\r\n.\r\n":           {OAuth2},
		"+OK\r\nUSER\r\nSASL XOAUTH2\r\n.\r\n":               {OAuth2, Password},
		"+OK\r\n\r\nsasl plain\r\nIMPLEMENTATION x\r\n.\r\n": {Password},
	} {
		w := newWorld(t)
		w.host("mail.example.com", "192.0.2.1")
		w.talker("192.0.2.1", 995, w.certificate("mail.example.com"), true, []line{{"", "+OK\r\n"}, {"CAPA", capa}})
		found, err := Discover(t.Context(), "ann@example.com", w.options())
		if err != nil || !slices.Equal(found.POP.Auth, want) {
			t.Errorf("%q: %q, %v", capa, found.POP.Auth, err)
		}
		if found.Advice.wants(NeedOAuth2) != found.POP.OAuth2Only() {
			t.Errorf("%q: advice %q", capa, found.Advice.Needs)
		}
	}
}

func TestSMTPServers(t *testing.T) {
	tests := []struct {
		name     string
		port     int
		implicit bool
		script   []line
		want     string
	}{
		{"TLS", 465, true, smtpScript, "smtp.example.com:465 (TLS)"},
		{"STARTTLS", 587, false, startTLSScript, "smtp.example.com:587 (STARTTLS)"},
		{"no login", 465, true, []line{{"", "220 x\r\n"}, {"EHLO [127.0.0.1]", "250 x\r\n"}}, "no server"},
		{"no STARTTLS", 587, false, []line{{"", "220 x\r\n"}, {"EHLO [127.0.0.1]", "250 AUTH PLAIN\r\n"}, {"STARTTLS", "502 no\r\n"}}, "no server"},
		{"a reply without end", 465, true, []line{{"", strings.Repeat("220-x\r\n", 200)}}, "no server"},
		{"refused", 465, true, []line{{"", "554 no\r\n"}}, "no server"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.srv("_pop3s._tcp.example.com", 1, 995, "pop.example.com")
			w.host("smtp.example.com", "192.0.2.1")
			w.talker("192.0.2.1", tt.port, w.certificate("smtp.example.com"), tt.implicit, tt.script)
			found, err := Discover(t.Context(), "ann@example.com", w.options())
			if err != nil || found.SMTP.String() != tt.want {
				t.Errorf("got %+v, %v", found, err)
			}
		})
	}
}
