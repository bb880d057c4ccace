package sasl

import (
	"errors"
	"strings"
	"testing"
)

// steps runs a mechanism over challenges and returns its answers.
func steps(m *Mechanism, challenges ...string) (answers []string, err error) {
	for _, c := range challenges {
		answer, err := m.Step([]byte(c))
		if err != nil {
			return answers, err
		}
		answers = append(answers, string(answer))
	}
	return answers, nil
}

func find(t *testing.T, cred Credentials, name string) *Mechanism {
	t.Helper()
	for _, m := range Mechanisms(cred, "mail.example.com", 465) {
		if m.Name == name {
			return m
		}
	}
	t.Fatalf("no %s", name)
	return nil
}

func TestMechanisms(t *testing.T) {
	password, token := Credentials{Username: "tim", Secret: "tanstaaftanstaaf"}, Credentials{Username: "a=b,c@d", Secret: "tok", Token: true}
	for _, tt := range []struct {
		name       string
		cred       Credentials
		challenges []string
		want       string
	}{
		{"CRAM-MD5", password, []string{"<1896.697170952@postoffice.reston.mci.net>"}, "tim b913a602c7eda7a495b4e6e7334d3890"}, // RFC 2195 section 2
		{"PLAIN", password, []string{""}, "\x00tim\x00tanstaaftanstaaf"},
		{"LOGIN", password, []string{"User Name\x00", "Passwort:"}, "tim|tanstaaftanstaaf"},
		{"OAUTHBEARER", token, []string{"", `{"status":"401"}`}, "n,a=a=3Db=2Cc@d,\x01host=mail.example.com\x01port=465\x01auth=Bearer tok\x01\x01|\x01"},
		{"XOAUTH2", token, []string{"", `{"status":"401"}`}, "user=a=b,c@d\x01auth=Bearer tok\x01\x01|"},
	} {
		m := find(t, tt.cred, tt.name)
		answers, err := steps(m, tt.challenges...)
		if got := strings.Join(answers, "|"); got != tt.want || err != nil {
			t.Errorf("%s: %q, %v", tt.name, got, err)
		}
		if tt.cred.Token && m.Detail != `{"status":"401"}` {
			t.Errorf("%s: detail %q", tt.name, m.Detail)
		}
		if _, err := m.Step([]byte("more")); !errors.Is(err, errTooManySteps) {
			t.Errorf("%s goes on: %v", tt.name, err)
		}
	}
}

// SCRAM does no work without bound, and tells a refusal from a server that does
// not know the password.
func TestSCRAMAgainstAServerThatLies(t *testing.T) {
	cred := Credentials{Username: "user", Secret: "pencil"}
	for first, want := range map[string]string{
		"r=%sx,s=AAAA,i=99999999":             "too many iterations",
		"r=%sx,s=AAAA,i=99999999999999999999": "too many iterations",
		"r=other,s=AAAA,i=4096":               "nonce",
		"e=unknown-user":                      "",
		strings.Repeat("x", 60000):            "",
	} {
		m := find(t, cred, "SCRAM-SHA-256")
		hello, err := steps(m, "")
		if err != nil {
			t.Fatal(err)
		}
		_, nonce, _ := strings.Cut(hello[0], "r=")
		_, err = m.Step([]byte(strings.Replace(first, "%s", nonce, 1)))
		if err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, ErrServerUnproven) {
			t.Errorf("%.40s: %v", first, err)
		}
		if err := m.Verify(); !errors.Is(err, ErrServerUnproven) {
			t.Errorf("%.40s: verified, %v", first, err)
		}
	}
	m := find(t, cred, "SCRAM-SHA-256")
	hello, _ := steps(m, "")
	_, nonce, _ := strings.Cut(hello[0], "r=")
	if _, err := steps(m, "r="+nonce+"x,s=AAAA,i=4096", "v=AAAA"); !errors.Is(err, ErrServerUnproven) {
		t.Errorf("a wrong signature: %v", err)
	}
}
