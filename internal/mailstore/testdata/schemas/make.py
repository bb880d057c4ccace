#!/usr/bin/env python3
"""make.py PROGRAM SCHEMA

Writes SCHEMA.tar.gz, a mail store as PROGRAM leaves it, and SCHEMA.txt, what PROGRAM
said of it over IMAP. README.md says which commit PROGRAM has to be built from."""

import base64, gzip, hashlib, imaplib, io, os, re, signal, socket, socketserver
import subprocess, sys, tarfile, tempfile, threading, time

program, schema = os.path.abspath(sys.argv[1]), int(sys.argv[2])
here = os.path.dirname(os.path.abspath(__file__))


def crlf(text):
    return text.replace("\n", "\r\n").encode("utf-8")


def head(n, subject, more="", sender="Eva <eva@example.com>"):
    return (f"Received: from a.example.com by b.example.com; Mon, 2 Nov 2026 09:{n:02}:00 +0100\n"
            f"From: {sender}\nTo: ann@example.com\nDate: Mon, 2 Nov 2026 09:{n:02}:00 +0100\n"
            f"Message-ID: <m{n}@example.com>\nSubject: {subject}\n{more}")


def mail():
    plain = crlf(head(1, "plain") + "\nHello Ann,\n.\n..two dots\nEva\n")
    alternative = crlf(head(2, "two forms", "MIME-Version: 1.0\nContent-Type: multipart/alternative; boundary=b\n") +
                       "\n--b\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nGrüße\n"
                       "--b\nContent-Type: text/html\n\n<p>Gr&uuml;&szlig;e</p>\n--b--\n")
    picture = base64.encodebytes(bytes(range(256)) * 8).decode()
    attached = crlf(head(3, "a file", "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=c\n") +
                    "\n--c\n\nsee the file\n--c\nContent-Type: image/png; name=p.png\n"
                    "Content-Disposition: attachment; filename*=utf-8''%C3%A4.png\n"
                    "Content-Transfer-Encoding: base64\n\n" + picture + "--c--\n")
    eight = crlf(head(4, "8-bit: caf@")).replace(b"@\r\n", b"\xe9\r\n") + b"\r\nlatin 1: \xe4\xf6\xfc\r\n"
    encoded = crlf(head(5, "=?utf-8?Q?f=C3=BCnf?=", "References: <m1@example.com>\nIn-Reply-To: <m1@example.com>\n") + "\nre\n")
    large = crlf(head(6, "large") + "\n" + "".join(f"{i}: all work and no play makes Jack a dull boy\n" for i in range(5000)))
    utf8 = crlf(head(7, "Größe €", sender="Jörg <joerg@example.com>") + "\nraw utf-8 in the header\n")
    odd = b"no header at all, and a NUL \x00\r\n"
    nested = crlf(head(9, "forwarded", "MIME-Version: 1.0\nContent-Type: message/rfc822\n") + "\n" + head(1, "plain") + "\nHello\n")
    last = [crlf(head(n, f"number {n}") + f"\nbody {n}\n") for n in (10, 11, 12)]
    return [plain, alternative, attached, eight, encoded, large, utf8, odd, nested, plain] + last


class Maildrop(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True

    def __init__(self, messages):
        self.drop = []  # of (uidl, octets)
        for i, raw in enumerate(messages, 1):
            # as internal/popserver makes its ids
            self.drop.append((hashlib.sha256(bytes([i, 0, 0, 0]) + raw).hexdigest()[:32], raw))
        super().__init__(("127.0.0.1", 0), Session)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Session(socketserver.StreamRequestHandler):
    def handle(self):
        drop, gone = list(self.server.drop), set()
        say = lambda text: self.wfile.write(text.encode() + b"\r\n")
        there = lambda: [(i, m) for i, m in enumerate(drop, 1) if i not in gone]
        say("+OK ready")
        for line in self.rfile:
            verb, _, rest = line.decode().strip().partition(" ")
            verb, n = verb.upper(), int(rest.split()[0]) if rest[:1].isdigit() else 0
            if verb == "CAPA":
                say("+OK\r\nUSER\r\nUIDL\r\nTOP\r\n.")
            elif verb == "STAT":
                say(f"+OK {len(there())} {sum(len(m[1]) for _, m in there())}")
            elif verb in ("LIST", "UIDL") and n:
                say(f"+OK {n} {drop[n - 1][0] if verb == 'UIDL' else len(drop[n - 1][1])}")
            elif verb in ("LIST", "UIDL"):
                say("+OK")
                for i, m in there():
                    say(f"{i} {m[0] if verb == 'UIDL' else len(m[1])}")
                say(".")
            elif verb in ("RETR", "TOP"):
                raw = drop[n - 1][1]
                if verb == "TOP":
                    top, _, body = raw.partition(b"\r\n\r\n")
                    raw = top + b"\r\n\r\n" + b"".join(body.splitlines(True)[:int(rest.split()[1])])
                say("+OK")
                self.wfile.write(re.sub(rb"(?m)^\.", b"..", raw))
                say(".")
            elif verb == "DELE":
                gone.add(n)
                say("+OK")
            elif verb in ("USER", "PASS", "NOOP", "RSET"):
                say("+OK")
            elif verb == "QUIT":
                left = [m for i, m in enumerate(drop, 1) if i in gone]
                self.server.drop = [m for m in self.server.drop if m not in left]
                say("+OK")
                return
            else:
                say("-ERR unknown")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Agent:
    def __init__(self, dir, config):
        self.config, self.port = config, int(re.search(r"127.0.0.1:(\d+)\"\]", open(config).read())[1])
        self.env = dict(os.environ, HOME=dir, XDG_STATE_HOME=dir + "/state", XDG_DATA_HOME=dir + "/xdg")

    def do(self, *args, stdin=""):
        return subprocess.run([program, *args, "--config", self.config], input=stdin, text=True, check=True, env=self.env, capture_output=True).stdout

    def __enter__(self):
        self.process = subprocess.Popen([program, "run", "--config", self.config], env=self.env, stdout=subprocess.DEVNULL, stderr=open(self.config + ".log", "a"))
        for _ in range(200):
            try:
                self.imap = imaplib.IMAP4("127.0.0.1", self.port)
                break
            except OSError:
                time.sleep(0.1)
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0


def ok(answer):
    assert answer[0] == "OK", answer
    return answer[1]


def served(imap):
    """What an IMAP client sees: the form is that of servedBy in agent/upgrade_test.go."""
    lines = []
    name_of = lambda row: row.rpartition(b'"/" ')[2].decode().strip('"')
    readable = lambda name: name.replace("&APw-", "ü")
    for name in sorted(map(name_of, ok(imap.list()))):
        status = ok(imap.status(f'"{name}"', "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN)"))[0].decode()
        value = lambda key: re.search(key + r" (\d+)", status)[1]
        lines.append(f"{readable(name)} uidvalidity {value('UIDVALIDITY')} uidnext {value('UIDNEXT')} messages {value('MESSAGES')} unseen {value('UNSEEN')}")
        ok(imap.select(f'"{name}"', readonly=True))
        got = ok(imap.uid("FETCH", "1:*", "(UID FLAGS INTERNALDATE BODY.PEEK[])")) if value("MESSAGES") != "0" else []
        for item in got:
            if not isinstance(item, tuple):
                continue
            text, raw = item[0].decode(), item[1]
            flags = sorted(f for f in re.search(r"FLAGS \(([^)]*)\)", text)[1].split() if f != "\\Recent")
            date = re.search(r'INTERNALDATE "([^"]*)"', text)[1].strip()
            uid = re.search(r"UID (\d+)", text)[1]
            lines.append(f"  {uid} [{' '.join(flags)}] {date} {hashlib.sha256(raw).hexdigest()}")
    return lines + ["subscribed " + readable(name) for name in sorted(map(name_of, ok(imap.lsub())))]


def fill(imap):
    umlaut = '"B&APw-ro Ablage"'
    for name in (umlaut, "Archive/2025", "Lists"):
        ok(imap.create(name))
        ok(imap.subscribe(name))
    ok(imap.unsubscribe("Lists"))
    ok(imap.select("INBOX"))
    ok(imap.uid("STORE", "1", "+FLAGS", r"(\Seen \Flagged $Forwarded)"))
    ok(imap.uid("STORE", "2:3", "+FLAGS", r"(\Seen \Answered projekt)"))
    ok(imap.uid("COPY", "1:2", umlaut))
    ok(imap.uid("MOVE", "3,9", "Archive/2025"))
    ok(imap.uid("STORE", "4,7", "+FLAGS", r"(\Deleted projekt)"))
    ok(imap.expunge())
    ok(imap.append("Drafts", r"(\Draft \Seen)", None, crlf(head(20, "a draft") + "\nnot sent\n")))
    ok(imap.uid("STORE", "5", "+FLAGS", r"(\Deleted)"))
    ok(imap.unselect())


def main():
    messages = mail()
    home, work = Maildrop(messages[:10]), Maildrop(messages[10:])
    with tempfile.TemporaryDirectory() as dir:
        config = dir + "/config.toml"
        text = f'version = 1\ndata_dir = "{dir}/data"\n[imap]\nlisten = ["127.0.0.1:{free_port()}"]\ntls = "off"\n'
        for name, server, keep in (("home", home, "forever"), ("work", work, "never")):
            text += (f'[[account]]\nname = "{name}"\nhost = "127.0.0.1"\nport = {server.server_address[1]}\ntls = "none"\nusername = "ann"\n'
                     f'password_file = "{dir}/password"\nuser = "ann"\nkeep_on_server = "{keep}"\n')
        open(config, "w").write(text)
        open(os.open(dir + "/password", os.O_CREAT | os.O_WRONLY, 0o600), "w").write("secret\n")
        agent = Agent(dir, config)
        agent.do("device", "add", "laptop", "--user", "ann", "--password-stdin", stdin="correct horse battery\n")
        more = ["--folder", "Archive/2025"] if schema >= 2 else []
        agent.do("sync", "home")
        agent.do("sync")
        with agent:
            ok(agent.imap.login("ann", "correct horse battery"))
            fill(agent.imap)
            agent.do("device", "add", "tablet", "--read-only", *more, "--password-stdin", stdin="staple of the battery\n")
            del home.drop[1]  # another program has deleted it
            agent.do("sync")
            lines = served(agent.imap)
            agent.imap.logout()
        assert not work.drop, "the account work deletes what it has fetched"
        lines += [f"server home {uidl} {hashlib.sha256(raw).hexdigest()}" for uidl, raw in home.drop]
        store = dir + "/data/users/ann"
        assert not os.path.exists(store + "/index.db-wal")
        write(store, lines)


def write(store, lines):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path, dirs, files in os.walk(store):
            dirs[:] = sorted(d for d in dirs if d not in ("tmp", "search"))
            for name in sorted(files):
                full = os.path.join(path, name)
                info = tar.gettarinfo(full, os.path.relpath(full, store))
                info.uid = info.gid = 0
                info.uname = info.gname = ""
                with open(full, "rb") as f:
                    tar.addfile(info, f)
    with open(f"{here}/{schema}.tar.gz", "wb") as f:
        f.write(gzip.compress(out.getvalue(), 9, mtime=0))
    with open(f"{here}/{schema}.txt", "w") as f:
        f.write("\n".join(lines) + "\n")
    print(schema, os.path.getsize(f"{here}/{schema}.tar.gz"), "octets")


main()
