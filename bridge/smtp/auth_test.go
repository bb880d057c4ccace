package smtp

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/bridge/smtp/smtptest"
	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/sasl"
	"github.com/popbridge/popbridge/internal/testkit/scripted"
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// offer is a session up to the login.
func offer(auth string) string {
	return "S: 220 ok\nC~ EHLO .*\nS: 250-h\nS: 250 " + auth + "\n"
}

const (
	plainAnswer = "C: AGFubgBzM2NyZXQ=\n"
	refusedJSON = `{"status":"401","schemes":"bearer"}`
)

func TestLogin(t *testing.T) {
	token := sasl.Credentials{Username: "ann", Secret: "s3cret", Token: true}
	xoauth2 := "C: AUTH XOAUTH2\nS: 334\nC: " + b64("user=ann\x01auth=Bearer s3cret\x01\x01") + "\n"
	bearer := "C: AUTH OAUTHBEARER\nS: 334\nC: " + b64("n,a=ann,\x01host=h\x01port=587\x01auth=Bearer s3cret\x01\x01") + "\n"
	for name, tt := range map[string]struct {
		script string
		cred   sasl.Credentials
		kind   fault.Kind // where there is a text
		text   string
		hint   string
	}{
		"plain":               {script: offer("AUTH LOGIN PLAIN") + "C: AUTH PLAIN\nS: 334 \n" + plainAnswer + "S: 235 ok\n"},
		"AUTH= in lower case": {script: offer("auth=login plain") + "C: AUTH PLAIN\nS: 334\n" + plainAnswer + "S: 235\n"},
		"login, odd prompts":  {script: offer("AUTH NTLM LOGIN") + "C: AUTH LOGIN\nS: 334 Name?\nC: YW5u\nS: 334 " + b64("Pass\x00") + "\nC: czNjcmV0\nS: 235 ok\n"},
		"cram-md5 first":      {script: offer("AUTH PLAIN CRAM-MD5") + "C: AUTH CRAM-MD5\nS: 334 " + b64("<1@h>") + "\nC*\nS: 235 ok\n"},
		"token":               {script: offer("AUTH XOAUTH2 PLAIN") + xoauth2 + "S: 235 ok\n", cred: token},
		"token, both":         {script: offer("AUTH XOAUTH2 OAUTHBEARER") + bearer + "S: 235 ok\n", cred: token},

		"refused":          {script: offer("AUTH LOGIN PLAIN") + "C: AUTH PLAIN\nS: 334\n" + plainAnswer + "S: 535 5.7.8 no\n", kind: fault.Auth, text: "user name or password refused", hint: "app password"},
		"refused, 5xx":     {script: offer("AUTH LOGIN PLAIN") + "C: AUTH PLAIN\nS: 334\n" + plainAnswer + "S: 550 whoever you are\n", kind: fault.Auth, text: "user name or password refused", hint: "app password"},
		"for now":          {script: offer("AUTH LOGIN PLAIN") + "C: AUTH PLAIN\nS: 334\n" + plainAnswer + "S: 454 4.7.0 later\n", kind: fault.Temporary, text: "454"},
		"too many":         {script: offer("AUTH PLAIN") + "C: AUTH PLAIN\nS: 334\n" + plainAnswer + "S: 432 4.3.2 concurrent connections exceeded\n", kind: fault.Temporary, text: "432"},
		"app password":     {script: offer("AUTH PLAIN") + "C: AUTH PLAIN\nS: 334\n" + plainAnswer + "S: 534-5.7.9 Application-specific password required. Learn more at\nS: 534 5.7.9 https://support\n", kind: fault.Auth, text: "wants an app password", hint: "security settings"},
		"web browser":      {script: offer("AUTH PLAIN") + "C: AUTH PLAIN\nS: 334\n" + plainAnswer + "S: 534-5.7.14 Please log in via\nS: 534 5.7.14 your web browser\n", kind: fault.Auth, text: "web browser first", hint: "web page"},
		"tenant":           {script: offer("AUTH LOGIN XOAUTH2") + "C: AUTH LOGIN\nS: 334\nC*\nS: 334\nC*\nS: 535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.\n", kind: fault.Config, text: "switched off for this account", hint: "administrator"},
		"needs tls":        {script: offer("AUTH PLAIN") + "C: AUTH PLAIN\nS: 538 5.7.11 Encryption required\n", kind: fault.Config, text: "over TLS only", hint: "starttls"},
		"no AUTH":          {script: offer("SIZE 10"), kind: fault.Config, text: "offers no login", hint: "587"},
		"only others":      {script: offer("AUTH NTLM GSSAPI"), kind: fault.Config, text: "NTLM GSSAPI"},
		"only under TLS":   {script: "S: 220 ok\nC~ EHLO .*\nS: 250-h\nS: 250 STARTTLS\n", kind: fault.Config, text: "offers no login", hint: "starttls"},
		"no tokens":        {script: offer("AUTH PLAIN"), cred: token, kind: fault.Config, text: "offers other logins only", hint: "app password"},
		"token refused":    {script: offer("AUTH XOAUTH2") + xoauth2 + "S: 334 " + b64(refusedJSON) + "\nC: \nS: 535 5.7.8 no\n", cred: token, kind: fault.Auth, text: "refused the token", hint: "sign in again"},
		"bearer refused":   {script: offer("AUTH OAUTHBEARER") + bearer + "S: 334 " + b64(refusedJSON) + "\nC: AQ==\nS: 535 5.7.8 no\n", cred: token, kind: fault.Auth, text: "refused the token", hint: "sign in again"},
		"token, for now":   {script: offer("AUTH XOAUTH2") + xoauth2 + "S: 334 " + b64(refusedJSON) + "\nC: \nS: 454 4.7.0 later\n", cred: token, kind: fault.Temporary, text: "454"},
		"hangs up":         {script: offer("AUTH PLAIN") + "C: AUTH PLAIN\nS: 334\n" + plainAnswer + "@close\n", kind: fault.Temporary, text: "when it got the password", hint: "password"},
		"hangs up before":  {script: offer("AUTH PLAIN") + "C: AUTH PLAIN\n@close\n", kind: fault.Temporary, text: "closed the connection"},
		"asks without end": {script: offer("AUTH LOGIN") + "C: AUTH LOGIN\nS: 334\nC*\nS: 334\nC*\nS: 334\nC: *\nS: 501 5.5.2 cancelled\n", kind: fault.Protocol, text: "makes no sense"},
		"accepts nothing":  {script: offer("AUTH LOGIN") + "C: AUTH LOGIN\nS: 334\nC*\nS: 334\nC*\nS: 334\nC: *\nS: 235 welcome\n", kind: fault.Protocol, text: "given up"},
		"another 2xx":      {script: offer("AUTH PLAIN") + "C: AUTH PLAIN\nS: 334\n" + plainAnswer + "S: 250 ok\n", kind: fault.Protocol, text: "answered 250"},

		"not now":                  {script: offer("AUTH CRAM-MD5 PLAIN") + "C: AUTH CRAM-MD5\nS: 503 5.5.1 bad sequence\n", kind: fault.Protocol, text: "now"},
		"password in another form": {script: offer("AUTH CRAM-MD5 PLAIN") + "C: AUTH CRAM-MD5\nS: 334 PDFAaD4=\nC*\nS: 535 5.7.8 Error: authentication failed: no secret in database\nC: AUTH PLAIN\nS: 334\n" + plainAnswer + "S: 235 ok\n"},
		"mechanism not done":       {script: offer("AUTH CRAM-MD5 PLAIN") + "C: AUTH CRAM-MD5\nS: 504 5.5.4 unrecognized\nC: AUTH PLAIN\nS: 334\n" + plainAnswer + "S: 235 ok\n"},
		"refused before it begins": {script: offer("AUTH CRAM-MD5 PLAIN") + "C: AUTH CRAM-MD5\nS: 535 no\nC: AUTH PLAIN\nS: 334\n" + plainAnswer + "S: 235 ok\n"},
		"none done":                {script: offer("AUTH CRAM-MD5 PLAIN") + "C: AUTH CRAM-MD5\nS: 504 no\nC: AUTH PLAIN\nS: 504 no\n", kind: fault.Config, text: "does not do PLAIN"},
		"cancelled, as Microsoft":  {script: offer("AUTH SCRAM-SHA-256 PLAIN") + "C: AUTH SCRAM-SHA-256\nS: 334\nC*\nS: 334 " + b64("r=x,s=,i=0") + "\nC: *\nS: 535 5.7.3 unsuccessful\nC: AUTH PLAIN\nS: 334\n" + plainAnswer + "S: 235 ok\n"},
		"scram without proof":      {script: offer("AUTH SCRAM-SHA-256 PLAIN") + "C: AUTH SCRAM-SHA-256\nS: 334\nC*\nS: 235 welcome\n", kind: fault.Auth, text: "could not prove"},
		"a huge challenge":         {script: offer("AUTH CRAM-MD5") + "C: AUTH CRAM-MD5\nS: 334 " + b64(strings.Repeat("x", 40<<10)) + "\nC*\nS: 235 ok\n"},
		"an endless challenge":     {script: offer("AUTH CRAM-MD5") + "C: AUTH CRAM-MD5\nS: 334 " + b64(strings.Repeat("x", 60<<10)) + "\n", kind: fault.Protocol, text: "does not end"},
		"echoes":                   {script: offer("AUTH PLAIN") + "C: AUTH PLAIN\nS: 334\n" + plainAnswer + "S: 500 AGFubgBzM2NyZXQ= s3cret what?\n", kind: fault.Config, text: `*** *** what?`},
	} {
		t.Run(name, func(t *testing.T) {
			var trace bytes.Buffer
			server := scripted.New(t, tt.script)
			c, err := Dial(t.Context(), Config{Host: "h", Security: Plain, Dialer: server.Dial, Trace: zerolog.New(&trace).Level(zerolog.TraceLevel)})
			if err != nil {
				t.Fatal(err)
			}
			cred := tt.cred
			if cred.Username == "" {
				cred = credentials
			}
			err = c.Login(t.Context(), cred)
			_ = c.Close()
			switch {
			case tt.text == "" && err != nil:
				t.Error(err)
			case tt.text != "" && (!fault.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.text) || !strings.Contains(fault.Hint(err), tt.hint)):
				t.Errorf("%v: %v\nhint: %s", fault.KindOf(err), err, fault.Hint(err))
			}
			for _, secret := range []string{"s3cret", "czNjcmV0", "AGFubgBzM2NyZXQ"} {
				if shown := fmt.Sprint(err) + trace.String(); strings.Contains(shown, secret) {
					t.Errorf("%s was shown:\n%s", secret, shown)
				}
			}
		})
	}
}

func TestCredentialsWithLineEndsAreNotSent(t *testing.T) {
	c := dial(t, smtptest.Hello())
	for _, cred := range []sasl.Credentials{
		{Username: "ann\r\nRSET", Secret: "pw"}, {Username: "ann", Secret: "pw\nQUIT"}, {Username: "ann", Secret: "p\x00w", Token: true}, {Secret: "pw"}, {Username: "ann"},
	} {
		if err := c.Login(t.Context(), cred); !fault.Is(err, fault.Config) {
			t.Errorf("%q: %v", cred.Username, err)
		}
	}
}
