package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/popbridge/popbridge/internal/logging"
	"github.com/popbridge/popbridge/internal/samplemail"
)

// What the demo prints is enough to connect: a mail client that does what it
// says sees the sample mail, and the mail that trickles in.
func TestDemoTellsHowToConnect(t *testing.T) {
	d, err := newDemonstration()
	if err != nil {
		t.Fatal(err)
	}
	defer d.remove()
	out, w := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		a := newApp(nil, w, io.Discard)
		err := d.serve(ctx, a, func(ctx context.Context) error { return d.trickle(ctx, a, 50*time.Millisecond) })
		_ = w.Close()
		ended <- err
	}()
	said := map[string]string{}
	value := regexp.MustCompile(`^  (server|port|user|password) +(\S+)$`)
	arrived, neomutt := 0, ""
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if m := value.FindStringSubmatch(lines.Text()); m != nil {
			said[m[1]] = m[2]
		}
		if strings.Contains(lines.Text(), "neomutt") {
			neomutt = lines.Text()
		}
		if !strings.Contains(lines.Text(), "new mail: ") {
			continue
		}
		if arrived++; arrived == 2 {
			boxes, err := readBack(t.Context(), said["server"]+":"+said["port"], said["user"], said["password"])
			if err != nil {
				t.Fatalf("connected as told (%v): %v", said, err)
			}
			if got, want := inbox(boxes), len(samplemail.All(time.Now()))+2; got < want {
				t.Errorf("INBOX has %d messages, want at least %d", got, want)
			}
			cancel()
		}
	}
	if err := <-ended; err != nil {
		t.Errorf("the demo ended with %v", err)
	}
	if folder := "folder=imap://" + said["user"] + "@" + said["server"] + ":" + said["port"] + "/ "; !strings.Contains(neomutt, folder) {
		t.Errorf("without %q neomutt asks whether to make ~/Mail: %s", folder, neomutt) // in a folder that the demo does not remove
	}
	d.remove()
	if _, err := os.Stat(d.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
}

func inbox(boxes []mailbox) int {
	for _, b := range boxes {
		if b.name == "INBOX" {
			return len(b.messages)
		}
	}
	return 0
}

func TestDemoNoticesDamage(t *testing.T) {
	want := [][]byte{[]byte("one\r\n"), []byte("two\r\n")}
	if size, err := compare(want, want); err != nil || size != 10 {
		t.Errorf("equal: %d, %v", size, err)
	}
	for _, got := range [][][]byte{nil, want[:1], {want[0], []byte("two\n")}, {want[1], want[0]}} {
		if _, err := compare(want, got); err == nil {
			t.Errorf("%q passed for %q", got, want)
		}
	}
}

func TestSubjectOf(t *testing.T) {
	tests := []struct{ raw, want string }{
		{"Subject: Plain\r\n\r\n", "Plain"},
		{"Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\n\r\n", "Grüße"},
		{"Subject: =?x-unknown?Q?a?=\r\n\r\n", "=?x-unknown?Q?a?="},
		{"\r\nno header", ""},
		{"broken", "(no subject)"},
	}
	for _, tt := range tests {
		if got := subjectOf([]byte(tt.raw)); got != tt.want {
			t.Errorf("subjectOf(%q) = %q, want %q", tt.raw, got, tt.want)
		}
	}
}

// The page of the demo has its log, as its settings say; the terminal has warnings only.
func TestDemoLog(t *testing.T) {
	d, err := newDemonstration()
	if err != nil {
		t.Fatal(err)
	}
	defer d.remove()
	var terminal bytes.Buffer
	found := errors.New("found")
	err = d.serve(t.Context(), newApp(nil, io.Discard, &terminal), func(ctx context.Context) error {
		if _, err := d.fetch(ctx); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		return d.agent.Operations().FollowLog(ctx, 0, time.Minute, func(list []logging.Entry) error {
			if slices.ContainsFunc(list, func(e logging.Entry) bool { return strings.HasPrefix(e.Text, "fetched ") }) {
				return found
			}
			return nil
		})
	})
	if !errors.Is(err, found) {
		t.Errorf("the log of the page has no fetch: %v", err)
	}
	if terminal.Len() > 0 {
		t.Errorf("the terminal has %s", terminal.String())
	}
}
