package bridge

import (
	"encoding/json"
	"time"

	"github.com/popbridge/popbridge/bridge/plan"
	"github.com/popbridge/popbridge/internal/mailstore"
)

const (
	memoryVersion  = 1
	maxNotedID     = 300 // bytes of a UIDL; a longer one is tried again at once
	maxNotedReason = 200
	refusedFactor  = 1.5 // what the interval is raised by after a refusal
	leastLearned   = time.Minute
	mostLearned    = 2 * time.Hour
	lowerAfter     = 7 * 24 * time.Hour // without a refusal, before a shorter interval is tried
	lowerFactor    = 0.9
)

// memory is what a runner knows from earlier polls. Only the holder of the turn
// (Runner.takeTurn) accesses it.
type memory struct {
	loaded       bool
	state        mailstore.AccountState
	pollState    pollState // what of this is remembered over a restart
	failures     int       // polls in a row
	problems     problems
	suspects     map[problemID]bool // messages of the batch that the store did not take
	unconfirmed  int                // deletions the last QUIT did not confirm
	contentMode  bool               // the server gives no UIDL
	noPipelining bool
	bareLF       bool                    // the server ends lines with a bare LF
	tryCheck     bool                    // the answer to a check was wrong: see learnCheck
	careful      map[problemID]bool      // messages to ask for alone: it was not clear which was not whole
	doubting     bool                    // some row was in doubt in this poll
	doubts       []mailstore.LedgerEntry // rows on the server that may not be whole
	pollSoon     bool                    // more mail waits: poll as soon as the interval allows
	refusedIDs   map[problemID]bool      // deletions that the server has refused; nil: not known
	trial        string                  // a command that the next session goes without
	lostAt       string                  // the command at which the last one hung up before the listing
	lastLogged   string
	unchanged    unchanged
}

// pollState is what is remembered of an account over a restart, as JSON in
// mailstore.AccountState.Memory. Times are Unix seconds, durations seconds.
type pollState struct {
	Version int `json:"v"`
	// New tells that no poll has gone through since the account was made. It is
	// not so when the rest was lost with the index.
	New bool `json:"new,omitempty"`
	// Held tells that nothing may be deleted before Confirm, whatever the policy:
	// the store was new to an account that is not.
	Held bool `json:"held,omitempty"`
	// Mailbox is where it is polled, so that it is known under another name.
	Mailbox string `json:"mailbox,omitempty"`
	// Confirmed is the policy under which deletions may be made.
	Confirmed plan.Permit `json:"confirmed"`
	Refusals  int         `json:"refusals,omitempty"`   // of the password, in a row
	HangUps   int         `json:"hang_ups,omitempty"`   // at the password, in a row
	RefusedAt int64       `json:"refused_at,omitempty"` // the last of them
	LastLogin int64       `json:"last_login,omitempty"`
	Delay     int64       `json:"delay,omitempty"`      // LOGIN-DELAY as announced
	Learned   int64       `json:"learned,omitempty"`    // least interval, learned from refusals
	LearnedAt int64       `json:"learned_at,omitempty"` // when it was last changed
	Expire    string      `json:"expire,omitempty"`     // how long the server keeps mail, in words
	Awaiting  int         `json:"awaiting,omitempty"`   // deletions that wait for Confirm
	Issues    []note      `json:"problems,omitempty"`
	// What is to be deleted next, the first of it by name, under which policy.
	Due       []dueNote    `json:"due,omitempty"`
	DueTotal  int          `json:"due_total,omitempty"`
	DuePolicy string       `json:"due_policy,omitempty"`
	Anchor    *plan.Anchor `json:"anchor,omitempty"`
	// Relists tells that the server goes on listing what it has confirmed as
	// deleted, so that no id of these is used again.
	Relists bool `json:"relists,omitempty"`
	plan.IDs
	Undeleted undeleted `json:"undeleted"`
	Unstuffed bool      `json:"unstuffed,omitempty"` // the server does not byte-stuff
	// Without are commands at which the server hangs up, or that it does not answer
	// as it should.
	Without   []string `json:"without,omitempty"`
	WithoutAt int64    `json:"without_at,omitempty"`
}

// note is a message that could not be fetched.
type note struct {
	UIDL     []byte `json:"uidl,omitempty"` // any bytes, so base64
	Num      int    `json:"num"`
	Size     int64  `json:"size"`
	Reason   string `json:"reason"`
	Attempts int    `json:"attempts"`
	Next     int64  `json:"next"`
	Limit    int64  `json:"limit,omitempty"` // see Problem.Limit
}

// dueNote is a message that is to be deleted on the server.
type dueNote struct {
	UIDL     []byte `json:"uidl,omitempty"` // cut to maxNotedID
	Size     int64  `json:"size"`
	Hash     []byte `json:"hash"`
	StoredAt int64  `json:"stored_at"`
	Reason   string `json:"reason"`
}

func (d PreviewDelete) note() dueNote {
	return dueNote{UIDL: []byte(d.UIDL[:min(len(d.UIDL), maxNotedID)]), Size: d.Size, Hash: d.Hash[:], StoredAt: d.StoredAt.Unix(), Reason: d.Reason}
}

// due is what noteDue has written down, as far as it is named, unless the
// policy has changed since.
func (n *pollState) due(policy string) (list []PreviewDelete, total int) {
	if n.DuePolicy != policy {
		return nil, 0
	}
	for _, d := range n.Due[:min(len(n.Due), maxShownDeletes)] {
		e := PreviewDelete{UIDL: string(d.UIDL), Size: d.Size, StoredAt: time.Unix(d.StoredAt, 0), Reason: d.Reason}
		copy(e.Hash[:], d.Hash)
		list = append(list, e)
	}
	return list, n.DueTotal
}

// decodePollState reads what an earlier run has written. What cannot be read is as if
// nothing were known, so that nothing is deleted without being confirmed.
func decodePollState(text string) pollState {
	var n pollState
	if json.Unmarshal([]byte(text), &n) != nil || n.Version != memoryVersion {
		return pollState{}
	}
	return n
}

func (n pollState) text() string {
	n.Version = memoryVersion
	data, err := json.Marshal(n)
	if err != nil { // no field can cause one
		return ""
	}
	return string(data)
}

// floor is the least time between two logins.
func (n *pollState) floor() time.Duration {
	return time.Duration(max(n.Delay, n.Learned)) * time.Second
}

// raise learns from a refusal that the logins came too soon.
func (n *pollState) raise(since, every time.Duration, now time.Time) {
	if since < 0 || since > mostLearned {
		since = min(every, mostLearned) // after a long pause, or a jump of the clock
	}
	tried := max(since, time.Duration(n.Learned)*time.Second)
	longer := min(max(time.Duration(float64(tried)*refusedFactor), leastLearned), mostLearned)
	n.Learned, n.LearnedAt = int64(longer/time.Second), now.Unix()
}

// lower tries a shorter interval when there was no refusal for long.
func (n *pollState) lower(now time.Time) {
	if n.Learned == 0 || now.Sub(time.Unix(n.LearnedAt, 0)) < lowerAfter {
		return
	}
	n.Learned, n.LearnedAt = int64(float64(n.Learned)*lowerFactor), now.Unix()
	if time.Duration(n.Learned)*time.Second < leastLearned {
		n.Learned = 0
	}
}

// note writes down the problems that are shown.
func (p *problems) note() (out []note) {
	for _, q := range p.list() {
		if len(q.UIDL) <= maxNotedID {
			out = append(out, note{
				UIDL: []byte(q.UIDL), Num: q.Num, Size: q.Size, Attempts: q.Attempts, Next: q.NextTry.Unix(), Limit: q.Limit,
				Reason: q.Reason[:min(len(q.Reason), maxNotedReason)],
			})
		}
	}
	return out
}

// restore takes over the problems of an earlier run, except those of messages that
// are not over limit any more.
func (p *problems) restore(list []note, limit int64) {
	p.byID = make(map[problemID]Problem, len(list))
	for _, q := range list[:min(len(list), maxShownProblems)] {
		if q.Limit > 0 && (limit > q.Limit || limit == 0) {
			continue
		}
		l := plan.Listed{Num: q.Num, Size: q.Size, UIDL: string(q.UIDL)}
		p.byID[idOf(l)] = Problem{Num: q.Num, UIDL: l.UIDL, Size: q.Size, Reason: q.Reason, Attempts: q.Attempts, NextTry: time.Unix(q.Next, 0), Limit: q.Limit}
	}
}
