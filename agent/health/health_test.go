package health_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/bridge/pop3"
	"github.com/popbridge/popbridge/internal/fault"
)

// clock counts seconds: every reading is one later.
func clock() func() time.Time {
	at := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
	return func() time.Time { at = at.Add(time.Second); return at }
}

func codes(list []health.Condition) []string {
	out := []string{}
	for _, c := range list {
		out = append(out, c.Code)
	}
	return out
}

func TestReportReplacesWhatItsSourceSaidBefore(t *testing.T) {
	var log bytes.Buffer
	r := health.New(zerolog.New(&log), clock())

	r.Report("account home", health.Account("home", fault.New(fault.Auth, "refused", "check it"), 2)...)
	first := r.List()
	if diff := cmp.Diff([]string{health.CodeAccountAuth, health.CodeAccountMessages}, codes(first)); diff != "" {
		t.Fatal(diff)
	}

	r.Report("account home", health.Account("home", fault.New(fault.Auth, "refused again", "check it"), 0)...)
	second := r.List()
	if diff := cmp.Diff([]string{health.CodeAccountAuth}, codes(second)); diff != "" {
		t.Fatal(diff)
	}
	if !second[0].Since.Equal(first[0].Since) {
		t.Errorf("a condition that went on began at %v, now at %v", first[0].Since, second[0].Since)
	}
	if second[0].Text != "account home: refused again" {
		t.Errorf("the text is the old one: %q", second[0].Text)
	}

	r.Report("account home")
	if list := r.List(); len(list) != 0 {
		t.Errorf("left after the clear report: %v", list)
	}
	if got := strings.Count(log.String(), "health condition raised"); got != 2 {
		t.Errorf("%d raised lines, want 2:\n%s", got, &log)
	}
	if got := strings.Count(log.String(), "health condition cleared"); got != 2 {
		t.Errorf("%d cleared lines, want 2:\n%s", got, &log)
	}
}

func TestSourcesAreIndependentAndSorted(t *testing.T) {
	r := health.New(zerolog.Nop(), clock())
	r.Report("config", health.RestartNeeded([]string{"data_dir"}))
	r.Report("account b", health.Account("b", fault.New(fault.Temporary, "no route", ""), 0)...)
	r.Report("account a", health.Account("a", fault.New(fault.Auth, "refused", ""), 0)...)
	r.Report("config")
	want := []string{health.CodeAccountAuth, health.CodeAccountUnreachable}
	if diff := cmp.Diff(want, codes(r.List())); diff != "" {
		t.Error(diff)
	}
}

// What is wrong with a store is one condition, however many accounts meet it.
func TestOneCauseIsOneCondition(t *testing.T) {
	r := health.New(zerolog.Nop(), clock())
	r.Report("user ann", health.Store("ann", fault.New(fault.Temporary, "read-only", ""))...)
	r.Report("account home", health.Store("ann", fault.New(fault.Full, "no space", ""))...)
	r.Report("account work", health.Store("ann", fault.New(fault.Temporary, "read-only", ""))...)
	r.Report("account bob", health.Store("bob", fault.New(fault.Full, "no space", ""))...)
	if diff := cmp.Diff([]string{health.CodeStoreUnwritable, health.CodeStoreFull}, codes(r.List())); diff != "" {
		t.Error(diff)
	}
	r.Report("user ann")
	r.Report("account work")
	if diff := cmp.Diff([]string{health.CodeStoreFull, health.CodeStoreFull}, codes(r.List())); diff != "" {
		t.Errorf("what the other account meets is not over: %s", diff)
	}
}

// refusal is a login that a server has refused with these words.
func refusal(words string) error {
	return fault.Wrap(&pop3.ReplyError{Command: "PASS", Text: words}, fault.Auth, "refused", "")
}

func TestAccountCodes(t *testing.T) {
	tests := []struct {
		err      error
		code     string
		severity health.Severity
	}{
		{fault.New(fault.Auth, "x", ""), health.CodeAccountAuth, health.Error},
		{refusal("POP3 access is disabled"), health.CodeAccountPOPOff, health.Error},
		{refusal("Application-specific password required"), health.CodeAccountAppPassword, health.Error},
		{refusal("Please log in via your web browser"), health.CodeAccountWebLogin, health.Error},
		{refusal("Your account is locked"), health.CodeAccountWebLogin, health.Error},
		{refusal("no"), health.CodeAccountAuth, health.Error},
		{fault.New(fault.Temporary, "x", ""), health.CodeAccountUnreachable, health.Warning},
		{fault.New(fault.Config, "x", ""), health.CodeAccountConfig, health.Error},
		{fault.New(fault.Protocol, "x", ""), health.CodeAccountProtocol, health.Error},
		{fault.New(fault.Full, "x", ""), health.CodeStoreFull, health.Error},
		{fault.New(fault.Corrupt, "x", ""), health.CodeStoreCorrupt, health.Error},
		{errors.New("x"), health.CodeAccountFailed, health.Error},
		{fmt.Errorf("login: %w", health.NewPasswordError(fault.New(fault.Temporary, "x", ""))), health.CodeAccountConfig, health.Error},
		{fault.Wrap(&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, fault.Temporary, "x", ""), health.CodeAccountTLS, health.Error},
		{fault.Wrap(x509.HostnameError{Certificate: &x509.Certificate{}}, fault.Config, "x", ""), health.CodeAccountTLS, health.Error},
		{fmt.Errorf("dial: %w", tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}), health.CodeAccountTLS, health.Error},
		{fmt.Errorf("dial: %w", tls.AlertError(40)), health.CodeAccountTLS, health.Error},
		{fault.Wrap(&net.DNSError{IsNotFound: true}, fault.Config, "x", ""), health.CodeAccountUnreachable, health.Error},
	}
	for _, tt := range tests {
		got := health.Account("home", tt.err, 0)
		if len(got) != 1 || got[0].Code != tt.code || got[0].Severity != tt.severity {
			t.Errorf("Account(%v) = %+v, want %s %s", tt.err, got, tt.severity, tt.code)
		}
	}
	if got := health.Account("home", nil, 0); got != nil {
		t.Errorf("a healthy account gave %v", got)
	}
}

func TestOtherTranslations(t *testing.T) {
	hinted := fault.New(fault.Conflict, "port 1143 is in use", "choose another")
	tests := []struct {
		got  []health.Condition
		code string
	}{
		{health.IMAP(hinted), health.CodeIMAPPortBusy},
		{health.IMAP(errors.New("broken")), health.CodeIMAPFailed},
		{health.Store("ann", fault.New(fault.Full, "no space", "")), health.CodeStoreFull},
		{health.Store("ann", fault.New(fault.Corrupt, "newer schema", "")), health.CodeStoreCorrupt},
		{health.Store("ann", fault.New(fault.Temporary, "read-only", "")), health.CodeStoreUnwritable},
		{health.Store("ann", errors.New("broken")), health.CodeStoreFailed},
		{[]health.Condition{health.DeletesUnconfirmed("home", 3, "show", "allow")}, health.CodeDeletesUnconfirmed},
		{[]health.Condition{health.ConfigInvalid(errors.New("line 3"), "check")}, health.CodeConfigInvalid},
		{[]health.Condition{health.ConfigWatch(errors.New("gone"))}, health.CodeConfigUnwatched},
		{[]health.Condition{health.Control(errors.New("gone"))}, health.CodeControlFailed},
		{[]health.Condition{health.DataExposed("open", "close it")}, health.CodeDataExposed},
		{[]health.Condition{health.NotRunning("", 0, "run")}, health.CodeNotRunning},
	}
	for _, tt := range tests {
		if len(tt.got) != 1 || tt.got[0].Code != tt.code || tt.got[0].Text == "" {
			t.Errorf("got %+v, want code %s", tt.got, tt.code)
		}
	}
	if health.IMAP(nil) != nil || health.Store("ann", nil) != nil {
		t.Error("no error must give no condition")
	}
	if got := health.IMAP(hinted)[0].Hint; got != "choose another" {
		t.Errorf("hint %q", got)
	}
}

// What keeps an account from sending is an error for the same reasons as for fetching.
func TestSeverityOfSending(t *testing.T) {
	for _, tt := range []struct {
		err      error
		code     string
		severity health.Severity
	}{
		{fault.New(fault.Temporary, "busy", ""), health.CodeSendFailed, health.Warning},
		{fault.New(fault.Config, "this is an IMAP server", ""), health.CodeSendFailed, health.Error},
		{health.NewPasswordError(fault.New(fault.Temporary, "no keychain", "")), health.CodeSendFailed, health.Error},
		{fault.New(fault.Auth, "refused", ""), health.CodeSendAuth, health.Error},
		{health.NewSignInNeeded(fault.New(fault.Auth, "revoked", ""), "ann", true, true), health.CodeSignInNeeded, health.Error},
	} {
		got := health.Sending("home", "me", tt.err, "")
		if len(got) != 1 || got[0].Code != tt.code || got[0].Severity != tt.severity || !got[0].StopsSending() {
			t.Errorf("%v: %+v", tt.err, got)
		}
	}
	if hint := health.SentRefused("home", "me", 1, 1, "list", "outbox retry ID").Hint; !strings.Contains(hint, "`outbox retry ID` tries again") {
		t.Error(hint)
	}
	for reported, want := range []string{"could not be sent", "could not be sent; a report of 1 of them is in INBOX", "could not be sent; a report is in INBOX"} {
		if text := health.SentRefused("home", "me", 2, reported, "list", "retry").Text; text != "account home: 2 messages "+want {
			t.Error(text)
		}
	}
	for _, c := range []health.Condition{health.SentRefused("home", "me", 1, 1, "list", "outbox retry ID"), health.SentUnknown("home", "me", 1, "list")} {
		if c.StopsSending() {
			t.Errorf("%s stops no other message", c.Code)
		}
	}
}
