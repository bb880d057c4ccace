package localimap

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/popbridge/popbridge/internal/testkit"
)

// What mail clients do that a script cannot say: the other half are the scripts
// client-*.txt of test/conformance.

// The big message is of 100 MB, in pieces as Thunderbird fetches them, each full
// of its number.
const (
	pieceSize = 64 << 10
	bigPieces = 1600
	bigSize   = pieceSize * bigPieces
)

// fillPiece makes buf, of pieceSize, the i-th piece.
func fillPiece(buf []byte, i int) {
	const line = 64
	copy(buf, fmt.Sprintf("%0*d\r\n", line-2, i))
	if i == 0 {
		copy(buf, fmt.Sprintf("%-*s\r\n\r\n", line-4, "Subject: a big one"))
		copy(buf[line:], fmt.Sprintf("%0*d\r\n", line-2, i))
		for n := 2 * line; n < len(buf); n += line {
			copy(buf[n:], buf[line:2*line])
		}
		return
	}
	for n := line; n < len(buf); n *= 2 {
		copy(buf[n:], buf[:n])
	}
}

// wantPieces reads some pieces of the big message and compares them.
func (k *talk) wantPieces(from, n int) {
	k.t.Helper()
	want, got := make([]byte, pieceSize), make([]byte, pieceSize)
	for i := from; i < from+n; i++ {
		fillPiece(want, i)
		if _, err := io.ReadFull(k.r, got); err != nil || !bytes.Equal(got, want) {
			k.t.Fatalf("piece %d is another: %v", i, err)
		}
	}
}

// readSoFar returns how many bytes this process has read from files and
// sockets; 0 where the system does not tell.
func readSoFar() (n int64) {
	raw, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(raw), "rchar: ")
	n, _ = strconv.ParseInt(strings.SplitN(rest, "\n", 2)[0], 10, 64)
	return n
}

// TestOutlookAndThunderbirdOnABigMessage: a draft of 100 MB is saved, Outlook
// fetches it whole, Thunderbird in pieces of 64 KiB. It is never in memory as a
// whole, and no piece costs reading what stands before it.
func TestOutlookAndThunderbirdOnABigMessage(t *testing.T) {
	r := newRig(t)
	k := r.talk("joe")
	const little = bigSize / 4
	if n := testkit.Allocated(func() {
		k.do(fmt.Sprintf("a APPEND Drafts (\\Draft \\Seen) {%d}", bigSize), "+")
		buf := make([]byte, pieceSize)
		for i := range bigPieces {
			fillPiece(buf, i)
			if _, err := k.conn.Write(buf); err != nil {
				t.Fatal(err)
			}
		}
		k.do("", "a OK [APPENDUID")
	}); n > little {
		t.Errorf("to save it took %d bytes of memory", n)
	}
	k.all("SELECT Drafts", "OK")
	k.same("FETCH 1 RFC822.SIZE", fmt.Sprintf("1 FETCH (RFC822.SIZE %d)", bigSize))
	before := readSoFar()
	if n := testkit.Allocated(func() {
		k.do("b UID FETCH 1 (UID BODY.PEEK[])", fmt.Sprintf("* 1 FETCH (UID 1 BODY[] {%d}", bigSize))
		k.wantPieces(0, bigPieces)
		k.want("b OK")
	}); n > little {
		t.Errorf("to fetch it took %d bytes of memory", n)
	}
	for i := 0; i < bigPieces; i += 4 {
		k.do(fmt.Sprintf("c UID FETCH 1 (UID RFC822.SIZE BODY.PEEK[]<%d.%d>)", i*pieceSize, pieceSize),
			fmt.Sprintf("* 1 FETCH (UID 1 RFC822.SIZE %d BODY[]<%d> {%d}", bigSize, i*pieceSize, pieceSize))
		k.wantPieces(i, 1)
		k.want("c OK")
	}
	// From the file and by this client, all of it and a quarter.
	if n := readSoFar() - before; n > 3*bigSize {
		t.Errorf("%d bytes were read for %d", n, bigSize+bigSize/4)
	}
}

// TestThunderbirdIsNeverToldOfAMessageWithoutSize: it would delete it. Whatever
// the POP server gave, and whatever became of the file here.
func TestThunderbirdIsNeverToldOfAMessageWithoutSize(t *testing.T) {
	dir := t.TempDir()
	r := openRig(t, dir)
	r.deliver("INBOX", nil, "", "no header\r\n", "\r\n", "Subject: gone\r\n\r\n", "Subject: short\r\n\r\nshort\r\n")
	r.damage(dir, "gone", os.Remove)
	r.damage(dir, "Subject: short", func(path string) error {
		if err := os.Chmod(path, 0o600); err != nil {
			return err
		}
		return os.Truncate(path, 0)
	})
	k := r.talk("joe")
	k.all("SELECT INBOX", "OK")
	k.same("UID FETCH 1:* (UID RFC822.SIZE FLAGS)",
		`1 FETCH (UID 1 FLAGS (\Recent) RFC822.SIZE 2)`, `2 FETCH (UID 2 FLAGS (\Recent) RFC822.SIZE 11)`, `3 FETCH (UID 3 FLAGS (\Recent) RFC822.SIZE 2)`,
		`4 FETCH (UID 4 FLAGS (\Recent) RFC822.SIZE 17)`, `5 FETCH (UID 5 FLAGS (\Recent) RFC822.SIZE 25)`)
	for uid := 4; uid <= 5; uid++ {
		if got := k.all(fmt.Sprintf("UID FETCH %d (UID RFC822.SIZE BODY.PEEK[])", uid), "NO [SERVERBUG]"); got != nil {
			t.Errorf("told of a damaged message: %q", got)
		}
	}
	if err := r.close(); err == nil || !strings.Contains(err.Error(), "missing-file") {
		t.Errorf("the check says %v", err)
	}
}

// TestThunderbirdAndEvolutionConnectInParallel: each connection logs in, makes
// the folder that the others make too, and uses it.
func TestThunderbirdAndEvolutionConnectInParallel(t *testing.T) {
	r := newRig(t)
	r.deliver("INBOX", nil, "Subject: 1\r\n\r\n", "Subject: 2\r\n\r\n")
	var made, there int
	var g errgroup.Group
	answers := make(chan string, 5)
	for range 5 {
		k := r.talk("")
		g.Go(func() error {
			k.all("AUTHENTICATE PLAIN AGpvZQBwdw==", "OK")
			k.send("m CREATE Archives/2026")
			answers <- k.want("m ")
			k.all("SUBSCRIBE Archives/2026", "OK")
			k.all("SELECT Archives/2026", "OK")
			k.all("SELECT INBOX", "OK")
			if got := k.all("UID FETCH 1:* (UID)", "OK"); len(got) != 2 {
				return fmt.Errorf("got %q", got)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	for range 5 {
		switch got := <-answers; {
		case strings.HasPrefix(got, "m OK"):
			made++
		case strings.HasPrefix(got, "m NO [ALREADYEXISTS]"):
			there++
		}
	}
	if made != 1 || there != 4 {
		t.Errorf("made by %d, there for %d", made, there)
	}
}

// TestANOOPFlood: a client that asks without end is answered, in order, and
// no one else waits for it.
func TestANOOPFlood(t *testing.T) {
	r := newRig(t)
	flood, other := r.talk("joe"), r.talk("joe")
	flood.all("SELECT INBOX", "OK")
	const n = 10000
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "n%d NOOP\r\n", i)
	}
	var g errgroup.Group
	g.Go(func() error {
		_, err := io.WriteString(flood.conn, text.String())
		return err
	})
	other.all("SELECT INBOX", "OK")
	for i := range n {
		if got, want := flood.line(), fmt.Sprintf("n%d OK", i); !strings.HasPrefix(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

// TestK9AndThunderbirdSaveTheSameSentMessage at once, and one of them again,
// for its connection broke before the answer came.
func TestK9AndThunderbirdSaveTheSameSentMessage(t *testing.T) {
	r := newRig(t)
	var g errgroup.Group
	save := func(k *talk) error {
		k.do("s APPEND Sent (\\Seen) {25}", "+")
		k.send("Subject: sent\r\n\r\nthis\r\n\r\n")
		return nil
	}
	uids := make(chan string, 2)
	for range 2 {
		k := r.talk("joe")
		g.Go(func() error {
			defer func() { uids <- k.want("s ") }()
			return save(k)
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if a, b := <-uids, <-uids; a != b || !strings.HasPrefix(a, "s OK [APPENDUID") {
		t.Errorf("answers %q and %q", a, b)
	}
	broken := r.talk("joe")
	if err := save(broken); err != nil {
		t.Fatal(err)
	}
	_ = broken.conn.Close()
	k := r.talk("joe")
	if err := save(k); err != nil {
		t.Fatal(err)
	}
	k.want("s OK [APPENDUID")
	k.same("STATUS Sent (MESSAGES UIDNEXT)", "STATUS Sent (MESSAGES 1 UIDNEXT 2)")
}
