package thunderbird

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/popbridge/popbridge/installer/clientfiles"
	"github.com/popbridge/popbridge/installer/discover"
)

// The settings that list what there is, by keys with commas between them.
const (
	accountList = "mail.accountmanager.accounts"
	smtpList    = "mail.smtpservers"
)

// setting is one setting; its value is a string, an int or a bool.
type setting struct {
	name  string
	value any
}

type settings []setting

// lines writes settings as prefs.js has them.
func (s settings) lines() []byte {
	var b strings.Builder
	for _, one := range s {
		value := fmt.Sprint(one.value)
		if text, ok := one.value.(string); ok {
			value = quote(text)
		}
		fmt.Fprintf(&b, "user_pref(%s, %s);\n", quote(one.name), value)
	}
	return []byte(b.String())
}

// quote writes a string of prefs.js, which has the escapes of JSON that Go uses
// (modules/libpref/parser/src/lib.rs of Gecko).
func quote(s string) string {
	raw, _ := json.Marshal(s) // a string always can be written
	return string(raw)
}

var prefLine = regexp.MustCompile(`(?m)^[ \t]*(?:user_)?pref\([ \t]*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')[ \t]*,[ \t]*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|-?[0-9]+|true|false)[ \t]*\)[ \t]*;`)

// parsePrefs reads the settings of prefs.js or user.js. A line that is none is passed
// over, as it is by Thunderbird.
func parsePrefs(text []byte) map[string]any {
	prefs := make(map[string]any)
	for _, m := range prefLine.FindAllSubmatch(text, -1) {
		name, value := unquote(string(m[1])), string(m[2])
		switch {
		case value[0] == '"' || value[0] == '\'':
			prefs[name] = unquote(value)
		case value == "true" || value == "false":
			prefs[name] = value == "true"
		default:
			if n, err := strconv.Atoi(value); err == nil {
				prefs[name] = n
			}
		}
	}
	return prefs
}

var escape = regexp.MustCompile(`(?s)\\(u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|.)`)

// unquote reads a string with its quotes.
func unquote(s string) string {
	return escape.ReplaceAllStringFunc(s[1:len(s)-1], func(e string) string {
		switch e[1] {
		case 'n':
			return "\n"
		case 'r':
			return "\r"
		case 'u', 'x':
			if n, err := strconv.ParseUint(e[2:], 16, 16); err == nil {
				return string(rune(n))
			}
		}
		return e[1:]
	})
}

// socketType, authMethod: nsMsgSocketType and nsMsgAuthMethod of Thunderbird.
var socketType = map[discover.Security]int{discover.None: 0, discover.StartTLS: 2, discover.Implicit: 3}

func authMethod(s discover.Server) int {
	switch {
	case s.Username == "":
		return 1 // none
	case s.OAuth2Only():
		return 10
	}
	return 3 // the password
}

// serverSettings are those of an IMAP server that client and server have to agree on.
func serverSettings(key string, m clientfiles.Mailbox) settings {
	at := "mail.server." + key + "."
	return settings{
		{at + "type", "imap"}, {at + "hostname", m.Host}, {at + "port", m.Port}, {at + "userName", m.User},
		{at + "socketType", socketType[m.TLS]}, {at + "authMethod", 3},
	}
}

// newAccount is one account with all identities.
func newAccount(prefs map[string]any, m clientfiles.Mailbox) settings {
	server, account := freeNumber(prefs, "mail.server.server"), freeNumber(prefs, "mail.account.account")
	serverKey, accountKey := fmt.Sprint("server", server), fmt.Sprint("account", account)
	set := append(serverSettings(serverKey, m),
		setting{"mail.server." + serverKey + ".name", name(m)},
		setting{"mail.server." + serverKey + ".check_new_mail", true},
		setting{"mail.server." + serverKey + ".login_at_startup", true},
		setting{"mail.account." + accountKey + ".server", serverKey},
		setting{accountList, joined(prefs, accountList, accountKey)})
	if last, ok := prefs["mail.account.lastKey"].(int); ok && last < account {
		set = append(set, setting{"mail.account.lastKey", account})
	}
	if _, there := prefs["mail.accountmanager.defaultaccount"]; !there {
		set = append(set, setting{"mail.accountmanager.defaultaccount", accountKey})
	}
	return append(set, newIdentities(prefs, "mail.account."+accountKey+".identities", m)...)
}

// newIdentities adds the identities that a list does not have, each with its SMTP
// server.
func newIdentities(prefs map[string]any, list string, m clientfiles.Mailbox) settings {
	old, _ := prefs[list].(string)
	there := map[any]bool{}
	for key := range strings.SplitSeq(old, ",") {
		there[prefs["mail.identity."+strings.TrimSpace(key)+".useremail"]] = true
	}
	identity, smtp := freeNumber(prefs, "mail.identity.id"), freeNumber(prefs, "mail.smtpserver.smtp")
	var set settings
	var identities, smtps []string
	for _, id := range m.Identities {
		if there[id.Address] {
			continue
		}
		key := fmt.Sprint("id", identity+len(identities))
		identities = append(identities, key)
		at := "mail.identity." + key + "."
		set = append(set, setting{at + "fullName", ""}, setting{at + "useremail", id.Address}, setting{at + "reply_on_top", 1}, setting{at + "valid", true},
			setting{at + "draft_folder", folder(m, "Drafts")}, setting{at + "fcc_folder", folder(m, "Sent")})
		if !id.SMTP.Known() {
			continue
		}
		smtpKey := fmt.Sprint("smtp", smtp+len(smtps))
		smtps = append(smtps, smtpKey)
		set = append(append(set, setting{at + "smtpServer", smtpKey}), smtpSettings(smtpKey, id)...)
	}
	if len(identities) > 0 {
		set = append(set, setting{list, joined(prefs, list, identities...)})
	}
	if len(smtps) > 0 {
		set = append(set, setting{smtpList, joined(prefs, smtpList, smtps...)})
		if _, there := prefs["mail.smtp.defaultserver"]; !there {
			set = append(set, setting{"mail.smtp.defaultserver", smtps[0]})
		}
	}
	return set
}

// folder is the URI of a mailbox as Thunderbird writes it. Where an identity has none,
// mail that is written before Thunderbird has the list goes to Local Folders, and so
// does all mail from then on (nsMsgIdentity::getOrCreateFolder). Where the list has no
// such mailbox, Thunderbird takes the one with the role instead
// (nsImapIncomingServer::CheckSpecialFolder).
func folder(m clientfiles.Mailbox, mailbox string) string { return folders(m.User, m.Host) + mailbox }

func folders(user, host string) string {
	return "imap://" + notInURI.ReplaceAllStringFunc(user, url.QueryEscape) + "@" + host + "/"
}

// movedFolders are the folders of identities on a server that gets another host.
func movedFolders(prefs map[string]any, server string, m clientfiles.Mailbox) (set settings) {
	host, _ := prefs["mail.server."+server+".hostname"].(string)
	if host == m.Host {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(prefs)) {
		value, _ := prefs[name].(string)
		if mailbox, ok := strings.CutPrefix(value, folders(m.User, host)); ok && strings.HasPrefix(name, "mail.identity.") {
			set = append(set, setting{name, folder(m, mailbox)})
		}
	}
	return set
}

var notInURI = regexp.MustCompile(`[^0-9A-Za-z._-]`)

func smtpSettings(key string, id clientfiles.Identity) settings {
	at := "mail.smtpserver." + key + "."
	set := settings{
		{at + "type", "smtp"}, {at + "hostname", id.SMTP.Host}, {at + "port", id.SMTP.Port},
		{at + "try_ssl", socketType[id.SMTP.TLS]}, {at + "authMethod", authMethod(id.SMTP)}, {at + "description", id.Address},
	}
	if id.SMTP.Username != "" {
		set = append(set, setting{at + "username", id.SMTP.Username})
	}
	return set
}

func name(m clientfiles.Mailbox) string {
	if len(m.Identities) == 1 {
		return m.Identities[0].Address
	}
	return "popbridge"
}

// joined is a list with more keys at its end.
func joined(prefs map[string]any, list string, keys ...string) string {
	if old, _ := prefs[list].(string); old != "" {
		keys = append([]string{old}, keys...)
	}
	return strings.Join(keys, ",")
}

// freeNumber is one above every number that a key with this beginning has.
func freeNumber(prefs map[string]any, beginning string) int {
	most := 0
	for name := range prefs {
		rest, ok := strings.CutPrefix(name, beginning)
		if !ok {
			continue
		}
		digits, _, _ := strings.Cut(rest, ".")
		if n, err := strconv.Atoi(digits); err == nil && n > most && n < 1<<30 {
			most = n
		}
	}
	return most + 1
}
