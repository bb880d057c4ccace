package health

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// The codes of conditions. They are read by scripts and never change.
const (
	CodeAccountAuth        = "account-auth"
	CodeAccountPOPOff      = "account-pop-off"
	CodeAccountAppPassword = "account-app-password"
	CodeAccountWebLogin    = "account-web-login"
	CodeAccountUnreachable = "account-unreachable"
	CodeAccountTLS         = "account-tls"
	CodeAccountConfig      = "account-config"
	CodeAccountProtocol    = "account-protocol"
	CodeAccountFailed      = "account-failed"
	codeAccountOldTLS      = "account-old-tls"
	codePasswordExposed    = "password-exposed"
	CodeAccountMessages    = "account-messages"
	CodeAccountUserChanged = "account-user-changed"
	CodeUserWithoutAccount = "user-without-account"
	CodeDeletesUnconfirmed = "deletes-unconfirmed"
	codeDeletesRefused     = "deletes-refused"
	codeMessagesIncomplete = "messages-incomplete"
	CodeStoreFull          = "store-full"
	CodeStoreUnwritable    = "store-unwritable"
	CodeStoreCorrupt       = "store-corrupt"
	CodeStoreFailed        = "store-failed"
	codeStoreMissing       = "store-missing"
	codeStoreNew           = "store-new"
	CodeStorePutBack       = "store-put-back"
	CodeMessagesDamaged    = "messages-damaged"
	codeStateFailed        = "state-failed"
	CodeIMAPPortBusy       = "imap-port-busy"
	CodeIMAPFailed         = "imap-failed"
	codeIMAPCrowded        = "imap-crowded"
	CodeLocalTLS           = "local-tls"
	CodeConfigInvalid      = "config-invalid"
	CodeConfigUnwatched    = "config-unwatched"
	CodeLoginRefused       = "login-refused"
	CodeControlFailed      = "control-failed"
	CodeDataExposed        = "data-exposed"
	CodeNotRunning         = "agent-not-running"
	codeRestartNeeded      = "restart-needed"
	CodeSMTPPortBusy       = "smtp-port-busy"
	CodeSMTPFailed         = "smtp-failed"
	CodeSendFailed         = "send-failed"
	CodeSendAuth           = "send-auth"
	CodeSentUnknown        = "sent-unknown"
	CodeSentRefused        = "sent-refused"
	CodeSendStuck          = "send-stuck"
	CodeSendNoAccount      = "send-no-account"
	CodeSendHeld           = "send-held"
	CodeWebFailed          = "web-failed"
	CodeWebTicketReused    = "web-address-used-twice"
)

// DeletesUnconfirmed is the condition that n messages would be deleted on the
// server as soon as a person allows it. show and allow are the commands for that.
func DeletesUnconfirmed(name string, n int, show, allow string) Condition {
	return Condition{Code: CodeDeletesUnconfirmed, Severity: Warning,
		Text: fmt.Sprintf("account %s: %s stored here would be deleted on the server; that waits for you, because keep_on_server or delete_on_server is new", name, fault.Count(n, "message")),
		Hint: fmt.Sprintf("`%s` shows them; allow it with: %s", show, allow)}
}

// OldTLS is the condition that an account may use a version of TLS that protects
// badly.
func OldTLS(name, least string) Condition {
	return Condition{Code: codeAccountOldTLS, Severity: Warning,
		Text: fmt.Sprintf("account %s: tls_minimum = %q allows a version of TLS that protects password and mail badly", name, least),
		Hint: "ask the provider for TLS 1.2, then delete that line of the config"}
}

// MessagesIncomplete is the condition that n messages are stored of which far
// less came than the server announced. Their originals are kept until a person
// allows their deletion with the command allow.
func MessagesIncomplete(name string, n int, allow string) Condition {
	return Condition{Code: codeMessagesIncomplete, Severity: Warning,
		Text: fmt.Sprintf("account %s: of %s less came than the server lists; what came is stored, and nothing of it is deleted on the server", name, fault.Count(n, "message")),
		Hint: fmt.Sprintf("`popbridge status` names them; compare them with the provider's web mail, then allow their deletion with: %s", allow)}
}

// DeletesRefused is the condition that the server refuses to delete n messages.
// said is its answer, quoted.
func DeletesRefused(name string, n int, said string) Condition {
	return Condition{Code: codeDeletesRefused, Severity: Warning,
		Text: fmt.Sprintf("account %s: the server refused to delete %s stored here: %s", name, fault.Count(n, "message"), said),
		Hint: "they are tried again, more and more rarely; `popbridge sync " + name + "` tries at once; delete them in the provider's web mail, or ask the provider"}
}

// Remembered is the condition that the last poll of an earlier run ended with
// an error of which only the text is known. sync is the command to try again.
func Remembered(name, text, sync string) Condition {
	return Condition{Code: CodeAccountFailed, Severity: Warning, Text: fmt.Sprintf("account %s: %s", name, text),
		Hint: "`" + sync + "` tries again, and says what to do"}
}

// PasswordExposed is the condition that others can read the password of an account.
func PasswordExposed(name, text, hint string) Condition {
	return Condition{Code: codePasswordExposed, Severity: Warning, Text: "account " + name + ": " + text, Hint: hint}
}

// UserWithoutAccount is the condition that a user has messages and no account
// in the config.
func UserWithoutAccount(name string, messages int, hint string) Condition {
	return Condition{Code: CodeUserWithoutAccount, Severity: Warning, User: name,
		Text: fmt.Sprintf("user %s has %s here, and no account in the config; mail programs read them as before, check and backup have them", name, fault.Count(messages, "message")),
		Hint: hint}
}

// Store translates an error that opening or writing a user's store gave. It is
// one condition, whoever meets it.
func Store(user string, err error) []Condition {
	if err == nil {
		return nil
	}
	text := err.Error()
	if !errors.Is(err, mailstore.ErrAnother) { // which says whose it is
		text = fmt.Sprintf("mail of user %s: %s", user, text)
	}
	return []Condition{{Code: storeCode(err), Severity: Error, Cause: "store of " + user, User: user, Text: text, Hint: fault.Hint(err)}}
}

// A LocalTLSError is why there is no certificate for mail clients.
type LocalTLSError struct{ error }

// NewLocalTLSError marks an error as one.
func NewLocalTLSError(err error) error {
	if err == nil {
		return nil
	}
	return &LocalTLSError{err}
}

// Unwrap returns the error itself.
func (e *LocalTLSError) Unwrap() error { return e.error }

func storeCode(err error) string {
	if errors.Is(err, mailstore.ErrAnother) {
		return codeStoreMissing
	}
	switch fault.KindOf(err) {
	case fault.Full:
		return CodeStoreFull
	case fault.Temporary:
		return CodeStoreUnwritable
	case fault.Corrupt:
		return CodeStoreCorrupt
	}
	return CodeStoreFailed
}

// DataFolder is the condition that the data folder cannot be used, so that the
// agent waits.
func DataFolder(err error) Condition {
	return Condition{Code: storeCode(err), Severity: Error, Text: err.Error(), Hint: fault.Hint(err)}
}

// MessagesDamaged is the condition that the files of n messages are missing or
// damaged, and no server has given them again. sync and check are commands.
func MessagesDamaged(user string, n int, sync, check string) Condition {
	return Condition{Code: CodeMessagesDamaged, Severity: Error, User: user,
		Text: fmt.Sprintf("mail of user %s: the file of %s is missing or damaged", user, fault.Count(n, "message")),
		Hint: fmt.Sprintf("`%s` fetches what a server still has, and `%s` then names the rest: copy those files from a backup, from users/%s/mail there to the same place here, "+
			"and repair once more; or delete the messages in a mail program", sync, check, user)}
}

// StoreNew is the condition that an account polls into another store than
// before. confirm is the command that allows its deletions.
func StoreNew(name string, awaiting int, confirm string) Condition {
	text := fmt.Sprintf("account %s: the mail store is new to it: it had polled into another one, whose mail is not here; nothing is deleted on its server", name)
	if awaiting > 0 {
		text += fmt.Sprintf(", where %s would be", fault.Count(awaiting, "message"))
	}
	return Condition{Code: codeStoreNew, Severity: Warning, Text: text,
		Hint: "if the former mail folder turns up, stop popbridge and put it back into its place; if it is gone for good, allow deletions with: " + confirm}
}

// StorePutBack is the condition that an older copy of a store was found. confirm
// is the command that ends it.
func StorePutBack(user string, at time.Time, confirm string) Condition {
	return Condition{Code: CodeStorePutBack, Severity: Warning, User: user,
		Text: fmt.Sprintf("mail of user %s: an older copy of the mail folder was found at %s; what came after that copy is fetched again only where its server still has it", user, at.Format(time.RFC3339)),
		Hint: "if it was put back on purpose, end this message with: " + confirm}
}

// State is the condition that what is known of the stores cannot be kept or
// read.
func State(err error) Condition {
	return Condition{Code: codeStateFailed, Severity: Warning, Text: err.Error(), Hint: fault.Hint(err)}
}

// IMAP translates an error of the IMAP server on one address.
func IMAP(err error) []Condition {
	if err == nil {
		return nil
	}
	text := "mail programs cannot connect, mail is fetched all the same: " + err.Error()
	if _, ok := errors.AsType[*LocalTLSError](err); ok {
		return []Condition{{Code: CodeLocalTLS, Severity: Error, Cause: "local tls", Text: text,
			Hint: strings.TrimPrefix(fault.Hint(err)+"; then it goes on by itself", "; then ")}}
	}
	code := CodeIMAPFailed
	if fault.Is(err, fault.Conflict) {
		code = CodeIMAPPortBusy
	}
	return []Condition{{Code: code, Severity: Error, Text: text, Hint: fault.Hint(err)}}
}

// Web is the condition that the web page cannot be served.
func Web(err error) Condition {
	return Condition{Code: CodeWebFailed, Severity: Warning, Text: "the web page is not there: " + err.Error(), Hint: fault.Hint(err)}
}

// WebTicketReused is the condition that an address which signs a browser in was used a
// second time. open is the command that makes another one.
func WebTicketReused(open string) Condition {
	return Condition{Code: CodeWebTicketReused, Severity: Warning, Text: "the address that signed a browser in was used a second time, so that browser was signed out",
		Hint: "if it was not you who reloaded it, another program on this computer reads what yours does; `" + open + "` signs the browser in again"}
}

// IMAPCrowded is the condition that connections to the IMAP server on one address
// are dropped because there are too many.
func IMAPCrowded(addr string) Condition {
	return Condition{Code: codeIMAPCrowded, Severity: Warning,
		Text: "too many connections to the IMAP server on " + addr + ": the oldest that have not logged in are dropped",
		Hint: "find the program that opens them: a mail program with a wrong password, or one that scans ports"}
}

// LoginRefused is the condition that the password of a user was wrong n times, at
// last at a time. add is the command that makes one.
func LoginRefused(user string, n int, last, add string) Condition {
	return Condition{Code: CodeLoginRefused, Severity: Warning,
		Text: fmt.Sprintf("a mail program that logs in as %s was refused: its password was wrong %s, last on %s", user, times(n), last),
		Hint: "use the password that `popbridge device add` printed, not that of the mail account; `" + add + "` makes another one"}
}

// UnknownLogin is the condition that mail programs were refused because of their
// user name. users names those that there are.
func UnknownLogin(name string, n int, last, users string) Condition {
	return Condition{Code: CodeLoginRefused, Severity: Warning,
		Text: fmt.Sprintf("a mail program that logs in as %s was refused: there is no such user; refused %s, last on %s", fault.Quote(name), times(n), last),
		Hint: "set the user name in the mail program; " + users}
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// ConfigInvalid is the condition that a changed config was not taken up. check
// is the command that shows more.
func ConfigInvalid(err error, check string) Condition {
	return Condition{Code: CodeConfigInvalid, Severity: Error,
		Text: "the changed config has errors; the old one stays in force: " + err.Error(),
		Hint: "`" + check + "` says what to do; correct the file and save it: it is taken up at once"}
}

// ConfigWatch is the condition that changes of the config go unnoticed.
func ConfigWatch(err error) Condition {
	return Condition{Code: CodeConfigUnwatched, Severity: Warning,
		Text: "changes of the config file are not noticed: " + err.Error(),
		Hint: "after a change run `popbridge restart`, or send SIGHUP"}
}

// Control is the condition that the command line cannot reach the agent.
func Control(err error) Condition {
	return Condition{Code: CodeControlFailed, Severity: Warning,
		Text: "commands cannot reach the agent: " + err.Error(), Hint: fault.Hint(err)}
}

// DataExposed is the condition that other users can read or change the data folder.
func DataExposed(text, hint string) Condition {
	return Condition{Code: CodeDataExposed, Severity: Warning, Text: text, Hint: hint}
}

// NotRunning is the condition that no one fetches mail. why is the error that the
// last agent ended with, empty where it was told to; unsent is how many messages wait to be
// sent; run is the command that fetches mail.
func NotRunning(why string, unsent int, run string) Condition {
	text := "no agent is running, so no mail is fetched or served"
	if unsent > 0 {
		text += ", and not yet sent: " + fault.Count(unsent, "message")
	}
	if why != "" {
		text += "; the last one ended: " + why
	}
	return Condition{Code: CodeNotRunning, Severity: Warning, Text: text,
		Hint: "start it with `" + run + "`, or `popbridge start` when it is installed as a service"}
}

// RestartNeeded is the condition that changed settings need a restart.
func RestartNeeded(keys []string) Condition {
	return Condition{Code: codeRestartNeeded, Severity: Warning,
		Text: fmt.Sprintf("the changed %s takes effect after a restart", strings.Join(keys, " and ")),
		Hint: "run `popbridge restart`, or stop and start `popbridge run`"}
}
