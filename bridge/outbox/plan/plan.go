// Package plan decides what follows from a transaction with an SMTP server: for
// each recipient, for the message, and for the account. It is pure: no network, no
// store, no clock.
//
// What always holds:
//
//   - A recipient is Accepted only by a 2yz reply to the final dot, after a 2yz
//     reply to RCPT, and is never tried again then.
//   - When the final dot was written and its answer is not known (RFC 1047), the
//     attempt is Unknown, whatever else is known of it.
//   - Trouble of the account costs no message an attempt and refuses no recipient. What
//     looks like it is that of a recipient, or a message, where the account sends to
//     others meanwhile.
package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/popbridge/popbridge/bridge/smtp"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// Try is a transaction, and what came of it.
type Try struct {
	Message *mailstore.Outgoing
	To      []string // the recipients it was for
	Outcome smtp.Outcome
	Err     error // of the transaction as a whole; nil where the final dot was answered, or no recipient taken
	Never   bool  // Err says that the message cannot be sent by this server at all
	Alone   bool  // the server has taken other messages since this one met trouble of the account
	Now     time.Time
	Rand    float64 // in [0,1)
}

// Decision is what follows from a Try.
type Decision struct {
	Attempt mailstore.Attempt
	Account Trouble // what keeps the other messages of the account, too
	Why     string  // in the server's words, with Account
	Refused []mailstore.OutgoingRecipient
	Delayed bool          // it is late enough to tell a person, once, that the message is still here
	TooFast bool          // the server wants fewer messages in a time, with Account
	Took    int           // of too many recipients; 0: they were not
	Wait    time.Duration // as long as the server says, with Account; 0: it does not say
	Stalled bool          // the server or the connection broke off, so that other messages may not fare better

	Answered bool // the final dot was
}

// Decide turns what the server said into what becomes of the message.
func Decide(t Try) Decision {
	o := outcome{try: &t}
	for i, address := range t.To {
		o.add(address, i)
	}
	for _, r := range t.Message.Recipients {
		if r.State == mailstore.Pending && !slices.Contains(t.To, r.Address) {
			o.untried = o.untried || r.Reply == ""
			o.pending = append(o.pending, mailstore.OutgoingRecipient{Address: r.Address, State: mailstore.Pending})
		}
	}
	d := Decision{Account: o.account, Why: o.why, Wait: o.wait, TooFast: o.tooFast, Answered: t.Outcome.Final.Code != 0 && !o.unknown}
	if o.tooMany {
		d.Took = t.took()
	}
	d.Attempt = mailstore.Attempt{Recipients: o.settled, Counts: o.account == None && (t.Never || t.Outcome.Phase > smtp.Connected)}
	switch {
	case o.unknown:
		// A person decides about those that were offered the message. It leaves for
		// the others after that.
		d.Attempt.Unknown, d.Attempt.Counts, d.Stalled = true, true, true
		o.keep(&d)
	case len(o.pending) > 0:
		o.retry(&d)
	}
	d.Attempt.Error = o.text()
	for _, r := range d.Attempt.Recipients {
		if r.State == mailstore.Refused {
			d.Refused = append(d.Refused, r)
		}
	}
	return d
}

// retry says when what is still pending is tried again, or gives it up.
func (o *outcome) retry(d *Decision) {
	t, n := o.try, o.try.Message.Attempts+1
	d.Stalled = o.whole && o.account == None
	if d.Attempt.Counts && n >= giveUpTries && !t.Message.FirstTry.IsZero() && t.Now.Sub(t.Message.FirstTry) >= giveUpAfter {
		o.giveUp(d, "given up after five days")
		return
	}
	o.keep(d)
	notice := t.Message.FirstTry.Add(noticeAfter) // when a person is told; there is an attempt then
	d.Delayed = d.Attempt.Counts && !t.Message.FirstTry.IsZero() && !t.Now.Before(notice)
	switch {
	case o.account != None: // which rests, not the message
		d.Attempt.Next = t.Now
	case !o.whole && (o.untried || o.crowded && o.accepted): // for the rest
		d.Attempt.Next = t.Now
	default:
		d.Attempt.Next = t.Now.Add(Retry(n, t.Rand))
		if t.Now.Before(notice) && d.Attempt.Next.After(notice) {
			d.Attempt.Next = notice
		}
	}
}

// keep notes what was said to those that stay pending.
func (o *outcome) keep(d *Decision) {
	for _, r := range o.pending {
		if r.Reply != "" {
			d.Attempt.Recipients = append(d.Attempt.Recipients, r)
		}
	}
}

func (o *outcome) giveUp(d *Decision, why string) {
	for _, r := range o.pending {
		r.State = mailstore.Refused
		r.Reply = strings.TrimSuffix(why+": "+r.Reply, ": ")
		d.Attempt.Recipients = append(d.Attempt.Recipients, r)
	}
}

// outcome is what is known of the recipients of a try.
type outcome struct {
	try     *Try
	settled []mailstore.OutgoingRecipient // accepted or refused
	pending []mailstore.OutgoingRecipient // the others, with what was said to them now
	untried bool                          // of some that the transaction was not for, no server has said anything
	reasons []string
	all     string // the reason for all of them

	accepted, crowded, unknown bool
	whole                      bool // something is pending because of the transaction, not of a recipient
	account                    Trouble
	why                        string
	wait                       time.Duration
	tooFast, tooMany           bool
}

// add judges the i-th recipient.
func (o *outcome) add(address string, i int) {
	v, reply, whole := o.try.verdict(i)
	r := mailstore.OutgoingRecipient{Address: address, State: mailstore.Pending, Reply: said(reply)}
	switch v {
	case unknown:
		o.unknown = true
		return
	case accepted:
		o.accepted, r.State = true, mailstore.Accepted
		o.settled = append(o.settled, r)
		return
	case refused:
		r.State = mailstore.Refused
		if r.Reply == "" {
			r.Reply = o.try.Err.Error()
		}
		o.settled = append(o.settled, r)
	case login:
		o.trouble(Barred, reply, whole)
	case busy:
		o.trouble(Busy, reply, whole)
		o.tooFast = o.tooFast || isRate(reply)
	case quota:
		o.trouble(Quota, reply, whole)
	case crowded:
		o.crowded = true
		o.tooMany = o.tooMany || strings.HasSuffix(reply.Enhanced, ".5.3") // RFC 3463, X.5.3: too many recipients
		if o.try.took() > 0 {
			r.Reply = "" // it is about the others, and this one comes next
		}
	}
	if v != refused {
		o.pending = append(o.pending, r)
		o.whole = o.whole || whole
	}
	switch {
	case reply.Code != 0 && whole:
		o.all = "the server answered " + said(reply)
	case reply.Code != 0:
		o.reasons = append(o.reasons, fmt.Sprintf("%s: the server answered %s", address, said(reply)))
	}
}

// trouble notes trouble of the account. How long to wait counts only where it was not said of
// one recipient, or is a limit.
func (o *outcome) trouble(t Trouble, r smtp.Reply, whole bool) {
	if t <= o.account {
		return
	}
	o.account, o.why, o.wait = t, said(r), 0
	if whole || t == Quota {
		o.wait = Wait(r)
	}
}

// took is of how many recipients the server said that it takes them.
func (t *Try) took() (n int) {
	for _, r := range t.Outcome.Recipients {
		if r.Positive() {
			n++
		}
	}
	return n
}

// verdict judges the i-th recipient.
func (t *Try) verdict(i int) (v verdict, reply smtp.Reply, whole bool) {
	v, reply, whole = t.byReply(i)
	sent := func(r mailstore.OutgoingRecipient) bool { return r.State == mailstore.Accepted }
	switch {
	case !whole && t.took() > 0:
		v = v.aboutOne(true)
	case t.Alone, !whole && v != quota && slices.ContainsFunc(t.Message.Recipients, sent): // a day's limit comes in the middle
		one := v.aboutOne(false)
		return one, reply, whole || one != v // that nobody else met it is no proof that all is well
	}
	return v, reply, whole
}

// byReply judges the i-th recipient: by the reply to its RCPT, and where that was
// taken, or none came, by what came of the transaction as a whole.
func (t *Try) byReply(i int) (v verdict, reply smtp.Reply, whole bool) {
	failed, isReply := errors.AsType[*smtp.ReplyError](t.Err)
	isReply = isReply && t.Outcome.Phase > smtp.Connected     // else it is that of another transaction
	if isReply && strings.HasPrefix(failed.Command, "MAIL") { // what RCPT was answered then, means nothing
		return judge(atMail, failed.Reply), failed.Reply, true
	}
	var rcpt smtp.Reply
	if i < len(t.Outcome.Recipients) {
		rcpt = t.Outcome.Recipients[i]
	}
	if rcpt.Code != 0 {
		if v := judge(atRcpt, rcpt); v != accepted {
			return v, rcpt, rcpt.Code == 421
		}
	}
	switch {
	case t.Never:
		return refused, smtp.Reply{}, true
	case rcpt.Code == 0:
		return later, smtp.Reply{}, true
	case t.Outcome.Final.Code != 0:
		return judge(atDot, t.Outcome.Final), t.Outcome.Final, true
	case t.Outcome.Phase >= smtp.AfterDot:
		return unknown, smtp.Reply{}, true
	case isReply && !strings.HasPrefix(failed.Command, "RCPT"):
		return judge(atData, failed.Reply), failed.Reply, true
	}
	return later, smtp.Reply{}, true
}

// maxReasons is the number of recipients that the error of an attempt names.
const maxReasons = 3

// text is what a person reads of the attempt.
func (o *outcome) text() string {
	reasons := o.reasons
	if more := len(reasons) - maxReasons; more > 0 {
		reasons = append(slices.Clone(reasons[:maxReasons]), fmt.Sprintf("%d more", more))
	}
	if o.all != "" {
		reasons = append(slices.Clone(reasons), o.all)
	}
	switch {
	case o.unknown:
		return "the message was handed over, but the answer of the server is not known"
	case len(reasons) > 0:
		return strings.Join(reasons, "; ")
	case o.try.Err != nil:
		return o.try.Err.Error()
	}
	return ""
}
