package operations_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/agent/agenttest"
	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/agent/signin"
	"github.com/popbridge/popbridge/bridge/smtp/smtptest"
	"github.com/popbridge/popbridge/internal/oauth/oauthtest"
	"github.com/popbridge/popbridge/internal/testkit/scripted"
)

// An account that fetches with a password is signed in to send, as with providers whose
// POP3 servers take no token: mail that waits for the sign-in leaves after it.
func TestSignsInToSendOnly(t *testing.T) {
	provider := oauthtest.New(t)
	login := smtptest.Extended("AUTH PLAIN XOAUTH2")
	login = "S: 220 mail.example.com ESMTP\n" + login + "C: AUTH XOAUTH2\nS: 334 \nC*\nS: 235 2.7.0 accepted\n"
	out := scripted.Listen(t, login+smtptest.Quit+"@connection\n"+login+smtptest.Taken("ann@example.com", "home@example.com")+smtptest.Quit)
	r := newRig(t)
	_, port := agenttest.POP(t, "home", 2)
	e := provider.Endpoints()
	r.Configure(agenttest.Plain+fmt.Sprintf("[oauth.own]\nclient_id = %q\nauthorize_url = %q\ntoken_url = %q\nscopes = [%q, \"offline_access\"]\n", oauthtest.ClientID, e.Authorize, e.Token, oauthtest.ScopeSMTP),
		agenttest.Account{Name: "home", User: "ann", Folder: "INBOX", Port: port,
			More: fmt.Sprintf("address = \"ann@example.com\"\n[account.send]\nhost = \"127.0.0.1\"\nport = %d\ntls = \"none\"\nauth = \"oauth2\"\n", out.Port())})
	r.Agent = r.Open() // the mail that follows is not that of a restore
	r.Status()
	if err := r.Agent.Close(); err != nil {
		t.Fatal(err)
	}
	submit(t, r.Load().DataDir, "ann", "home")
	r.Start()
	if got := r.Sync("home"); got[0].Error != "" {
		t.Errorf("fetching: %+v", got)
	}
	agenttest.Eventually(t, "that a sign-in is asked for", func() bool { return strings.Contains(r.Codes(), "signin-needed") })
	if c := r.Condition("signin-needed"); !strings.Contains(c.Text, "what it sends waits, and mail is fetched") || !strings.Contains(c.Hint, "account signin home") {
		t.Errorf("%+v", c)
	}
	began, err := r.Ops().SignInBegin(t.Context(), operations.BeginSignIn{Account: "home"})
	if err != nil {
		t.Fatal(err)
	}
	if err := provider.Browse(began.URL, "home"); err != nil {
		t.Fatal(err)
	}
	var now operations.SignIn
	agenttest.Eventually(t, "the sign-in", func() bool {
		now, err = r.Ops().SignInState(t.Context(), "home")
		return err != nil || now.State == signin.Done || now.State == signin.Failed
	})
	if now.State != signin.Done || now.POP.State != signin.None || now.SMTP.State != signin.OK {
		t.Errorf("%+v, %v", now, err)
	}
	agenttest.Eventually(t, "the end of the queue", func() bool {
		list, err := r.Ops().Outbox(t.Context())
		return err == nil && len(list) == 0
	})
	if c := r.Codes(); strings.Contains(c, "signin-needed") {
		t.Errorf("conditions %s", c)
	}
	if err := r.Stop(); err != nil {
		t.Error(err)
	}
}
