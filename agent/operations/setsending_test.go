package operations_test

import (
	"encoding/base64"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/popbridge/popbridge/agent/agenttest"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/bridge/smtp/smtptest"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/secret"
	"github.com/popbridge/popbridge/internal/testkit/scripted"
)

const next = "@connection\n"

// takes is a session in which exactly this login is made, and taken.
func takes(username, password string) string {
	return answers(username, password, "235 2.7.0 ok") + smtptest.Quit
}

func answers(username, password, reply string) string {
	login := base64.StdEncoding.EncodeToString([]byte("\x00" + username + "\x00" + password))
	return smtptest.Hello() + "C: AUTH PLAIN\nS: 334 \nC: " + login + "\nS: " + reply + "\n"
}

// sendingRig is an agent with an account that has these lines, and is not started: nothing
// but what is asked of it logs in anywhere.
func sendingRig(t *testing.T, more string, replace ...string) (r *agenttest.Rig, set func(operations.SetSending) operations.TriedSending) {
	t.Helper()
	r = newRig(t)
	_, port := agenttest.POP(t, "home", 2)
	r.Configure(agenttest.Plain, agenttest.Account{Name: "home", User: "ann", Folder: "INBOX", Port: port, Replace: replace,
		More: "# whose mail it is\naddress = \"ann@example.com\" # hers\n" + more})
	r.Agent = r.Open()
	t.Cleanup(func() { _ = r.Agent.Close() }) // which may be another by then
	return r, func(ask operations.SetSending) operations.TriedSending {
		t.Helper()
		ask.Account = "HOME"
		tried, err := r.Ops().SetSending(t.Context(), ask)
		if err != nil {
			t.Fatal(err)
		}
		return tried
	}
}

func here(s *scripted.Server) operations.MailServer {
	return operations.MailServer{Host: "127.0.0.1", Port: s.Port(), TLS: "none", Username: "home"}
}

// counted is a server that hangs up, and says in the end on how many.
func counted(t *testing.T) (server operations.MailServer, connections func() int) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan int, 1)
	go func() {
		for n := 0; ; n++ {
			conn, err := ln.Accept()
			if err != nil {
				done <- n
				return
			}
			_ = conn.Close()
		}
	}()
	return operations.MailServer{Host: "127.0.0.1", Port: ln.Addr().(*net.TCPAddr).Port, TLS: "none", Username: "home"}, func() int {
		_ = ln.Close()
		return <-done
	}
}

func sendWay(r *agenttest.Rig) config.Send { return r.Load().Accounts[0].Send }

// passwordFiles are the names of the password files.
func passwordFiles(t *testing.T, r *agenttest.Rig) (list []string) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(r.Dir, "*password"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		list = append(list, filepath.Base(path))
	}
	return list
}

func stored(t *testing.T, r *agenttest.Rig, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(r.Dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

// A server that somebody at an open page enters is never sent a stored password: what was
// typed is tried, and is what is sent there from then on.
func TestSetSendingSendsNoStoredPassword(t *testing.T) {
	t.Run("of the account", func(t *testing.T) {
		r, set := sendingRig(t, "")
		before := r.Text()
		stranger, connections := counted(t)
		tried := set(operations.SetSending{Server: stranger, Password: "guess"})
		if n := connections(); n > 0 || !tried.Refused || tried.Error == "" || tried.Kind != "auth" || r.Text() != before || stored(t, r, "password") != agenttest.POPPassword {
			t.Errorf("%d connections, %+v\n%s", n, tried, r.Text())
		}
	})
	t.Run("its own", func(t *testing.T) {
		r, set := sendingRig(t, "")
		stranger := scripted.Listen(t, takes("home", "guess")+next+takes("home", "guess"))
		if tried := set(operations.SetSending{Server: here(stranger), Own: true, Password: "guess"}); tried.Error != "" {
			t.Fatalf("%+v", tried)
		}
		probeSends(t, r, stranger)
		if got := stored(t, r, "home-send.password"); got != "guess" || stored(t, r, "password") != agenttest.POPPassword {
			t.Errorf("%q is stored for sending", got)
		}
		// The next one gets what is typed then, and the file of the first goes.
		other := scripted.Listen(t, takes("ann", "second")+next+takes("ann", "second"))
		server := here(other)
		server.Username = "ann"
		if tried := set(operations.SetSending{Server: server, Own: true, Password: "second"}); tried.Error != "" {
			t.Fatalf("%+v", tried)
		}
		probeSends(t, r, other)
		if got := passwordFiles(t, r); !slices.Equal(got, []string{"home-send-2.password", "password"}) {
			t.Errorf("files %q", got)
		}
	})
}

// probeSends has an agent of the new config log in with what is stored.
func probeSends(t *testing.T, r *agenttest.Rig, s *scripted.Server) {
	t.Helper()
	if err := r.Agent.Close(); err != nil {
		t.Fatal(err)
	}
	r.Agent = r.Open()
	probes, err := r.Ops().Probe(t.Context(), nil)
	if err != nil || probes[0].Error != "" || probes[0].Sending == nil || probes[0].Sending.Error != "" || !strings.HasSuffix(probes[0].Sending.Server, here(s).Host+":"+strconv.Itoa(s.Port())) {
		t.Errorf("%+v, %+v, %v", probes[0], probes[0].Sending, err)
	}
}

// The password of the account is for both servers, and has to be taken by both.
func TestSetSendingWithThePasswordOfTheAccount(t *testing.T) {
	r, set := sendingRig(t, "[account.send]\nhost = \"smtp.example.com\" # of before\ntls_pin = \"sha256:"+strings.Repeat("ab", 32)+"\"\npassword_file = \"sends.password\"\n")
	if err := os.WriteFile(filepath.Join(r.Dir, "password"), []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := r.Text()
	server := scripted.Listen(t, answers("home", agenttest.POPPassword, "535 5.7.8 not here")+next+takes("home", agenttest.POPPassword)+next+takes("home", agenttest.POPPassword))
	ask := operations.SetSending{Server: here(server), Password: agenttest.POPPassword}
	if tried := set(ask); !tried.Refused || tried.Hint == "" || r.Text() != before || stored(t, r, "password") != "old" {
		t.Errorf("refused: %+v\n%s", tried, r.Text())
	}
	if tried := set(ask); tried.Error != "" || tried.Server != "127.0.0.1:"+strconv.Itoa(server.Port()) || stored(t, r, "password") != agenttest.POPPassword {
		t.Errorf("taken: %+v, %s", tried, stored(t, r, "password"))
	}
	if want := (config.Send{Host: "127.0.0.1", Port: server.Port(), TLS: config.None, Auth: config.AuthPassword}); !cmp.Equal(sendWay(r), want) {
		t.Errorf("%+v", sendWay(r))
	}
	for _, kept := range []string{"# whose mail it is\n", `address = "ann@example.com" # hers`, "# of before\n"} {
		if !strings.Contains(r.Text(), kept) {
			t.Errorf("%q is gone:\n%s", kept, r.Text())
		}
	}
	probeSends(t, r, server)
}

// Without a server it is the one that is known of the provider, and the password of the
// account; a password of its own goes.
func TestSetSendingByTheProvider(t *testing.T) {
	r, set := sendingRig(t, "")
	server := scripted.Listen(t, takes("home", "own"))
	set(operations.SetSending{Server: here(server), Own: true, Password: "own"})
	if d := detailsOf(t, r); d.Sending.Server != here(server) || d.Sending.Password != "file" || d.Sending.Found.Host != "" || d.Sending.Off {
		t.Errorf("%+v", d.Sending)
	}
	if tried := set(operations.SetSending{}); tried.Error != "" || tried.Server != "" || !cmp.Equal(sendWay(r), config.Send{Auth: config.AuthPassword}) || len(passwordFiles(t, r)) != 1 {
		t.Errorf("%+v; it sends by %+v; files %q", tried, sendWay(r), passwordFiles(t, r))
	}
	gmx := agenttest.Account{Name: "ann@gmx.de", User: "ann", Folder: "INBOX", Port: 995}
	r.Configure(agenttest.Plain, gmx)
	for _, known := range []bool{false, true} { // it is looked for again where that is asked
		found, err := r.Ops().Discover(t.Context(), operations.Address{Address: "ann@gmx.de", Known: known}, func(operations.Progress) {})
		if err != nil || (found[0].Account == "") != known || (found[0].SMTP.Host == "mail.gmx.net") != known {
			t.Errorf("known %v: %+v, %v", known, found, err)
		}
	}
	r.Configure("data_dir = \"data\"\n[smtp]\nlisten = []\n", agenttest.Account{Name: "home", User: "ann", Folder: "INBOX", Port: 995, Replace: []string{`host = "127.0.0.1"`, `host = "pop.gmx.net"`, `"none"`, `"implicit"`, `username = "home"`, `username = "ann@gmx.de"`}, More: "send.username = \"customer\"\n"})
	d := detailsOf(t, r)
	if want := (operations.MailServer{Host: "mail.gmx.net", Port: 465, TLS: "implicit", Username: "customer"}); d.Sending.Found != want || d.Sending.Server.Host != "" || d.Settings["address"] != "ann@gmx.de" {
		t.Errorf("%+v, %v", d.Sending, d.Settings)
	}
}

func detailsOf(t *testing.T, r *agenttest.Rig) operations.AccountDetails {
	t.Helper()
	d, err := r.Ops().AccountDetails(t.Context(), operations.AccountName{Account: "home"})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// What the config does not take is said by its key, and asks no server.
func TestSetSendingTypedWrong(t *testing.T) {
	r, set := sendingRig(t, "")
	before := r.Text()
	good := operations.MailServer{Host: "smtp.example.com", Port: 465, TLS: "implicit", Username: "ann"}
	for key, change := range map[string]func(*operations.MailServer, *secret.Secret){
		"send.host":     func(s *operations.MailServer, _ *secret.Secret) { s.Host = "x\"\npassword_file = \"/etc/shadow" },
		"send.port":     func(s *operations.MailServer, _ *secret.Secret) { s.Port = 70000 },
		"send.tls":      func(s *operations.MailServer, _ *secret.Secret) { s.TLS = "ssl" },
		"send.username": func(s *operations.MailServer, _ *secret.Secret) { s.Username = "a\x00b" },
		"password":      func(_ *operations.MailServer, p *secret.Secret) { *p = "" },
	} {
		for _, own := range []bool{false, true} {
			ask := operations.SetSending{Server: good, Password: "x", Own: own}
			change(&ask.Server, &ask.Password)
			if tried := set(ask); len(tried.Wrong) != 1 || tried.Wrong[0].Key != key || tried.Wrong[0].Text == "" || tried.Server != "" {
				t.Errorf("%s: %+v", key, tried)
			}
		}
	}
	if r.Text() != before || len(passwordFiles(t, r)) != 1 {
		t.Errorf("it was written: %q\n%s", passwordFiles(t, r), r.Text())
	}
}

// A password that popbridge does not keep is not replaced; a server can have one of its own.
func TestSetSendingBesideACommand(t *testing.T) {
	r, set := sendingRig(t, "", `password_file = "password"`, `password_command = ["echo", "`+agenttest.POPPassword+`"]`)
	server := scripted.Listen(t, takes("home", "own")+next+takes("home", "own"))
	ask := operations.SetSending{Account: "home", Server: here(server), Password: agenttest.POPPassword}
	if _, err := r.Ops().SetSending(t.Context(), ask); !fault.Is(err, fault.Conflict) || fault.Hint(err) == "" {
		t.Errorf("shared: %v", err)
	}
	ask.Own, ask.Password = true, "own"
	set(ask)
	probeSends(t, r, server)

	r, _ = sendingRig(t, "[account.send]\nhost = \"smtp.example.com\"\npassword_command = [\"echo\", \"x\"]\n")
	for _, ask := range []operations.SetSending{ask, {Account: "home"}} {
		if _, err := r.Ops().SetSending(t.Context(), ask); !fault.Is(err, fault.Conflict) || fault.Hint(err) == "" {
			t.Errorf("a command of its own: %v", err)
		}
	}
}

// A password file that another account sends with is not written over, nor removed.
func TestSetSendingLeavesTheFileOfAnother(t *testing.T) {
	r, set := sendingRig(t, "")
	_, port := agenttest.POP(t, "home", 1)
	const own = "[account.send]\nhost = \"smtp.example.com\"\npassword_file = \"home-send.password\"\n"
	if err := os.WriteFile(filepath.Join(r.Dir, "home-send.password"), []byte("own"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.Configure(agenttest.Plain, agenttest.Account{Name: "home", User: "ann", Folder: "INBOX", Port: port, More: own},
		agenttest.Account{Name: "work", User: "ann", Folder: "INBOX", Port: port, More: own, Replace: []string{`password_file = "password"`, `password_file = "home-send.password"`}},
		agenttest.Account{Name: "shop", User: "ann", Folder: "INBOX", Port: port, More: own, Replace: []string{`password_file = "password"`, `password_command = ["echo", "x"]`}})
	set(operations.SetSending{})
	if got := passwordFiles(t, r); len(got) != 2 {
		t.Errorf("files %q", got)
	}
	server := operations.MailServer{Host: "127.0.0.1", Port: port, TLS: "none", Username: "home"}
	if _, err := r.Ops().SetLogin(t.Context(), operations.SetLogin{Account: "work", Server: server, Password: agenttest.POPPassword}); !fault.Is(err, fault.Conflict) || stored(t, r, "home-send.password") != "own" {
		t.Errorf("%v", err)
	}
}

// The token of a sign-in goes to no server that a page names.
func TestSetSendingOfASignIn(t *testing.T) {
	r := newRig(t)
	r.Configure(agenttest.Plain+"[oauth.google]\nclient_id = \"id\"\n", agenttest.Account{Name: "home", User: "ann", Folder: "INBOX", Port: 995,
		Replace: []string{`password_file = "password"`, "auth = \"oauth2\"\noauth = \"google\"", `"none"`, `"implicit"`}})
	r.Agent = r.Open()
	defer func() { _ = r.Agent.Close() }()
	server := scripted.Listen(t, takes("home", "own"))
	ask := operations.SetSending{Account: "home", Server: here(server), Password: "own"}
	if _, err := r.Ops().SetSending(t.Context(), ask); !fault.Is(err, fault.Conflict) || fault.Hint(err) == "" {
		t.Errorf("shared: %v", err)
	}
	ask.Own = true
	if tried, err := r.Ops().SetSending(t.Context(), ask); err != nil || tried.Error != "" || stored(t, r, "home-send.password") != "own" {
		t.Errorf("%+v, %v", tried, err)
	}
	if way := sendWay(r); way.Auth != config.AuthPassword {
		t.Errorf("%+v", way)
	}
	if tried, err := r.Ops().SetSending(t.Context(), operations.SetSending{Account: "home"}); err != nil || sendWay(r).Auth != config.AuthOAuth2 {
		t.Errorf("back to the sign-in: %+v, %v", tried, err)
	}
}

// An account that signs in to send alone sends with a password, once one is entered.
func TestSetSendingOfASignInToSend(t *testing.T) {
	r := newRig(t)
	r.Configure(agenttest.Plain+"[oauth.yandex]\nclient_id = \"id\"\n", agenttest.Account{Name: "home", User: "ann", Folder: "INBOX", Port: 1,
		More: "send.host = \"smtp.yandex.com\"\nsend.auth = \"oauth2\"\nsend.oauth = \"yandex\""})
	r.Agent = r.Open()
	defer func() { _ = r.Agent.Close() }()
	if way := sendWay(r); way.Auth != config.AuthOAuth2 {
		t.Fatalf("%+v", way)
	}
	server := scripted.Listen(t, takes("home", "own"))
	tried, err := r.Ops().SetSending(t.Context(), operations.SetSending{Account: "home", Server: here(server), Password: "own", Own: true})
	if way := sendWay(r); err != nil || tried.Error != "" || way.Auth != config.AuthPassword || stored(t, r, "home-send.password") != "own" || strings.Contains(r.Text(), "oauth2") {
		t.Errorf("%+v, %v: %+v", tried, err, way)
	}
}

// What is entered is a password also where the account itself has a token.
func TestSetSendingBesideAToken(t *testing.T) {
	for name, secret := range map[string]string{
		"of another program": "auth = \"oauth2\"\npassword_command = [\"print-token\"]",
		"of the sign-in":     "auth = \"oauth2\"\noauth = \"google\"\nsend.auth = \"oauth2\"",
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.Configure(agenttest.Plain+"[oauth.google]\nclient_id = \"id\"\n", agenttest.Account{Name: "home", User: "ann", Folder: "INBOX", Port: 995,
				Replace: []string{`password_file = "password"`, secret, `"none"`, `"implicit"`}})
			r.Agent = r.Open()
			defer func() { _ = r.Agent.Close() }()
			server := scripted.Listen(t, takes("home", "own"))
			ask := operations.SetSending{Account: "home", Server: here(server), Password: "own", Own: true}
			if tried, err := r.Ops().SetSending(t.Context(), ask); err != nil || tried.Error != "" || len(tried.Wrong) > 0 || sendWay(r).Auth != config.AuthPassword {
				t.Errorf("%+v, %v: %+v", tried, err, sendWay(r))
			}
			if tried, err := r.Ops().SetSending(t.Context(), operations.SetSending{Account: "home"}); err != nil || len(tried.Wrong) > 0 || strings.Contains(r.Text(), "send.") {
				t.Errorf("back: %+v, %v\n%s", tried, err, r.Text())
			}
		})
	}
}

// Where the account was changed while the password was tried, nothing is saved.
func TestSetSendingIsAllOrNothing(t *testing.T) {
	r, _ := sendingRig(t, "")
	if err := os.WriteFile(filepath.Join(r.Dir, "password"), []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	agenttest.ServePOP(t, "home", 1, hooked{ln, sync.OnceFunc(func() {
		r.Configure(agenttest.Plain, agenttest.Account{Name: "home", User: "eve", Folder: "INBOX", Port: port})
	})})
	r.Configure(agenttest.Plain, agenttest.Account{Name: "home", User: "ann", Folder: "INBOX", Port: port})
	server := scripted.Listen(t, takes("home", agenttest.POPPassword))
	if _, err := r.Ops().SetSending(t.Context(), operations.SetSending{Account: "home", Server: here(server), Password: agenttest.POPPassword}); !fault.Is(err, fault.Conflict) || fault.Hint(err) == "" {
		t.Errorf("%v", err)
	}
	if sendWay(r).Host != "" || stored(t, r, "password") != "old" {
		t.Errorf("it was saved: %+v, %s", sendWay(r), stored(t, r, "password"))
	}
}

// The addresses are keys like others, and the first that is wrong is named.
// Of an address that two accounts have, the one that does not send it says which does.
func TestAnAddressOfTwoAccounts(t *testing.T) {
	r := newRig(t)
	_, port := agenttest.POP(t, "home", 2)
	shared := "address = \"ann@example.com\"\naddresses = [\"info@example.com\"]\n"
	r.Configure(agenttest.Plain, agenttest.Account{Name: "first", User: "ann", Folder: "INBOX", Port: port, More: shared},
		agenttest.Account{Name: "home", User: "ann", Folder: "INBOX", Port: port + 1, More: "address = \"INFO@example.com\"\naddresses = [\"ann@example.com\"]\n"})
	r.Agent = r.Open()
	t.Cleanup(func() { _ = r.Agent.Close() })
	for name, want := range map[string]operations.SharedAddress{"home": {Address: "ann@example.com", Account: "first"}, "first": {Address: "info@example.com", Account: "home"}} {
		d, err := r.Ops().AccountDetails(t.Context(), operations.AccountName{Account: name})
		if err != nil || !slices.Equal(d.Sending.Shared, []operations.SharedAddress{want}) {
			t.Errorf("%s: %+v, %v", name, d.Sending, err)
		}
	}
}

func TestSetAddresses(t *testing.T) {
	r, _ := sendingRig(t, "")
	set := func(address, others string) []operations.Wrong {
		t.Helper()
		answer, err := r.Ops().SetAccount(t.Context(), operations.SetAccount{Account: "home", Settings: map[string]string{"address": address, "addresses": others}})
		if err != nil {
			t.Fatal(err)
		}
		return answer.Wrong
	}
	others := `["info@example.com","a&b@example.com"]`
	if wrong := set("ann@example.org", others); len(wrong) > 0 {
		t.Errorf("%+v", wrong)
	}
	if got := r.Load().Accounts[0].Addresses; !slices.Equal(got, []string{"ann@example.org", "info@example.com", "a&b@example.com"}) {
		t.Errorf("%q\n%s", got, r.Text())
	}
	d := detailsOf(t, r)
	if wrong := set(d.Settings["address"], d.Settings["addresses"]); len(wrong) > 0 || !cmp.Equal(detailsOf(t, r), d) {
		t.Errorf("it cannot be set as it is: %+v, %+v", wrong, d.Settings)
	}
	before := r.Text()
	if wrong := set("ann", `["info@example.com","x"]`); len(wrong) != 2 || !strings.HasPrefix(wrong[0].Key, "address") || wrong[0].Hint == "" || r.Text() != before {
		t.Errorf("%+v", wrong)
	}
	if wrong := set("", ""); len(wrong) > 0 || len(r.Load().Accounts[0].Addresses) != 0 || !strings.Contains(r.Text(), "# hers") {
		t.Errorf("%+v\n%s", wrong, r.Text())
	}
}
