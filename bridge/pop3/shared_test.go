package pop3

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/popbridge/popbridge/internal/testkit"
)

// reply loads a literal server answer, with the line ends of the wire.
func sharedReply(t *testing.T, name string) []byte {
	b, err := os.ReadFile(filepath.Join(testkit.Shared(t, "pop3-replies"), name))
	if err != nil {
		t.Fatal(err)
	}
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	if !bytes.HasSuffix(b, []byte("\n")) {
		b = append(b, '\n')
	}
	return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))
}

// TestSharedReplies drives the parsers with answers of real servers, well
// formed and not.
func TestSharedReplies(t *testing.T) {
	testkit.Shared(t, "pop3-replies")
	ctx := t.Context()
	for name, want := range map[string]string{
		"comcast/stat.txt": "7 1800662", "exchange/stat.txt": "7 1800662", "gmail/stat.txt": "3 221409", "lang/stat.txt": "3 221409",
		"comcast/stat-error1.txt": "7 0", "comcast/stat-error2.txt": "error", "comcast/stat-error3.txt": "7 0", "comcast/err.txt": "error",
	} {
		t.Run(name, func(t *testing.T) {
			s := &session{c: clientOn(sharedReply(t, name))}
			s.call(t, "stat")
			if want != "error" && s.out.String() != "stat "+want+": ok\n" || want == "error" && strings.Contains(s.out.String(), "ok") {
				t.Error(s.out.String())
			}
		})
	}
	for name, want := range map[string][2]int{ // messages, warnings
		"comcast/list.txt": {7, 0}, "comcast/list-error1.txt": {7, 1}, "comcast/list-error2.txt": {7, 0}, "comcast/list-error3.txt": {7, 1},
		"gmail/list.txt": {3, 0}, "gmail/uidl.txt": {3, 0}, "gmail/uidl-error1.txt": {3, 1}, "gmail/uidl-error2.txt": {3, 0}, "exchange/uidl.txt": {7, 0},
	} {
		t.Run(name, func(t *testing.T) {
			n := 0
			c := clientOn(sharedReply(t, name))
			var warnings int
			var err error
			if strings.Contains(name, "list") {
				warnings, err = c.List(ctx, func(int, int64) { n++ })
			} else {
				warnings, err = c.UIDL(ctx, func(int, string) { n++ })
			}
			if n != want[0] || warnings != want[1] || err != nil {
				t.Errorf("%d messages, %d warnings, %v", n, warnings, err)
			}
		})
	}
	for name, want := range map[string]string{
		"comcast/capa1.txt":  "known=true uidl=true pipelining=false delay=0s expire=31,true sasl=[]",
		"comcast/capa2.txt":  "known=true uidl=true pipelining=false delay=0s expire=-1,true sasl=[PLAIN X-ZIMBRA]",
		"exchange/capa.txt":  "known=true uidl=true pipelining=false delay=0s expire=0,false sasl=[NTLM GSSAPI PLAIN LOGIN]",
		"gmail/capa1.txt":    "known=true uidl=true pipelining=false delay=5m0s expire=0,true sasl=[PLAIN XOAUTH2]",
		"gmail/capa2.txt":    "known=true uidl=true pipelining=true delay=5m0s expire=0,true sasl=[]",
		"lang/capa1.txt":     "known=true uidl=true pipelining=false delay=5m0s expire=0,true sasl=[PLAIN XOAUTH2]",
		"lang/capa2.txt":     "known=true uidl=true pipelining=true delay=5m0s expire=0,true sasl=[]",
		"comcast/err.txt":    "known=false uidl=false pipelining=false delay=0s expire=0,false sasl=[]",
		"comcast/retr1.txt":  "known=true", // anything but a crash
		"lang/getlang.txt":   "known=true",
		"gmail/uidl.txt":     "known=true",
		"exchange/retr1.txt": "known=true",
	} {
		t.Run(name, func(t *testing.T) {
			s := &session{c: clientOn(sharedReply(t, name))}
			if err := s.c.capa(); err != nil {
				t.Fatal(err)
			}
			s.call(t, "caps")
			if !strings.HasPrefix(s.out.String(), "caps: "+want) {
				t.Error(s.out.String())
			}
		})
	}
	for _, name := range []string{"comcast/retr1.txt", "exchange/retr1.txt", "gmail/retr1.txt", "gmail/retr123.txt", "gmail/top123.txt"} {
		t.Run(name, func(t *testing.T) {
			wire := sharedReply(t, name)
			var reqs []Request
			for i := range bytes.Count(wire, []byte("+OK message follows\r\n")) {
				reqs = append(reqs, Request{Num: i + 1})
			}
			conn := &fuzzConn{}
			c := clientFor(conn)
			for answer := range bytes.SplitAfterSeq(wire, []byte("\r\n.\r\n")) {
				conn.chunks = append(conn.chunks, answer)
			}
			err := c.Retr(ctx, reqs, Check{}, func(num int, r io.Reader) error {
				got, err := io.ReadAll(r)
				if err == nil && !bytes.HasPrefix(wire, append([]byte("+OK message follows\r\n"), stuff(got)...)) {
					t.Errorf("message %d is not what was sent", num)
				}
				wire = wire[min(len(wire), len("+OK message follows\r\n")+len(stuff(got))):]
				return err
			}, func(num int, err error) { t.Errorf("message %d: %v", num, err) })
			if err != nil || len(wire) != 0 || len(reqs) == 0 {
				t.Errorf("%d messages, %d bytes left, %v", len(reqs), len(wire), err)
			}
		})
	}
	for _, name := range []string{"comcast/greeting.txt", "common/ok-greeting.txt", "exchange/greeting.txt", "gmail/greeting.txt", "lang/greeting.txt", "common/err-greeting.txt"} {
		t.Run(name, func(t *testing.T) {
			c := clientOn(sharedReply(t, name))
			if err := c.greeting(); isReply(err) != strings.Contains(name, "err") || !isReply(err) && err != nil {
				t.Error(err)
			}
			if c.timestamp != "" != strings.HasPrefix(name, "lang") {
				t.Errorf("time stamp %q", c.timestamp)
			}
		})
	}
	for _, name := range []string{"exchange/plus.txt", "gmail/plus.txt"} {
		if challenge, done, err := clientOn(sharedReply(t, name)).challenge("AUTH PLAIN"); len(challenge) != 0 || done || err != nil {
			t.Errorf("%s: %q %v %v", name, challenge, done, err)
		}
	}
	for _, name := range []string{"comcast/ok.txt", "comcast/quit.txt", "exchange/auth.txt", "gmail/dele.txt", "gmail/noop.txt", "gmail/rset.txt", "lang/utf8.txt", "lang/setlang.txt"} {
		if _, err := clientOn(sharedReply(t, name)).reply("NOOP"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
