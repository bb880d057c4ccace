package health

import "time"

// pressing says after what time a person is told of a condition where they look,
// in their mail program: at once where it takes a person to end it, otherwise
// when mail has not flowed for a while. Conditions that are not named here are
// for `popbridge status` only.
var pressing = map[string]time.Duration{
	CodeAccountAuth:        0,
	CodeAccountTLS:         0,
	CodeAccountConfig:      0,
	CodeAccountUserChanged: 0,
	CodeUserWithoutAccount: 0,
	CodeDeletesUnconfirmed: 0,
	CodeMessagesIncomplete: 0,
	CodeStoreFull:          0,
	CodeStoreUnwritable:    0,
	CodeStoreCorrupt:       0,
	CodeStoreFailed:        0,
	CodeStoreMissing:       0,
	CodeStoreNew:           0,
	CodeStorePutBack:       0,
	CodeMessagesDamaged:    0,
	CodeAccountUnreachable: time.Hour,
	CodeAccountProtocol:    time.Hour,
	CodeAccountFailed:      time.Hour,
	CodeAccountMessages:    time.Hour,
}

// Pressing reports whether the user of a condition is to be told of it now.
func (c Condition) Pressing(now time.Time) bool {
	after, named := pressing[c.Code]
	return named && c.User != "" && (after == 0 || now.Sub(c.Since) >= after)
}

// Key names a condition of a user over restarts.
func (c Condition) Key() string {
	if c.Cause != "" {
		return c.Code + ", " + c.Cause
	}
	return c.Code + ", " + c.Source
}
