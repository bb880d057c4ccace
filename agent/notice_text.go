package agent

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/emersion/go-message/mail"

	"github.com/popbridge/popbridge/agent/health"
	"github.com/popbridge/popbridge/config"
)

const (
	maxNoticeSubject = 120  // characters
	maxNoticeText    = 4000 // of each piece
	alertEvery       = time.Hour
)

// message is the notice as a mail: plain text, for a person.
func (o notice) message(zone *time.Location, path string) ([]byte, error) {
	var h mail.Header
	h.SetDate(o.At.In(zone))
	h.SetAddressList("From", []*mail.Address{{Name: "popbridge", Address: "popbridge@localhost"}})
	h.SetSubject("popbridge: " + printable(o.Text, maxNoticeSubject))
	id := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d", o.User, o.Key, o.At.Unix()))
	h.SetMessageID(fmt.Sprintf("%x@popbridge.localhost", id[:16]))
	h.Set("Auto-Submitted", "auto-generated") // RFC 3834 section 5
	h.SetContentType("text/plain", map[string]string{"charset": "utf-8"})
	h.Set("Content-Transfer-Encoding", "quoted-printable")

	var text strings.Builder
	fmt.Fprintf(&text, "popbridge, the program on this computer that fetches your mail, needs you\nor cannot fetch mail:\n\n  %s\n\nSince: %s\n",
		printable(o.Text, maxNoticeText), o.Since.In(zone).Format("Monday, 2 January 2006, 15:04 MST"))
	if o.Hint != "" {
		fmt.Fprintf(&text, "What to do: %s\n", printable(o.Hint, maxNoticeText))
	}
	fmt.Fprintf(&text, "\nHow things are now is shown by: %s\n\n"+
		"This message was made on this computer and is nowhere else. There is one for\n"+
		"each problem; delete it like any other. To get none, write\n\n  notices = false\n\nat the top of %s\n",
		config.Command(path, "status"), path)

	var out bytes.Buffer
	w, err := mail.CreateSingleInlineWriter(&out, h)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(w, strings.ReplaceAll(text.String(), "\n", "\r\n")); err != nil {
		return nil, err
	}
	err = w.Close()
	return out.Bytes(), err
}

// printable makes one line of text that may come from a server or a file name.
func printable(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) && !unicode.IsSpace(r) {
			return '?'
		}
		return r
	}, strings.Join(strings.Fields(s), " "))
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "..."
	}
	return s
}

// alerts remembers when which device was told at login: mail programs may show a
// window each time.
type alerts struct {
	agent *Agent

	mu sync.Mutex
	at map[[2]string]time.Time
}

// alert returns what a mail program is told at login, once an hour for each
// device: also of what cannot be stored as a message, such as a full disk.
func (a *alerts) alert(user, device string) string {
	if !a.agent.Config().Notices {
		return ""
	}
	now := time.Now()
	var mine []health.Condition
	for _, c := range concerned(a.agent) {
		if c.User == user && c.Pressing(now) {
			mine = append(mine, c)
		}
	}
	if len(mine) == 0 {
		return ""
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	who := [2]string{user, device}
	if last, told := a.at[who]; told && now.Sub(last) < alertEvery {
		return ""
	}
	if a.at == nil {
		a.at = map[[2]string]time.Time{}
	}
	a.at[who] = now
	text := "popbridge: " + mine[0].Text
	if more := len(mine) - 1; more > 0 {
		text = fmt.Sprintf("popbridge, %d problems: %s", more+1, mine[0].Text)
	}
	if mine[0].Hint != "" {
		text += "; " + mine[0].Hint
	}
	return text
}
