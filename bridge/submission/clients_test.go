package submission

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/serving"
	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// program is one that sends, as a person uses it from a shell.
type program struct {
	name   string
	need   string
	file   string // goes to DIR/in, with LF as its line ends, and to standard input
	script string // for sh, with the variables DIR, PORT and CA
	want   []string
	to     []string
	body   string // what the message ends with
	eight  bool
}

const (
	fieldsOf = "From: Ann <ann@example.com>\nTo: bob@example.net\nSubject: by %s\n\n"
	body     = "Hello\n.\n..two\n\nFrom me\n" // what clients like to touch
)

// sent is a text as it is stored.
func sent(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") }

var programs = []program{{
	name: "curl", need: "curl", file: fmt.Sprintf(fieldsOf, "curl") + body,
	script: `curl -sS --crlf --ssl-reqd --cacert "$CA" --url smtp://localhost:$PORT --user ann:pw --mail-from ann@example.com --mail-rcpt bob@example.net --mail-rcpt eve@example.net -T "$DIR/in"`,
	to:     []string{"bob@example.net", "eve@example.net"}, body: body,
}, {
	name: "swaks", need: "swaks", file: fmt.Sprintf(fieldsOf, "swaks") + body,
	script: `swaks --server localhost --port $PORT --tls --auth LOGIN --auth-user ann --auth-password pw --from ann@example.com --to bob@example.net,eve@example.net --data - --hide-all`,
	to:     []string{"bob@example.net", "eve@example.net"}, body: body + "\n", // which it adds
}, {
	name: "swaks that pipelines", need: "swaks", file: fmt.Sprintf(fieldsOf, "swaks") + body,
	script: `swaks --server localhost --port $PORT --tls --pipeline --auth PLAIN --auth-user ann --auth-password pw --from ann@example.com --to bob@example.net --data - --hide-all`,
	to:     []string{"bob@example.net"}, body: body + "\n",
}, {
	name: "msmtp", need: "msmtp", file: fmt.Sprintf(fieldsOf, "msmtp") + body,
	script: `msmtp --host=localhost --port=$PORT --tls=on --tls-trust-file="$CA" --auth=on --user=ann --passwordeval='echo pw' --from=ann@example.com bob@example.net`,
	to:     []string{"bob@example.net"}, body: body,
}, {
	name: "smtplib", need: "python3", file: `
import os, smtplib, ssl
from email.message import EmailMessage
m = EmailMessage()
m["From"], m["To"], m["Bcc"], m["Subject"] = "Ann <ann@example.com>", "bob@example.net", "eve@example.net", "by smtplib"
m.set_content("Gr\u00fc\u00dfe\n.\n..two\n", cte="8bit")
with smtplib.SMTP("localhost", int(os.environ["PORT"])) as s:
    s.starttls(context=ssl.create_default_context(cafile=os.environ["CA"]))
    s.login("ann", "pw")
    s.send_message(m)
`,
	script: `python3 -`, want: []string{"Subject: by smtplib\r\n"},
	to: []string{"bob@example.net", "eve@example.net"}, body: "Gr\u00fc\u00dfe\n.\n..two\n", eight: true,
}, {
	name: "neomutt", need: "neomutt", file: body,
	script: `echo "set smtp_url=smtp://ann@localhost:$PORT smtp_pass=pw ssl_force_tls ssl_starttls certificate_file=$CA from=ann@example.com realname=Ann copy=no
unset ssl_usesystemcerts ssl_use_system_certs" > "$DIR/rc"
neomutt -n -F "$DIR/rc" -s 'by neomutt' -b eve@example.net -- bob@example.net`,
	want: []string{"Subject: by neomutt\r\n", "From: Ann <ann@example.com>\r\n"},
	to:   []string{"bob@example.net", "eve@example.net"}, body: body,
}}

// TestPrograms: those that people send with log in under TLS, and what they send is
// stored as they sent it, with what was missing.
func TestPrograms(t *testing.T) {
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			rig.Need(t, p.need, "sh")
			ca := testkit.CA(t)
			r := newRig(t, func(_ *server, o *Options) { o.Security, o.TLS = serving.StartTLS, ca.ServerConfig })
			_, port, err := net.SplitHostPort(r.addr)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "in"), []byte(p.file), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "sh", "-ec", p.script)
			cmd.Dir, cmd.Stdin = dir, strings.NewReader(p.file)
			cmd.Env = append(os.Environ(), "HOME="+dir, "DIR="+dir, "PORT="+port, "CA="+ca.CAFile, "LC_ALL=C.UTF-8")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			m := r.last(1)
			if !slices.Equal(m.Recipients, p.to) || m.From != "ann@example.com" || m.MessageID == "" || m.EightBit != p.eight {
				t.Errorf("%+v", m.Submission)
			}
			head, _, _ := strings.Cut(m.raw, "\r\n\r\n")
			for _, want := range append(p.want, "\r\nSubject: by ", "Date: ", "Message-ID: ") {
				if !strings.Contains("\r\n"+head+"\r\n", want) {
					t.Errorf("no %q in %q", want, head)
				}
			}
			if !strings.HasSuffix(m.raw, "\r\n\r\n"+sent(p.body)) {
				t.Errorf("the message is %q, want %q at its end", m.raw, sent(p.body))
			}
		})
	}
}
