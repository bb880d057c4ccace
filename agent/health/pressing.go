package health

import (
	"strings"
	"time"
)

// A telling says how a person is told of a condition where they look, in their
// mail program: by a message in INBOX and an alert at login.
type telling struct {
	after time.Duration // since the condition began
	// lasting is a condition that a person has brought about and that does not go by
	// itself: each time is a case of its own. Others come and go, and give a message
	// again only after they have been over for a while.
	lasting bool
	// quiet tells that there is the alert only.
	quiet bool
}

// pressing is the telling of each condition: at once where it takes a person to end
// it, otherwise when mail has not flowed for a while. Conditions that are not named
// here are for `popbridge status` only. docs/troubleshooting.md has the same table.
var pressing = map[string]telling{
	CodeAccountAuth:        {},
	CodeAccountPOPOff:      {},
	CodeAccountAppPassword: {},
	CodeAccountWebLogin:    {},
	CodeAccountTLS:         {},
	CodeAccountConfig:      {},
	CodeSendAuth:           {},
	CodeSignInNeeded:       {after: 10 * time.Minute},    // not while a person does it
	CodeSentUnknown:        {lasting: true, quiet: true}, // bridge/outbox has a message for each
	CodeSendNoAccount:      {lasting: true},
	CodeSendHeld:           {lasting: true},
	CodeStoreFull:          {},
	CodeStoreUnwritable:    {},
	CodeStoreFailed:        {},
	codeStoreMissing:       {},
	CodeAccountUserChanged: {lasting: true, quiet: true},
	CodeUserWithoutAccount: {lasting: true},
	CodeDeletesUnconfirmed: {lasting: true},
	codeMessagesIncomplete: {lasting: true},
	CodeStoreCorrupt:       {lasting: true},
	codeStoreNew:           {lasting: true},
	CodeStorePutBack:       {lasting: true},
	CodeMessagesDamaged:    {lasting: true},
	CodeLANNewDevice:       {lasting: true},
	CodeConfigInvalid:      {after: 10 * time.Minute, lasting: true}, // not while the file is edited
	codeRestartNeeded:      {after: time.Hour, lasting: true},
	CodeAccountUnreachable: {after: time.Hour},
	CodeAccountProtocol:    {after: time.Hour},
	CodeAccountFailed:      {after: time.Hour},
	CodeAccountMessages:    {after: time.Hour},
	codeDeletesRefused:     {after: time.Hour},
	codeStateFailed:        {after: time.Hour},
}

// Pressing reports whether the user of a condition is to be told of it now.
func (c Condition) Pressing(now time.Time) bool {
	t, named := pressing[c.Code]
	return named && c.User != "" && (t.after == 0 || now.Sub(c.Since) >= t.after)
}

// Quiet reports whether no message may tell of the condition.
func (c Condition) Quiet() bool { return pressing[c.Code].quiet }

// Key names a condition of a user over restarts.
func (c Condition) Key() string {
	if c.Cause != "" {
		return c.Code + ", " + c.Cause
	}
	return c.Code + ", " + c.Source
}

// Lasting reports whether the condition with this key is told again as soon as it
// comes back.
func Lasting(key string) bool {
	code, _, _ := strings.Cut(key, ", ")
	return pressing[code].lasting
}
