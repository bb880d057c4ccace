package cli

import (
	"fmt"

	"github.com/popbridge/popbridge/config"
)

// told is what a person should know of a change of an account, in lines: what it means
// for the mail that is here, and what waits for the person.
func (a *app) told(before, after config.Account) (lines []string) {
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	name := after.Name
	if before.Name != name {
		say("It is the same mailbox: its mail stays, and nothing is fetched again.")
	}
	switch {
	case before.User != after.User:
		say("What it has brought stays with user %s. If there is any, it is polled for user %s only after: %s", before.User, after.User, a.command("account confirm "+name))
		say("Mail programs log in as %s to see it: %s", after.User, a.command("device add NAME --user "+after.User))
	case before.Folder != after.Folder:
		say("New mail goes to folder %s; what is here stays in %s.", after.Folder, before.Folder)
	}
	other := before.Username != after.Username || before.Host != after.Host
	inKeychain := func(c config.Account) bool { return !c.SignsInToFetch() && c.Password.InKeychain() }
	if after.OAuth != nil && (other || before.OAuth == nil || before.OAuth.Name != after.OAuth.Name) {
		say("%s", a.toSignIn("It has to be signed in", after))
	}
	switch keychain := inKeychain(after); {
	case keychain && (other || !inKeychain(before)):
		say("Its password is looked for in the keychain as %s; where it is not there yet: %s", after.KeychainItem(), a.command("account password "+name))
	case !keychain && inKeychain(before):
		say("Its former password stays in the keychain, if it is there, as %s.", before.KeychainItem())
	}
	if before.Password.File != "" && before.Password.File != after.Password.File {
		say("Its former password is still in %s.", before.Password.File)
	}
	if other {
		say("What the server has is compared with what is here; nothing is deleted there before.")
	}
	if other || before.Port != after.Port || before.TLS != after.TLS || fmt.Sprint(before.Password) != fmt.Sprint(after.Password) {
		say("To see whether it can log in: %s", a.command("account test "+name))
	}
	return append(lines, a.toldOfDeletions(before, after)...)
}

// toldOfDeletions is what becomes of mail on the server.
func (a *app) toldOfDeletions(before, after config.Account) []string {
	deletes := func(c config.Account) bool {
		return !c.Shadow && (c.Keep.Rule != config.KeepForever || c.DeleteExpunged)
	}
	same := before.Keep == after.Keep && before.DeleteExpunged == after.DeleteExpunged && before.Shadow == after.Shadow &&
		before.ConfirmDeletes == after.ConfirmDeletes && before.DeleteGrace == after.DeleteGrace
	switch {
	case same || !deletes(before) && !deletes(after):
		return nil
	case !deletes(after):
		return []string{"Nothing is deleted on its server from now on."}
	case !after.ConfirmDeletes:
		return []string{"What is due is deleted on its server at the next poll, without being confirmed; what that is: " + a.command("sync --dry-run "+after.Name)}
	}
	return []string{"Where that deletes more on its server than before, it waits for: " + a.command("account confirm "+after.Name),
		"What would be deleted: " + a.command("sync --dry-run "+after.Name)}
}
