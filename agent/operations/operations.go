// Package operations is what the command line can ask of an agent: the interface,
// its results, and Local, which answers from the users and accounts of an agent in this
// process. A verb works the same whether it opened the data folder itself or asks the
// running agent, see control.Client.
//
// Local owns nothing but the lock that keeps a rename apart from what goes over all
// stores for long. The JSON keys of the results are fixed: scripts read them.
package operations

import (
	"context"
	"time"

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/agent/state"
	"github.com/popbridge/popbridge/bridge"
	"github.com/popbridge/popbridge/installer/clientfiles"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// Operations is what the command line can ask of an agent.
type Operations interface {
	Polling
	Stores
	People
	Sending
	SigningIn
	Web
	Support
}

// Polling is about the accounts.
type Polling interface {
	// Status describes accounts, health and clients at this moment.
	Status(ctx context.Context) (Status, error)
	// Sync polls the named accounts, all of them for none, and waits. progress
	// is called from one goroutine at a time and must return quickly. An error
	// is about the request; what went wrong with an account is in its result.
	Sync(ctx context.Context, accounts []string, progress func(Progress)) ([]SyncResult, error)
	// Preview says what Sync would fetch, and delete on the servers.
	Preview(ctx context.Context, accounts []string) ([]Preview, error)
	// Probe logs in at the servers of the named accounts, all of them for none,
	// and looks, and then at those by which they send; nothing is retrieved, changed or sent.
	Probe(ctx context.Context, accounts []string) ([]Probe, error)
	// Confirm allows the deletions that the policy of an account brings about, and
	// that it brings mail to the user of the config. Where the deletions that a person
	// has seen are not those that are due now, nothing is allowed: fault.Conflict. Nor
	// is it where nobody has looked and no user is to be allowed: fault.Config.
	Confirm(ctx context.Context, ask Confirm) (Confirmed, error)
	// Reload takes up the config file as it is now, which an agent does by itself a
	// moment later. One with errors is a condition.
	Reload(ctx context.Context) error
}

// Stores is about the mail that is kept.
type Stores interface {
	// Check verifies the stores of all users.
	Check(ctx context.Context, progress func(Progress)) ([]Problem, error)
	// Repair repairs the stores of all users as far as they can be repaired.
	Repair(ctx context.Context, progress func(Progress)) ([]Repaired, error)
	// Backup brings the backup of all users in a folder up to date, for "" that of the
	// last backup, which has to be there. That of another mail store is replaced only if
	// replace says so.
	Backup(ctx context.Context, dir string, replace bool, progress func(Progress)) ([]Backup, error)
	// Expunged lists what can be restored, the last expunged first.
	Expunged(ctx context.Context, q ExpungedQuery) ([]Expunged, error)
	// History tells of the last days how much mail came and how much there was, the
	// oldest first.
	History(ctx context.Context) ([]state.Day, error)
	// Undelete restores messages. Those that are not there any more are
	// missing in the answer.
	Undelete(ctx context.Context, ask Undelete) ([]Restored, error)
}

// People is about the users and their devices.
type People interface {
	// AddDevice lets a mail client log in as a user. An empty user is the only
	// one there is.
	AddDevice(ctx context.Context, d AddDevice) (Device, error)
	// Devices lists the devices of all users.
	Devices(ctx context.Context) ([]Device, error)
	// SetDevice changes what a device may do and see, and ends its connections,
	// so that its client logs in again.
	SetDevice(ctx context.Context, d SetDevice) (Device, error)
	// NewPassword makes another password for a device, answered this once, and ends its
	// connections. What it may do and see stays.
	NewPassword(ctx context.Context, ask DeviceLogin) (MadeDevice, error)
	// Pair serves a page for a while that sets a phone up for a device. An agent has
	// to be running.
	Pair(ctx context.Context, ask Pair) (Pairing, error)
	// RevokeDevice ends the login of a device. An empty user is whoever has a
	// device of that name, when only one has.
	RevokeDevice(ctx context.Context, user, name string) error
	// Users lists those of the config, and those that have mail here besides.
	Users(ctx context.Context) ([]User, error)
	// RenameUser gives the mail and the devices of a user to one who has none.
	RenameUser(ctx context.Context, from, to string) (User, error)
}

// Status is the answer to `popbridge status`; its JSON keys are fixed.
type Status struct {
	Running  bool               `json:"running"` // false: no agent, the folder was opened for this answer
	PID      int                `json:"pid,omitempty"`
	DataDir  string             `json:"data_dir"`
	Listen   []string           `json:"listen"` // addresses of the IMAP server that accept now
	SMTP     []string           `json:"smtp"`   // addresses that take mail to be sent
	LAN      LAN                `json:"lan"`
	Web      string             `json:"web"` // address of the web page; "": it is not served
	Accounts []Account          `json:"accounts"`
	Health   []health.Condition `json:"health"`
	Clients  int                `json:"clients"`  // IMAP connections
	Programs []string           `json:"programs"` // as they call themselves
	LastEnd  *state.End         `json:"last_end"` // of the agent that ran before; null: not known
}

// LAN is the state of the servers for the local network.
type LAN struct {
	Listen  []string    `json:"listen"` // addresses that accept now
	Clients []LANClient `json:"clients"`
	SMTP    []string    `json:"smtp"` // addresses that take mail to be sent
}

// LANClient is a connection from the local network.
type LANClient struct {
	User    string    `json:"user"`
	Device  string    `json:"device"`
	Address string    `json:"address"`
	Since   time.Time `json:"since"`
	Program string    `json:"program"` // as it calls itself; may be empty
}

// Account is the state of one POP3 account.
type Account struct {
	Name        string     `json:"name"`
	User        string     `json:"user"`
	Folder      string     `json:"folder"`
	State       string     `json:"state"`          // idle, polling, backoff, paused
	LastSuccess *time.Time `json:"last_success"`   // RFC 3339; null: never
	NextPoll    *time.Time `json:"next_poll"`      // null: none is planned
	Stored      int64      `json:"stored"`         // messages ever stored
	OnServer    int        `json:"on_server"`      // in the last listing
	LastError   string     `json:"last_error"`     // "" after a success
	Kind        string     `json:"kind,omitempty"` // of that error: fault.Kind; "": it is not known, as of an earlier run
	Awaiting    int        `json:"awaiting"`       // deletions on the server that wait to be confirmed
	// Progress is that of the poll under way; null: there is none.
	Progress *bridge.Progress `json:"progress,omitempty"`
	// What would be deleted on the server at the next poll, by what is known
	// since the last one: the first of DeletionsTotal.
	Deletions      []Deletion `json:"deletions"`
	DeletionsTotal int        `json:"deletions_total"`
	Problems       []string   `json:"problems,omitempty"`     // why messages wait to be fetched
	Notes          []string   `json:"notes,omitempty"`        // what does not work as configured
	Expire         string     `json:"expire,omitempty"`       // how long the server keeps mail, in words
	MinInterval    float64    `json:"min_interval,omitempty"` // seconds between logins that the server wants
}

// Progress is a step of Sync (Account set), of what is done for a user (User set), or of
// Discover (Asked set).
type Progress struct {
	User   string `json:"user,omitempty"`
	Step   string `json:"step,omitempty"`   // what kind of thing Discover asks: a Step of discover
	Asked  string `json:"asked,omitempty"`  // what Discover asks, for a person
	Answer string `json:"answer,omitempty"` // to it; "": there is none yet
	bridge.Progress
}

// SyncResult is what a poll of one account came to.
type SyncResult struct {
	Account  string `json:"account"`
	New      int    `json:"new"`
	Deleted  int    `json:"deleted"` // on the server, by keep_on_server
	Stored   int64  `json:"stored"`
	Problems int    `json:"problems"` // messages that could not be fetched
	// Left are messages that were not fetched, and why; the first of Problems.
	Left        []string `json:"left,omitempty"`
	Refused     int      `json:"refused,omitempty"` // deletions that the server refused
	RefusedSaid string   `json:"refused_said,omitempty"`
	Incomplete  int      `json:"incomplete,omitempty"` // messages of which far less came than the server lists
	Awaiting    int      `json:"awaiting"`             // deletions on the server that wait to be confirmed
	Paused      bool     `json:"paused,omitempty"`     // by the config: not polled
	Error       string   `json:"error,omitempty"`
	Kind        string   `json:"kind,omitempty"` // of the error: fault.Kind
	Hint        string   `json:"hint,omitempty"`
}

// Preview is what a poll of one account would do on its server.
type Preview struct {
	Account string `json:"account"`
	bridge.Preview
	Delete []Deletion `json:"delete"`
	// Incomplete may not be whole here, and stay there until Confirm of them.
	Incomplete []Deletion `json:"incomplete"`
	Shadow     bool       `json:"shadow"`   // nothing is deleted, whatever the policy
	Doubtful   int        `json:"doubtful"` // how many are Incomplete
	Digest     string     `json:"digest"`   // of what Confirm would allow now
	Error      string     `json:"error,omitempty"`
	Kind       string     `json:"kind,omitempty"` // of the error: fault.Kind
	Hint       string     `json:"hint,omitempty"`
}

// Deletion is a message that would be deleted on the server.
type Deletion struct {
	UIDL     string     `json:"uidl"`
	Size     int64      `json:"size"`
	StoredAt *time.Time `json:"stored_at"`     // null: it is fetched first
	Why      string     `json:"why,omitempty"` // expunged, never, age, newest, full or incomplete; "": not known
	Reason   string     `json:"reason"`
	// Of what is stored, where it is.
	From    string     `json:"from,omitempty"`
	Subject string     `json:"subject,omitempty"`
	Date    *time.Time `json:"date,omitempty"`
}

// AddDevice asks for a new device login.
type AddDevice struct {
	User     string   `json:"user"`
	Name     string   `json:"name"`
	Password string   `json:"password"`
	ReadOnly bool     `json:"read_only"`
	Folders  []string `json:"folders"` // null: all
	Without  []string `json:"without"`
	Send     *bool    `json:"send"` // null: unless it may only read, or sees some folders only
	// Generated tells that the password was made at random; only then LAN may be
	// set, which lets the device in from the local network.
	Generated bool `json:"generated"`
	LAN       bool `json:"lan"`
}

// SetDevice asks for changes of a device. What is null stays as it is.
type SetDevice struct {
	User     string   `json:"user"`
	Name     string   `json:"name"`
	ReadOnly *bool    `json:"read_only"`
	Folders  []string `json:"folders"` // empty: all
	Without  []string `json:"without"`
	LAN      *bool    `json:"lan"`
	Send     *bool    `json:"send"`
}

// Pair asks for a page that sets a phone up.
type Pair struct {
	User   string `json:"user"`
	Device string `json:"device"`
	// Identities are the addresses to write from, and the outgoing servers for them.
	Identities []clientfiles.Identity `json:"identities"`
}

// Pairing is such a page. Only the local network reaches it.
type Pairing struct {
	URL   string    `json:"url"`
	Until time.Time `json:"until"`
	// The SHA-256 of what its server shows, about which a phone warns, and of the authority
	// that a phone is to trust.
	PageFingerprint string `json:"page_fingerprint"`
	Fingerprint     string `json:"fingerprint"`
	Host            string `json:"host"` // of the IMAP server
	Port            int    `json:"port"`
	SMTPPort        int    `json:"smtp_port"` // there; 0: it sends through the providers
}

// Device is a login of a mail client.
type Device struct {
	User       string     `json:"user"`
	Name       string     `json:"name"`
	ReadOnly   bool       `json:"read_only"`
	Folders    []string   `json:"folders"` // it sees these only; null: all
	Without    []string   `json:"without"` // capabilities that are switched off for it
	LAN        bool       `json:"lan"`     // it may come from the local network
	Send       bool       `json:"send"`    // it may send mail
	CreatedAt  time.Time  `json:"created_at"`
	LastUsedAt *time.Time `json:"last_used_at"` // null: never
	// Connections is how many it has now, ConnectedSince when the oldest began.
	Connections    int        `json:"connections"`
	ConnectedSince *time.Time `json:"connected_since"` // null: none
	Programs       []string   `json:"programs"`        // as they call themselves
}

// User is a local IMAP login.
type User struct {
	Name     string   `json:"name"`
	Messages int      `json:"messages"`
	Size     int64    `json:"size"`
	Accounts []string `json:"accounts"` // that bring mail, by the config
	Devices  []string `json:"devices"`
	Error    string   `json:"error,omitempty"` // why the mail cannot be read
	Hint     string   `json:"hint,omitempty"`
}

// ExpungedQuery says which expunged messages are asked for.
type ExpungedQuery struct {
	User                    string     `json:"user,omitempty"` // empty: of all users
	mailstore.ExpungedQuery            // its limit is of each user
	Since                   *time.Time `json:"since,omitempty"` // expunged after; null: ever
}

// Expunged is a message that was expunged and can be restored. Its ID is of this user.
type Expunged struct {
	User string `json:"user"`
	mailstore.ExpungedMessage
	Until time.Time `json:"until"` // it is gone for good soon after that
}

// Undelete asks for messages to be restored: those with these ids, or all that
// a query finds.
type Undelete struct {
	User string         `json:"user,omitempty"` // whose IDs they are; may be empty where there is one only
	IDs  []int64        `json:"ids,omitempty"`
	All  *ExpungedQuery `json:"all,omitempty"`
}

// Restored is a message that was restored, with a new UID.
type Restored struct {
	User string `json:"user"`
	mailstore.Restored
}

// Repaired is what Repair did for one user.
type Repaired struct {
	User string `json:"user"`
	mailstore.RepairReport
	Repaired []Problem `json:"mended"`
	Left     []Problem `json:"left"`
}

// Backup is what a backup or restore of one user came to.
type Backup struct {
	User string `json:"user"`
	mailstore.BackupReport
	Missing []Problem `json:"missing"`
}

// Problem is something that Check found.
type Problem struct {
	User string `json:"user"`
	Code string `json:"code"`
	Text string `json:"text"`
}
