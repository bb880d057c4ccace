"""What KMail does with an IMAP account, through the service it does it with:
Akonadi and its IMAP resource, on a bus and in a home of their own. Arguments:
HOST PORT USER PASSWORD and how many messages INBOX has. Where it prints `waiting
for`, it goes on when it is sent a line. What Akonadi holds is read from its
database."""

import os
import pathlib
import socket
import sqlite3
import struct
import subprocess
import sys
import time

from gi.repository import Gio, GLib

host, port, user, password, count = sys.argv[1:]
count = int(count)
home = pathlib.Path(os.environ["HOME"])
data = home / ".local/share/akonadi"
NAME, AKONADI = "akonadi_imap_resource_0", "org.freedesktop.Akonadi"
bus = Gio.bus_get_sync(Gio.BusType.SESSION)


def call(name, path, interface, method, *args):
    kinds = {str: "s", bool: "b"}
    value = GLib.Variant("(" + "".join(kinds[type(a)] for a in args) + ")", args)
    return bus.call_sync(name, path, interface, method, value, None, Gio.DBusCallFlags.NO_AUTO_START, 20000, None)


def names():
    return [n for n in call("org.freedesktop.DBus", "/", "org.freedesktop.DBus", "ListNames")[0] if n.startswith(AKONADI)]


def resource(interface, method, *args, path="/"):
    return call(f"{AKONADI}.Resource.{NAME}", path, interface, method, *args)


def control(*args):
    return subprocess.run(["akonadictl", *args], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def until(what, check):
    """Waits until something is so, for at most a minute."""
    late, error = time.monotonic() + 60, None
    while True:
        try:
            if value := check():
                return value
        except (GLib.Error, sqlite3.OperationalError, KeyError) as e:
            error = e
        assert time.monotonic() < late, (what, error, folders())
        time.sleep(0.05)


def synchronize(what, check):
    """As "check mail" does, and again where nothing came of it: Akonadi drops it at times
    while it still sets the folders up."""
    asked = 0

    def asks():
        nonlocal asked
        if time.monotonic() > asked + 10:
            asked = time.monotonic()
            resource(f"{AKONADI}.Resource", "synchronize")
        return check()
    until(what, asks)


def wait(what):
    print("waiting for", what, flush=True)
    assert sys.stdin.readline(), what


def query(sql, *args):
    with sqlite3.connect(f"file:{data}/akonadi.db?mode=ro", uri=True) as db:
        return db.execute(sql, args).fetchall()


def folders():
    """The ids of the folders by their names on the server: a remote id is the
    last part of it behind the delimiter."""
    return {rid[1:]: id for id, rid in query(
        "SELECT c.id, c.remoteId FROM CollectionTable c JOIN ResourceTable r ON r.id = c.resourceId"
        " WHERE r.name = ? AND c.remoteId LIKE '/%'", NAME)}


def items(folder):
    """The ids of the messages by UID."""
    return {int(uid): id for id, uid in query(
        "SELECT id, remoteId FROM PimItemTable WHERE collectionId = ? AND remoteId != ''", folders()[folder])}


def flags(uid):
    return {name for name, in query(
        "SELECT f.name FROM PimItemFlagRelation r JOIN FlagTable f ON f.id = r.Flag_id WHERE r.PimItem_id = ?", items("INBOX")[uid])}


def bodies(folder):
    """The messages by UID; a large one is in a file."""
    parts = query(
        "SELECT i.remoteId, p.data, p.storage FROM PartTable p JOIN PartTypeTable t ON t.id = p.partTypeId"
        " JOIN PimItemTable i ON i.id = p.pimItemId WHERE t.name = 'RFC822' AND i.collectionId = ?", folders()[folder])
    return {uid: next(data.rglob(bytes(raw).decode())).read_bytes() if storage else raw for uid, raw, storage in parts}


class Session:
    """A client of Akonadi, in its protocol (src/private/protocol.xml of its
    source): a tag, the number of a command, its fields as they lie in memory."""

    def __init__(self):
        self.conn = socket.socket(socket.AF_UNIX)
        self.conn.settimeout(20)
        self.conn.connect(os.environ["XDG_RUNTIME_DIR"] + "/akonadi/akonadiserver-cmd.socket")
        self.conn.recv(4096)  # Hello
        self.tag = 0
        self.send(2, self.text(b"test"))  # Login

    @staticmethod
    def text(raw):
        return struct.pack("<I", len(raw)) + raw

    @staticmethod
    def list(*texts):
        return struct.pack("<I", len(texts)) + b"".join(map(Session.text, texts))

    @staticmethod
    def id(value):
        return struct.pack("<BIqq", 1, 1, value, value)  # by id; one range

    def send(self, command, fields):
        self.tag += 1
        self.conn.sendall(struct.pack("<qB", self.tag, command) + fields)
        answer = b""
        while struct.pack("<qB", self.tag, command | 0x80) not in answer:
            more = self.conn.recv(4096)
            assert more, "Akonadi did not understand"
            answer += more
        error = answer.index(struct.pack("<qB", self.tag, command | 0x80)) + 9
        assert answer[error:error + 4] == bytes(4), answer

    def add_flag(self, item, flag):  # ModifyItems
        self.send(25, struct.pack("<????ii", True, False, False, True, -1, 2) + self.id(item) + self.list(flag))

    def move(self, item, folder):  # MoveItems
        self.send(26, self.id(item) + self.id(folder) + bytes(8))

    def create(self, parent, name):  # CreateCollection
        null = struct.pack("<I", 0xFFFFFFFF)
        kinds = self.list(*(k.encode("utf-16-le") for k in ("inode/directory", "message/rfc822")))
        self.send(40, self.id(parent) + self.text(name.encode("utf-16-le")) + null + null + kinds + self.list()
                  + self.list() + struct.pack("<ii??", -1, -1, True, False) + struct.pack("<??bbb", False, True, 2, 2, 2))


def configure():
    (home / ".config" / f"{NAME}rc").write_text(
        f"[network]\nImapServer={host}\nImapPort={port}\nUserName={user}\nSafety=None\nAuthentication=1\n"
        "[cache]\nDisconnectedModeEnabled=true\n")
    manager = (f"{AKONADI}.Control", "/AgentManager", f"{AKONADI}.AgentManager")
    until("Akonadi", lambda: AKONADI in names())
    until("the resource", lambda: call(*manager, "createAgentInstance", "akonadi_imap_resource")[0] == NAME)
    # No wallet has the password here, and it is forgotten whenever the resource
    # goes offline.
    online = f"{AKONADI}.Agent.Status"
    until("the resource is there", lambda: resource(online, "isOnline")[0])
    resource(online, "setOnline", False)
    until("the resource is offline", lambda: not resource(online, "isOnline")[0])
    resource("org.kde.Akonadi.Imap.Wallet", "setPassword", password, path="/Settings")
    resource(online, "setOnline", True)


def use():
    until("the folders", lambda: {"INBOX", "Archive", "Drafts", "Junk", "Sent", "Trash"} <= folders().keys())
    synchronize("the inbox", lambda: len(items("INBOX")) == count)
    until("the bodies", lambda: len(bodies("INBOX")) == count)
    (home / "inbox").mkdir()
    for uid, raw in bodies("INBOX").items():
        (home / "inbox" / uid).write_bytes(raw)
    wait("mail")
    until("the new message", lambda: count + 1 in items("INBOX"))
    wait("changes by another client")
    synchronize("the flag", lambda: r"\FLAGGED" in flags(2))
    until("the expunge", lambda: 3 not in items("INBOX"))
    until("the folder", lambda: "Entwürfe" in folders())
    session, inbox = Session(), items("INBOX")
    session.add_flag(inbox[4], rb"\SEEN")
    session.move(inbox[5], folders()["Archive"])
    root, = query("SELECT parentId FROM CollectionTable WHERE id = ?", folders()["INBOX"])[0]
    session.create(root, "R&D")
    until("the new folder is on the server", lambda: "R&D" in folders())
    wait("a look at what it has changed")


control("start")
try:
    configure()
    use()
    print("done", flush=True)
finally:
    control("stop")
    until("the end of Akonadi", lambda: not names())
