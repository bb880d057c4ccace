"""Every method of imaplib.IMAP4, against the server at HOST PORT USER PASSWORD
CA.PEM: what the capabilities allow works, everything else is refused cleanly,
and the connection goes on afterwards. Ends with 0 and prints what was done."""

import imaplib
import ssl
import sys
import time

host, port, user, password, ca = sys.argv[1:]
done = []


def ok(name, answer, what=None):
    """The answer of a method that must work; returns its data."""
    kind, data = answer
    assert kind == "OK", f"{name}: {answer}"
    assert what is None or what in repr(data), f"{name}: no {what} in {data}"
    done.append(name)
    return data


def refused(name, call):
    """A method that must be answered with NO or BAD, or that imaplib itself
    declines because of the capabilities; the connection must live."""
    try:
        kind, data = call()
        assert kind in ("NO", "BAD"), f"{name}: {kind} {data}"
    except imaplib.IMAP4.abort as e:
        raise AssertionError(f"{name} ended the connection: {e}")
    except imaplib.IMAP4.error:
        pass
    ok("noop after " + name, m.noop())
    done.append("refused: " + name)


# Before login: no TLS, no login.
m = imaplib.IMAP4(host, int(port))
assert "IMAP4REV1" in m.capabilities, m.capabilities
refused("login without TLS", lambda: m.login(user, password))
ok("starttls", m.starttls(ssl.create_default_context(cafile=ca)))
refused("a wrong password", lambda: m.login(user, password + "x"))
refused("login_cram_md5", lambda: m.login_cram_md5(user, password))
ok("authenticate", m.authenticate("PLAIN", lambda challenge: b"\0%s\0%s" % (user.encode(), password.encode())))
ok("capability", m.capability(), "IMAP4rev1")
ok("noop", m.noop())
ok("namespace", m.namespace())
m._get_capabilities()  # imaplib keeps those from before login, which have no ENABLE
ok("enable", m.enable("UTF8=ACCEPT"))
m.shutdown()

# A connection without UTF8=ACCEPT, for the old encoding.
m = imaplib.IMAP4(host, int(port))
m.starttls(ssl.create_default_context(cafile=ca))
ok("login", m.login(user, password))

# Mailboxes.
ok("create", m.create("Py/Sub"))
ok("create with a name in modified UTF-7", m.create("Gr&APwA3w-e"))
refused("create what is there", lambda: m.create("Py/Sub"))
ok("subscribe", m.subscribe("Py/Sub"))
ok("lsub", m.lsub('""', "Py/*"), "Py/Sub")
ok("unsubscribe", m.unsubscribe("Py/Sub"))
assert "Py/Sub" not in repr(ok("lsub", m.lsub('""', "Py/*")))
ok("list", m.list(), "Gr&APwA3w-e")
ok("list with a pattern", m.list('""', "Py/%"), "Py/Sub")
ok("rename", m.rename("Py/Sub", "Py/Other"))
ok("delete", m.delete("Py/Other"))
refused("delete what is not there", lambda: m.delete("Py/Other"))
refused("delete INBOX", lambda: m.delete("INBOX"))

# Messages.
text = "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= from Python\r\nFrom: ann@example.com\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nHeute Süßes.\r\n".encode()
when = time.mktime((2025, 6, 2, 10, 0, 0, 0, 0, -1))  # imaplib writes it in the local zone
ok("append", m.append("Py", r"(\Seen \Draft)", when, text), "APPENDUID")
ok("append without flags and date", m.append("Py", None, None, text.replace(b"Python", b"Snake")))
refused("append to no mailbox", lambda: m.append("Nowhere", None, None, text))
refused("select what is not there", lambda: m.select("Nowhere"))
assert ok("select", m.select("Py")) == [b"2"]
assert m.response("UIDVALIDITY")[1][0] and m.response("EXISTS")[1] is not None
done.append("response")
ok("recent", m.recent())
ok("status", m.status("Py", "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN RECENT)"), "MESSAGES 2")
ok("check", m.check())
parts = ok("fetch", m.fetch("1", "(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[])"))
assert parts[0][1] == text, parts
assert time.mktime(imaplib.Internaldate2tuple(parts[0][0])) == when, parts
assert {b"\\Seen", b"\\Draft"} <= set(imaplib.ParseFlags(parts[0][0])), parts
refused("partial, which is of IMAP2", lambda: m.partial("1", "RFC822", "1", "10"))
ok("store", m.store("2", "+FLAGS", r"(\Flagged keyword)"), "keyword")
assert ok("search", m.search(None, "KEYWORD", "keyword")) == [b"2"]
m.literal = "süß".encode()
assert ok("search with a charset", m.search("UTF-8", "BODY")) == [b"1 2"]
m.literal = "GRÜßE".encode()
assert ok("search for a decoded header", m.search("UTF-8", "SUBJECT")) == [b"1 2"]
assert ok("search for both", m.search(None, "FROM", '"ann"', "SUBJECT", '"snake"')) == [b"2"]
refused("search with a charset nobody has", lambda: m.search("X-NOBODY", "TEXT", "a"))
assert ok("uid search", m.uid("SEARCH", None, "ALL")) == [b"1 2"]
ok("uid fetch", m.uid("FETCH", "1:*", "(FLAGS)"), "UID 2")
ok("uid store", m.uid("STORE", "1", "-FLAGS", r"(\Draft)"))
ok("uid copy", m.uid("COPY", "1", "Archive"))
ok("copy", m.copy("1:2", "Archive"))
ok("uid move", m.uid("MOVE", "1", "Archive"))
assert ok("search after move", m.search(None, "ALL")) == [b"1"]
ok("select read-only", m.select("Archive", readonly=True))
refused("store where it is read-only", lambda: m.store("1", "+FLAGS", r"(\Deleted)"))
ok("close", m.close())
ok("select", m.select("Py"))
ok("store", m.store("1", "+FLAGS.SILENT", r"(\Deleted)"))
assert ok("expunge", m.expunge()) == [b"1"]
ok("unselect", m.unselect())

# Archive has the first message three times, and the second in their midst.
ok("select", m.select("Archive"))
assert ok("sort", m.sort("(DATE)", "UTF-8", "ALL")) == [b"1 2 4 3"]
assert ok("uid sort", m.uid("SORT", "(REVERSE DATE)", "UTF-8", "1:3")) == [b"3 1 2"]
assert ok("thread", m.thread("REFERENCES", "UTF-8", "ALL")) == [b"((1)(2)(4))(3)"]
assert ok("uid thread", m.uid("THREAD", "ORDEREDSUBJECT", "UTF-8", "ALL")) == [b"(1 (2)(4))(3)"]

# What is not announced is refused, and nothing else happens.
for name, call in {
    "uid with a command that has none": lambda: m.uid("NOOP", "1"),
    "getacl": lambda: m.getacl("INBOX"),
    "setacl": lambda: m.setacl("INBOX", "bob", "lr"),
    "deleteacl": lambda: m.deleteacl("INBOX", "bob"),
    "myrights": lambda: m.myrights("INBOX"),
    "getannotation": lambda: m.getannotation("INBOX", '"/comment"', '"value"'),
    "setannotation": lambda: m.setannotation("INBOX", '"/comment"', '("value" "x")'),
    "getquota": lambda: m.getquota("user"),
    "getquotaroot": lambda: m.getquotaroot("INBOX"),
    "setquota": lambda: m.setquota("user", "(STORAGE 10)"),
    "proxyauth": lambda: m.proxyauth("bob"),
    "xatom": lambda: m.xatom("XNOTHING", "x"),
    "login once more": lambda: m.login(user, password),
    "starttls once more": lambda: m.xatom("STARTTLS"),
    "fetch of nonsense": lambda: m.fetch("1", "(NONSENSE)"),
    "a bad set": lambda: m.fetch("0", "(UID)"),
}.items():
    refused(name, call)

# IDLE has a method of its own from Python 3.14 on.
if hasattr(m, "idle"):
    with m.idle(duration=5) as idler:
        other = imaplib.IMAP4(host, int(port))
        other.starttls(ssl.create_default_context(cafile=ca))
        other.login(user, password)
        other.append("Archive", None, None, text)
        assert any(kind == "EXISTS" for kind, data in idler), "no EXISTS in IDLE"
        other.logout()
    done.append("idle")
else:
    tag = m._new_tag()
    m.send(tag + b" IDLE\r\n")
    assert m.readline().startswith(b"+"), "no continuation of IDLE"
    other = imaplib.IMAP4(host, int(port))
    other.starttls(ssl.create_default_context(cafile=ca))
    other.login(user, password)
    other.append("Archive", None, None, text)
    line = m.readline()
    while b"EXISTS" not in line:
        assert line.startswith(b"*"), line
        line = m.readline()
    other.logout()
    m.send(b"DONE\r\n")
    while not line.startswith(tag):
        line = m.readline()
    assert line.startswith(tag + b" OK"), line
    done.append("idle by hand")

kind, data = m.logout()
assert kind == "BYE", (kind, data)
done.append("logout")
print("\n".join(done))
