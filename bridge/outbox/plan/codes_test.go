package plan

import (
	"fmt"
	"testing"

	"github.com/popbridge/popbridge/bridge/smtp"
)

// What each reply means, by the command that it answers: MAIL, RCPT, DATA, and the
// final dot.
func TestJudge(t *testing.T) {
	const (
		L = later
		A = accepted
		R = refused
		C = crowded
		G = login
		B = busy
		Q = quota
		U = unknown
	)
	tests := []struct {
		reply string // code, enhanced code, words
		want  [4]verdict
	}{
		// RFC 5321 section 4.2.3 and 4.3.2
		{"211 - status", [4]verdict{L, A, L, A}},
		{"250 2.1.0 ok", [4]verdict{L, A, L, A}},
		{"250 - ok", [4]verdict{L, A, L, A}},
		{"251 2.1.5 will forward", [4]verdict{L, A, L, A}},
		{"252 2.1.5 cannot verify", [4]verdict{L, A, L, A}},
		{"354 - go ahead", [4]verdict{L, L, L, U}},
		{"334 - more", [4]verdict{L, L, L, U}},
		{"421 4.3.2 closing", [4]verdict{L, L, L, L}},
		{"421 4.7.0 try again later", [4]verdict{L, L, L, L}},
		{"421 - closing", [4]verdict{L, L, L, L}},
		{"450 4.2.1 mailbox busy", [4]verdict{L, L, L, L}},
		{"450 - busy", [4]verdict{L, L, L, L}},
		{"451 4.7.1 greylisted", [4]verdict{L, L, L, L}},
		{"451 - local error", [4]verdict{L, L, L, L}},
		{"452 4.5.3 too many recipients", [4]verdict{L, C, L, L}},
		{"452 4.3.1 no storage", [4]verdict{L, C, L, L}},
		{"452 - too many", [4]verdict{L, C, L, L}},
		{"455 - parameters", [4]verdict{L, L, L, L}},
		{"471 - local", [4]verdict{L, L, L, L}},
		{"499 - ?", [4]verdict{L, L, L, L}},
		{"500 5.5.2 syntax", [4]verdict{R, R, R, R}},
		{"501 5.1.7 bad sender", [4]verdict{R, R, R, R}},
		{"502 5.5.1 not implemented", [4]verdict{R, R, R, R}},
		{"503 5.5.1 bad sequence", [4]verdict{L, L, L, L}},
		{"503 - Recipient already specified", [4]verdict{L, L, L, L}},
		{"504 - parameter", [4]verdict{R, R, R, R}},
		{"521 5.3.2 no mail here", [4]verdict{R, R, R, R}},
		{"523 5.3.4 too large", [4]verdict{R, R, R, R}},
		{"541 5.7.1 spam", [4]verdict{R, R, R, R}},
		{"550 5.1.1 no such user", [4]verdict{R, R, R, R}},
		{"550 5.6.7 no SMTPUTF8", [4]verdict{R, R, R, R}},
		{"550 5.7.1 relaying denied", [4]verdict{R, R, R, R}},
		{"550 5.7.60 no permission to send as this sender", [4]verdict{R, R, R, R}},
		{"550 - no", [4]verdict{R, R, R, R}},
		{"551 - not local", [4]verdict{R, R, R, R}},
		{"552 5.2.2 mailbox full", [4]verdict{R, L, R, R}},
		{"452 4.2.2 mailbox full", [4]verdict{L, L, L, L}},
		{"552 - too many recipients", [4]verdict{R, C, R, R}},
		{"552 5.5.3 too many recipients", [4]verdict{R, C, R, R}},
		{"552 5.2.3 too large for the mailbox", [4]verdict{R, R, R, R}},
		{"552 5.3.4 too large", [4]verdict{R, R, R, R}},
		{"552 5.7.0 blocked content", [4]verdict{R, R, R, R}},
		{"553 5.1.3 bad address", [4]verdict{R, R, R, R}},
		{"554 5.7.1 rejected", [4]verdict{R, R, R, R}},
		{"554 - transaction failed", [4]verdict{R, R, R, R}},
		{"554 5.2.252 SendAsDenied", [4]verdict{R, R, R, R}},
		{"555 5.5.4 parameters", [4]verdict{R, R, R, R}},
		{"556 5.1.10 null MX", [4]verdict{R, R, R, R}},
		{"571 5.7.1 blocked", [4]verdict{R, R, R, R}},

		// RFC 4954 section 6: the login, at whatever command
		{"432 4.7.12 password transition", [4]verdict{B, B, B, B}},
		{"432 4.3.2 concurrent connections exceeded", [4]verdict{B, B, B, B}},
		{"454 4.7.0 temporary authentication failure", [4]verdict{B, B, B, B}},
		{"454 - TLS not available", [4]verdict{B, B, B, B}},
		{"454 4.7.1 relay access denied", [4]verdict{L, L, L, L}},
		{"530 5.7.0 authentication required", [4]verdict{G, G, G, G}},
		{"530 - log in", [4]verdict{G, G, G, G}},
		{"534 5.7.9 mechanism too weak", [4]verdict{G, G, G, G}},
		{"535 5.7.8 credentials invalid", [4]verdict{G, G, G, G}},
		{"535 5.7.139 SMTP AUTH is off", [4]verdict{G, G, G, G}},
		{"535 5.7.3 unsuccessful", [4]verdict{G, G, G, G}},
		{"538 5.7.11 encryption required", [4]verdict{G, G, G, G}},

		// daily limits
		{"550 5.4.5 Daily user sending limit exceeded", [4]verdict{Q, Q, Q, Q}},
		{"550 5.1.90 daily limit for recipients", [4]verdict{Q, Q, Q, Q}},
		{"554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException", [4]verdict{Q, Q, Q, Q}},
		{"550 Domain example.org has exceeded the max emails per hour (101/100 (101%)) allowed. Message discarded.", [4]verdict{Q, Q, Q, Q}},
		{"554 Hourly sending limit reached", [4]verdict{Q, Q, Q, Q}},
		{"550 5.7.1 You have reached your daily quota of messages", [4]verdict{Q, Q, Q, Q}},
		{"552 5.2.2 You have exceeded the limit of mails per hour", [4]verdict{Q, Q, Q, Q}},
		{"550 5.7.1 daily sending limit exceeded", [4]verdict{Q, Q, Q, Q}},
		{"550 5.2.2 recipient has exceeded the daily limit of messages", [4]verdict{R, R, R, R}},
		{"552 5.3.4 message size exceeds the maximum for outgoing mail", [4]verdict{R, R, R, R}},
		{"550 5.7.1 sending from this address is not allowed", [4]verdict{R, R, R, R}},
		{"554 5.2.0 mailbox over quota", [4]verdict{R, R, R, R}},
		{"554 5.2.0 other exception", [4]verdict{R, R, R, R}},
		{"554 5.4.5 congestion", [4]verdict{R, R, R, R}},
		{"450 4.4.5 congestion", [4]verdict{L, L, L, L}},
	}
	for _, tt := range tests {
		r := reply(t, tt.reply)
		for i, at := range []step{atMail, atRcpt, atData, atDot} {
			if got := judge(at, r); got != tt.want[i] {
				t.Errorf("%s at step %d: verdict %d, want %d", tt.reply, i, got, tt.want[i])
			}
		}
	}
}

// Whatever a server answers, only a 2yz to RCPT or the dot is taken for a yes, and
// only a 5yz for a no.
func TestJudgeEveryCode(t *testing.T) {
	for code := range 1000 {
		for _, at := range []step{atMail, atRcpt, atData, atDot} {
			v := judge(at, smtp.Reply{Code: code})
			yes := code/100 == 2 && (at == atRcpt || at == atDot)
			if (v == accepted) != yes || v == refused && code/100 != 5 || v == unknown && at != atDot {
				t.Errorf("%d at step %d: verdict %d", code, at, v)
			}
		}
	}
}

// reply makes a reply of its code, its enhanced code or "-", and its words.
func reply(t testing.TB, s string) (r smtp.Reply) {
	t.Helper()
	if s == "" {
		return r
	}
	if _, err := fmt.Sscanf(s, "%d %s", &r.Code, &r.Enhanced); err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	r.Text = s[len(fmt.Sprintf("%d %s ", r.Code, r.Enhanced)):]
	if r.Enhanced == "-" {
		r.Enhanced = ""
	}
	return r
}
