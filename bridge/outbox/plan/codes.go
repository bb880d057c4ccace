package plan

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/popbridge/popbridge/bridge/smtp"
)

// step is the command that a reply answers.
type step uint8

const (
	atMail step = iota
	atRcpt
	atData
	atDot
)

// verdict is what a reply means for the recipients it is about.
type verdict uint8

const (
	later verdict = iota
	accepted
	refused
	crowded // the server takes no more recipients in this transaction
	unknown // no one knows whether the server has taken the message
	login   // this and the next two are about the account, not the message
	busy
	quota
)

// loginCodes say that the login is missing, refused or not strong enough
// (RFC 4954 sections 6 and 4.1).
var loginCodes = []int{530, 534, 535, 538}

// judge says what a reply to a step means. It goes by the code, and by the
// enhanced code (RFC 3463) and the words only where large providers use a code
// for something else.
func judge(at step, r smtp.Reply) verdict {
	switch {
	case r.Code/100 == 2 && (at == atRcpt || at == atDot):
		return accepted
	case slices.Contains(loginCodes, r.Code):
		return login
	case isBusy(r):
		return busy
	case isQuota(r):
		return quota
	case at == atRcpt && r.Code == 452, at == atRcpt && r.Code == 552 && !aboutMessage(r):
		// RFC 5321 section 4.5.3.1.10: 552 is an old form of 452.
		if len(r.Enhanced) > 3 && r.Enhanced[1:4] == ".2." { // the mailbox is full (RFC 3463, X.2)
			return later
		}
		return crowded
	case r.Code == 503: // bad sequence of commands, which no message is to blame for
		return later
	case r.Code/100 == 4:
		return later
	case r.Code/100 == 5:
		return refused
	case at == atDot: // not a reply that RFC 5321 section 4.3.2 has there
		return unknown
	}
	return later
}

// isBusy finds replies that ask the account, not the message, to come back
// later: too many connections at Exchange Online (432 4.3.2), and a login
// service that is down (454 4.7.0, RFC 4954 section 6).
func isBusy(r smtp.Reply) bool {
	return isRate(r) || r.Code == 454 && (r.Enhanced == "4.7.0" || r.Enhanced == "")
}

// isRate finds replies that ask for fewer messages in a time: 432 4.3.2 of Exchange Online
// (30 messages a minute, three connections), and those of a policy (RFC 3463, X.7) that say
// so. Others of that kind are about the message or the recipient, such as greylisting.
func isRate(r smtp.Reply) bool {
	return r.Code == 432 || r.Code/10 == 45 && strings.HasPrefix(r.Enhanced, "4.7.") && rateWords.MatchString(r.Text) ||
		r.Code == 421 && rateWords.MatchString(r.Text)
}

var rateWords = regexp.MustCompile(`(?i)\brate\b|ratelimit|throttl|too (many|fast|quickly)|limit exceeded|exceeded .*limit`)

// What a limit of sending is of, and that it is one, as cPanel, Plesk and others have it; and
// what is one of the message, or of who should have it.
var (
	limitOf    = regexp.MustCompile(`(?i)\b(daily|hourly|per (hour|day)|(an?|each) (hour|day)|sending|outgoing)\b`)
	limitWords = regexp.MustCompile(`(?i)\b(limits?|quota|exceed(s|ed|ing)?|maximum|max)\b`)
	ofAnother  = regexp.MustCompile(`(?i)\b(recipient|mailbox|size|large|attachments?)\b`)
	hourly     = regexp.MustCompile(`(?i)\b(hourly|per hour|(an|each) hour)\b`)
)

// waits find how long a server says that it wants to be left alone.
var waits = regexp.MustCompile(`(?i)\b(?:again|after|retry|wait)\b[^0-9.;]{0,20}\b(\d{1,6}) ?(s|sec|seconds?|m|min|minutes?|h|hours?)\b`)

// Wait is how long a reply asks to wait, at most a day; after a limit of an hour that long; 0:
// it does not say.
func Wait(r smtp.Reply) time.Duration {
	found := waits.FindStringSubmatch(r.Text)
	switch {
	case found == nil && isQuota(r) && hourly.MatchString(r.Text):
		return time.Hour
	case found == nil:
		return 0
	}
	n, _ := strconv.Atoi(found[1]) // six digits
	unit := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour}[found[2][0]|0x20]
	return min(time.Duration(n)*unit, quotaFor)
}

// isQuota finds limits of what an account sends in an hour or a day, which come as refusals
// for good: Gmail has 550 5.4.5, Exchange Online 554 5.2.0 with the name of an
// exception, or 550 5.1.90, others say so in words.
func isQuota(r smtp.Reply) bool {
	if r.Code/100 == 5 && limitOf.MatchString(r.Text) && limitWords.MatchString(r.Text) && !ofAnother.MatchString(r.Text) {
		return true
	}
	switch r.Enhanced {
	case "5.4.5", "5.1.90":
		return r.Code == 550
	case "5.2.0": // the quota of a mailbox is not it
		return r.Code == 554 && strings.Contains(strings.ToLower(r.Text), "submissionquota")
	}
	return false
}

// aboutOne is what a verdict about the account means of a recipient, or a message, where
// the account sends to others: a refusal where the server took others in the same
// transaction.
func (v verdict) aboutOne(same bool) verdict {
	switch {
	case v == login && same:
		return refused
	case v == login || v == busy || v == quota:
		return later
	}
	return v
}

// aboutMessage reports whether a 552 to RCPT is about the message itself: too
// large (RFC 3463, X.2.3 and X.3.4), its content (X.6) or a policy (X.7).
func aboutMessage(r smtp.Reply) bool {
	return r.Enhanced == "5.2.3" || r.Enhanced == "5.3.4" ||
		strings.HasPrefix(r.Enhanced, "5.6.") || strings.HasPrefix(r.Enhanced, "5.7.")
}

// said is a reply as a person reads it, empty where none came.
func said(r smtp.Reply) string {
	if r.Code == 0 {
		return ""
	}
	return r.String()
}
