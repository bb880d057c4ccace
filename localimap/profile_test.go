package localimap

import (
	"context"
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/mailstore"
)

// deviceRig is a rig with devices, each with its name for a password. pw is that
// of one without limits.
type deviceRig struct {
	*rig
	mu      sync.Mutex
	devices map[string]mailstore.Device
}

func newDeviceRig(t *testing.T, devices ...mailstore.Device) *deviceRig {
	r := &deviceRig{devices: map[string]mailstore.Device{"pw": {Name: "pw"}}}
	for _, d := range devices {
		r.devices[d.Name] = d
	}
	r.rig = newRig(t, func(o *Options) {
		o.Login = func(_ context.Context, _ net.Addr, user, password string) (Account, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			d, ok := r.devices[password]
			if !ok {
				return Account{}, fault.New(fault.Auth, "no device has this password", "")
			}
			return Account{user, r.store, d}, nil
		}
	})
	return r
}

// set changes a device, or revokes it, as the agent does.
func (r *deviceRig) set(name string, d *mailstore.Device) {
	r.mu.Lock()
	if d == nil {
		delete(r.devices, name)
	} else {
		r.devices[name] = *d
	}
	r.mu.Unlock()
	r.server.Disconnect("joe", name)
}

// device is a client of that device.
func (r *deviceRig) device(name string) *talk {
	r.t.Helper()
	k := r.talk("")
	k.do("l LOGIN joe "+name, "l OK")
	return k
}

func (r *rig) boxID(name string) mailstore.MailboxID {
	r.t.Helper()
	box, err := r.store.Mailbox(r.t.Context(), name)
	if err != nil {
		r.t.Fatal(err)
	}
	return box.ID
}

// all sends a command and returns its untagged responses, and wants the tagged
// one to start so.
func (k *talk) all(line, want string) []string {
	k.t.Helper()
	k.send("x " + line)
	var got []string
	for {
		switch l := k.line(); {
		case k.err != nil:
			k.t.Fatalf("%s: %v", line, k.err)
		case strings.HasPrefix(l, "* "):
			got = append(got, strings.ReplaceAll(l[2:], `"`, ""))
		case !strings.HasPrefix(l, "x "+want):
			k.t.Errorf("%s: got %q, want %q", line, l, want)
			return got
		default:
			return got
		}
	}
}

func (k *talk) same(line string, want ...string) {
	k.t.Helper()
	if got := k.all(line, "OK"); !slices.Equal(got, want) {
		k.t.Errorf("%s:\n\t%s\nwant:\n\t%s", line, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

const (
	missingBox = "NO [NONEXISTENT] The mailbox does not exist"
	noInbox    = "NO [NOPERM] This device does not see the mail in INBOX"
	outsideBox = "NO [NOPERM] This device sees some folders only"
	tryCreate  = "NO [TRYCREATE] The mailbox does not exist"
)

// save appends a message with its literal.
func (k *talk) save(mailbox, want string) string {
	k.t.Helper()
	k.send("x APPEND " + mailbox + " {12}")
	got := k.line()
	if strings.HasPrefix(got, "+") { // what is known before is said before
		return k.do("Subject: x\r\n", "x "+want)
	}
	if !strings.HasPrefix(got, "x "+want) {
		k.t.Errorf("%q instead of %q", got, want)
	}
	return got
}

func TestADeviceThatSeesSomeFolders(t *testing.T) {
	r := newDeviceRig(t)
	all := r.talk("joe")
	for _, name := range []string{"Work/a", "Private/deep/Shared", "Workshop"} {
		all.all("CREATE "+name, "OK")
		all.all("SUBSCRIBE "+name, "OK")
	}
	for _, name := range []string{"INBOX", "Private", "Work"} {
		r.deliver(name, nil, "Subject: "+name+"\r\n\r\n1\r\n")
	}
	r.set("kids", &mailstore.Device{Name: "kids", Folders: []mailstore.MailboxID{r.boxID("Work"), r.boxID("Private/deep/Shared")}})
	k := r.device("kids")

	k.same(`LIST "" *`, `LIST (\HasNoChildren) / INBOX`,
		`LIST (\NonExistent \Noselect \HasChildren) / Private`, `LIST (\NonExistent \Noselect \HasChildren) / Private/deep`,
		`LIST (\HasNoChildren) / Private/deep/Shared`, `LIST (\HasChildren) / Work`, `LIST (\HasNoChildren) / Work/a`)
	k.same(`LIST "" %`, `LIST (\HasNoChildren) / INBOX`, `LIST (\NonExistent \Noselect \HasChildren) / Private`, `LIST (\HasChildren) / Work`)
	k.same(`LIST (SPECIAL-USE) "" *`)
	var subscribed []string
	for _, line := range k.all(`LSUB "" *`, "OK") {
		subscribed = append(subscribed, line[strings.LastIndexByte(line, ' ')+1:])
	}
	if want := []string{"INBOX", "Private/deep/Shared", "Work/a"}; !slices.Equal(subscribed, want) {
		t.Errorf("LSUB tells %v", subscribed)
	}

	// There is an INBOX, and nothing in it.
	k.same("STATUS INBOX (MESSAGES UNSEEN SIZE UIDVALIDITY)", "STATUS INBOX (MESSAGES 0 UNSEEN 0 SIZE 0 UIDVALIDITY 1)")
	k.all("SELECT inbox", "OK")
	r.deliver("INBOX", nil, "Subject: another\r\n\r\n1\r\n")
	k.same("NOOP")
	k.same("SEARCH ALL", "SEARCH")
	k.all("EXPUNGE", "NO [NOPERM]")
	k.same("CLOSE")

	// What is outside is as if it were not there.
	for _, name := range []string{"Private", "Private/deep", "Archive", "Workshop", "nosuch"} {
		for line, want := range map[string]string{
			"SELECT ": missingBox, "EXAMINE ": missingBox, "DELETE ": outsideBox, "SUBSCRIBE ": outsideBox, "UNSUBSCRIBE ": outsideBox,
			"CREATE ": outsideBox, "RENAME Work/a ": outsideBox,
		} {
			k.all(line+name, want)
		}
		k.all("STATUS "+name+" (MESSAGES)", missingBox)
		k.all("RENAME "+name+" Work/mine", outsideBox)
		k.save(name, tryCreate)
	}
	k.save("INBOX", noInbox)

	// What is inside is as ever.
	k.all("CREATE Work/b/c", "OK")
	k.all("RENAME Work/b Work/d", "OK")
	k.all("SUBSCRIBE Work/later", "OK")
	k.all("DELETE Work/d/c", "OK")
	k.all("SELECT Work", "OK")
	k.all("COPY 1 Private", tryCreate)
	k.all("MOVE 1 Archive", tryCreate)
	k.all("COPY 1 INBOX", noInbox)
	k.all("COPY 1 Work/a", "OK [COPYUID")
	k.all("MOVE 1 Private/deep/Shared", "OK")
	k.all("SELECT Private/deep/Shared", "OK")

	// A renamed folder stays the device's; a new one of its old name is another.
	all.all("RENAME Work Private/Office", "OK")
	all.all("CREATE Work", "OK")
	k.all("SELECT Work", missingBox)
	k.all("SELECT Private/Office/a", "OK")
	all.all("DELETE Private/deep/Shared", "OK")
	k.all("UNSELECT", "OK")
	for _, name := range []string{"/d", "/a", ""} {
		all.all("DELETE Private/Office"+name, "OK")
	}
	k.same(`LIST "" *`, `LIST (\HasNoChildren) / INBOX`)
	k.all("SELECT Private", missingBox)
}

// TestAFolderIsMovedOutOfSight while the device has it open.
func TestAFolderIsMovedOutOfSight(t *testing.T) {
	r := newDeviceRig(t)
	all := r.talk("joe")
	all.all("CREATE Work/a", "OK")
	all.all("CREATE Private", "OK")
	r.set("kids", &mailstore.Device{Name: "kids", Folders: []mailstore.MailboxID{r.boxID("Work")}})
	idle, asks, expunges, stays := r.device("kids"), r.device("kids"), r.device("kids"), r.device("kids")
	for _, k := range []*talk{idle, asks, expunges} {
		k.all("SELECT Work/a", "OK")
	}
	stays.all("SELECT Work", "OK")
	idle.do("i IDLE", "+")
	all.all("RENAME Work/a Work/b", "OK") // still in sight
	asks.same("NOOP")
	all.all("RENAME Work/b Private/b", "OK")
	r.deliver("Private/b", []string{`\Deleted`}, "Subject: x\r\n\r\n")
	for _, k := range []*talk{idle, asks, expunges} {
		switch k {
		case asks:
			k.send("x NOOP")
		case expunges: // which changes nothing there
			k.send("x EXPUNGE")
		}
		if got := k.line(); !strings.HasPrefix(got, broken) {
			t.Errorf("got %q", got)
		}
	}
	all.same("STATUS Private/b (MESSAGES)", "STATUS Private/b (MESSAGES 1)")
	all.all("RENAME Work Office", "OK") // it is the device's by any name
	stays.same("NOOP")
}

func TestEveryCapabilityCanBeSwitchedOffAlone(t *testing.T) {
	r := newDeviceRig(t)
	announced := func(k *talk) []string {
		t.Helper()
		return strings.Fields(k.all("CAPABILITY", "OK")[0])[1:]
	}
	all := r.talk("joe")
	want := announced(all)
	for _, c := range Switchable() {
		if !slices.Contains(want, c) {
			t.Errorf("%s is not announced at all", c)
		}
		off, err := SwitchOff([]string{strings.ToLower(c), c})
		if err != nil || !slices.Equal(off, []string{c}) {
			t.Fatalf("%s: %v, %v", c, off, err)
		}
		r.set(c, &mailstore.Device{Name: c, Without: off})
		k := r.device(c)
		left := slices.DeleteFunc(slices.Clone(want), func(s string) bool {
			part := slices.ContainsFunc(capabilities, func(p capability) bool { return p.part && string(p.name) == c })
			return s == c || s == "IMAP4rev2" && part || s == "QRESYNC" && c == "CONDSTORE"
		})
		if got := announced(k); !slices.Equal(got, left) {
			t.Errorf("without %s: %v", c, got)
		}
	}
	if got := announced(all); !slices.Equal(got, want) {
		t.Errorf("another device has %v", got)
	}
	for _, name := range []string{"IMAP4rev1", "CHILDREN", "nothing", ""} {
		if _, err := SwitchOff([]string{"MOVE", name}); !fault.Is(err, fault.Config) || !strings.Contains(fault.Hint(err), "MOVE, ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCapabilitiesAreInTheDocs, in the first column of the table.
func TestCapabilitiesAreInTheDocs(t *testing.T) {
	page, err := os.ReadFile("../docs/client-quirks.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "## What the server offers")
	var told []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([^|]*)` \\|").FindAllStringSubmatch(table, -1) {
		told = append(told, strings.Split(row[1], "`, `")...)
	}
	slices.Sort(told)
	if want := Switchable(); !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
}

// TestWhatIsSwitchedOffIsRefused: a command, or an item, that a capability brings is
// a BAD where it is switched off for the device, and answered where it is not.
func TestWhatIsSwitchedOffIsRefused(t *testing.T) {
	brings := map[string]string{
		"BINARY": "FETCH 1 BINARY.SIZE[1]", "CONDSTORE": "FETCH 1 MODSEQ", "CREATE-SPECIAL-USE": `CREATE %s (USE (\Flagged))`,
		"ENABLE": "ENABLE CONDSTORE", "ESEARCH": "SEARCH RETURN (COUNT) ALL", "ESORT": "SORT RETURN (COUNT) (DATE) UTF-8 ALL",
		"ID": "ID NIL", "LIST-EXTENDED": `LIST "" (*)`, "LIST-STATUS": `LIST "" * RETURN (STATUS (MESSAGES))`,
		"MOVE": "MOVE 1 INBOX", "NAMESPACE": "NAMESPACE", "NOTIFY": "NOTIFY NONE", "OBJECTID": "FETCH 1 EMAILID",
		"PARTIAL": "UID FETCH 1 UID (PARTIAL 1:1)", "PREVIEW": "FETCH 1 PREVIEW", "QRESYNC": "SELECT INBOX (QRESYNC (1 1))",
		"REPLACE": "REPLACE 1 INBOX {2+}\r\n\r\n", "SAVEDATE": "FETCH 1 SAVEDATE", "SEARCHRES": "UID SEARCH $", "SORT": "SORT (DATE) UTF-8 ALL",
		"SORT=DISPLAY": "SORT (DISPLAYFROM) UTF-8 ALL", "SPECIAL-USE": `LIST (SPECIAL-USE) "" *`, "STATUS=SIZE": "STATUS INBOX (SIZE)",
		"THREAD=ORDEREDSUBJECT": "THREAD ORDEREDSUBJECT UTF-8 ALL", "THREAD=REFERENCES": "THREAD REFERENCES UTF-8 ALL",
		"THREAD=REFS": "THREAD REFS UTF-8 ALL", "UIDPLUS": "UID EXPUNGE 9", "UNSELECT": "UNSELECT", "WITHIN": "SEARCH OLDER 1",
	}
	r := newDeviceRig(t)
	r.deliver("INBOX", nil, "Subject: x\r\n\r\n1\r\n")
	for _, c := range Switchable() {
		command, ok := brings[c]
		if !ok {
			if !slices.Contains([]string{"IDLE", "IMAP4rev2", "LITERAL+", "MULTIAPPEND", "UTF8=ACCEPT"}, c) { // other tests
				t.Errorf("nothing shows that %s is refused", c)
			}
			continue
		}
		for _, off := range []bool{false, true} {
			d := &mailstore.Device{Name: fmt.Sprintf("%s-%v", c, off)}
			want := "OK"
			if off {
				d.Without, want = []string{c}, "BAD"
			}
			r.set(d.Name, d)
			k := r.device(d.Name)
			switch {
			case c == "QRESYNC" && !off:
				k.all("ENABLE QRESYNC", "OK")
			case c == "CREATE-SPECIAL-USE" && !off:
				want = "NO" // there is no such use
			}
			k.all("SELECT INBOX", "OK")
			k.all(strings.ReplaceAll(command, "%s", "For"+c), want)
			k.all("NOOP", "OK")
		}
	}
	r.set("few", &mailstore.Device{Name: "few", Without: []string{"IDLE", "PREVIEW", "UTF8=ACCEPT"}})
	k := r.device("few")
	k.all("IDLE", "BAD")
	k.all("NOTIFY SET (selected (MessageNew (UID PREVIEW) MessageExpunge))", "BAD")
	k.all("APPEND INBOX UTF8 (~{2+}\r\n\r\n)", "BAD")
}

func TestOnlyWhatIsOfferedIsEnabled(t *testing.T) {
	r := newDeviceRig(t, mailstore.Device{Name: "old", Without: []string{"MOVE"}})
	k := r.talk("joe")
	k.same("ENABLE X-NONE", "ENABLED")
	k.same("enable UTF8=ACCEPT IMAP4rev2 utf8=accept", "ENABLED IMAP4rev2 UTF8=ACCEPT")
	k = r.device("old")
	k.same("ENABLE IMAP4rev2", "ENABLED")
}

// TestMailThatAnnouncesIsLeftAlone: what a device lacks is left out of responses, not
// of mail that quotes one.
func TestMailThatAnnouncesIsLeftAlone(t *testing.T) {
	r := newRig(t)
	text := "* CAPABILITY IMAP4rev1 UTF8=ACCEPT\r\n"
	r.deliver("INBOX", nil, text, "Subject: x\r\n\r\n")
	k := r.talk("joe")
	k.all("CAPABILITY now", "BAD")
	k.all("SELECT INBOX", "OK")
	k.do("a FETCH 1 BODY.PEEK[]", "* 1 FETCH (BODY[] {36}")
	if got := k.line() + "\r\n"; got != text {
		t.Errorf("got %q", got)
	}
	k.want("a OK")
}

func TestWhatIsSwitchedOffIsNotTold(t *testing.T) {
	r := newDeviceRig(t, mailstore.Device{Name: "old", Without: []string{"SPECIAL-USE", "UIDPLUS"}})
	r.deliver("INBOX", nil, "Subject: x\r\n\r\n1\r\n")
	k := r.device("old")
	k.same(`LIST "" Sent`, `LIST (\HasNoChildren) / Sent`)
	k.all("SELECT INBOX", "OK")
	k.all("COPY 1 Archive", "OK COPY")
	k.same("MOVE 1 Archive", "1 EXPUNGE", "0 RECENT")
	k.save("Archive", "OK APPEND")
}

// TestALoginInFlightDoesNotSurviveItsDevice: the device is revoked, or changed,
// after its password was found right.
func TestALoginInFlightDoesNotSurviveItsDevice(t *testing.T) {
	for _, login := range []string{"LOGIN joe phone", "AUTHENTICATE PLAIN AGpvZQBwaG9uZQ=="} {
		r := newDeviceRig(t, mailstore.Device{Name: "phone"})
		check, meanwhile := r.server.opt.Login, func() {}
		r.server.opt.Login = func(ctx context.Context, from net.Addr, user, password string) (Account, error) {
			who, err := check(ctx, from, user, password)
			meanwhile()
			meanwhile = func() {}
			return who, err
		}
		meanwhile = func() { r.set("phone", &mailstore.Device{Name: "phone", ReadOnly: true}) }
		k := r.talk("")
		k.all(login, "OK")
		k.all("CREATE new", "NO [NOPERM] This device may only read")

		meanwhile = func() { r.set("phone", nil) }
		k2 := r.talk("")
		k2.all(login, "NO [AUTHENTICATIONFAILED]")
		k2.all("SELECT INBOX", "BAD")
		k.want("* BYE This device has been revoked or changed")
		if n := r.server.Clients(); n != 0 {
			t.Errorf("%d clients", n)
		}
		k2.all("LOGIN joe pw", "OK")
	}
}

// TestSpecialUsesAreOfTheWholeUser: a device that sees some folders cannot give
// one, taken or not; another device cannot give it twice.
func TestSpecialUsesAreOfTheWholeUser(t *testing.T) {
	r := newDeviceRig(t, mailstore.Device{Name: "all"})
	work, err := r.store.CreateMailbox(t.Context(), "Work", "")
	if err != nil {
		t.Fatal(err)
	}
	r.set("some", &mailstore.Device{Name: "some", Folders: []mailstore.MailboxID{work.ID}})
	all, some := r.device("all"), r.device("some")
	some.all(`CREATE Work/Sent (USE (\Sent))`, "NO [USEATTR]")
	all.all(`CREATE Other (USE (\Sent))`, "NO [USEATTR]")
	all.all("RENAME Sent Old", "OK")
	all.all(`CREATE Sent (USE (\Sent))`, "NO [USEATTR]")
	all.all("DELETE Old", "OK")
	some.all(`CREATE Work/Sent (USE (\Sent))`, "NO [USEATTR]")
	all.all(`CREATE Sent (USE (\Sent))`, "OK")
	some.all("CREATE Work/Sent", "OK")
}
