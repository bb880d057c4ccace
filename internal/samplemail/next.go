package samplemail

import (
	"fmt"
	"mime"
	"mime/quotedprintable"
	"strings"
	"time"
)

var senders = []struct{ name, address string }{
	{"Tomas Mora", "tomas@example.com"},
	{"Priya Raman", "priya@accounts.example.net"},
	{"Chloé Dubois", "chloe@agency.example.org"},
	{"Maud Östberg", "maud@press.example.net"},
	{"Zoë Okafor", "zoe@poster.example.org"},
	{"Jürgen Meyer", "juergen@garten.example.org"},
	{"Ольга Смирнова", "olga@izdat.example.org"},
	{"田中春樹", "haruki@insatsu.example.org"},
	{"Corner Shop", "receipts@shop.example.org"},
}

var things = []string{
	"the cover proof", "chapter %d", "the blue ink", "page %d", "the spine", "sheet %d of the map", "the title page",
	"the index", "the paper samples", "illustration %d", "the order of %d bookmarks",
}

var news = []struct{ subject, text string }{
	{"%s is ready", "Good news: %s is ready. Have a look when you find the time."},
	{"A question about %s", "Before I go on with %s: do you like it as it is, or shall I try another one?"},
	{"%s, second try", "I did %s again, slower this time. It is much better."},
	{"Where is %s?", "I have looked everywhere for %s. Is it on your table, under the cat?"},
	{"Thanks for %s", "Thank you for %s! Everybody here wants one too."},
	{"%s will be late", "I am sorry: %s will be a day late. The café next door had a flood, and we helped."},
	{"Price of %s", "They want 12.50 € for %s. I said that I would ask you first."},
}

var closings = []string{"See you tomorrow,", "Best wishes,", "À bientôt,", "Until Friday,", "Yours,", "Cheers,", "Viele Grüße,"}

// Next returns message i of an endless supply of short ones, for mail that
// trickles in while the demo runs. It is dated now, and the same for the same i
// and now.
func Next(i int, now time.Time) []byte {
	n := uint(i)
	// The lengths of the lists have few common factors, so that it takes
	// thousands of messages before one comes again.
	from := senders[n%uint(len(senders))]
	item := news[n*3%uint(len(news))]
	thing := things[n*5%uint(len(things))]
	if strings.Contains(thing, "%d") {
		thing = fmt.Sprintf(thing, n%97+2)
	}
	subject := fmt.Sprintf(item.subject, thing)
	subject = strings.ToUpper(subject[:1]) + subject[1:]
	text := fmt.Sprintf("Hello Ann,\n\n"+item.text+"\n\n%s\n%s\n", thing, closings[n/3%uint(len(closings))], from.name)

	var b strings.Builder
	date := now.Format(time.RFC1123Z)
	fmt.Fprintf(&b, "Received: from mail.example.net by pop.example.com with ESMTPS; %s\n", date)
	fmt.Fprintf(&b, "From: %s <%s>\n", mime.QEncoding.Encode("utf-8", from.name), from.address)
	fmt.Fprintf(&b, "To: Ann Lindqvist <ann@example.com>\n")
	fmt.Fprintf(&b, "Subject: %s\n", mime.QEncoding.Encode("utf-8", subject))
	fmt.Fprintf(&b, "Date: %s\nMessage-ID: <next.%d.%d@example.net>\nMIME-Version: 1.0\n", date, i, now.Unix())
	if n%4 == 3 {
		boundary := fmt.Sprintf("next-%d", i)
		fmt.Fprintf(&b, "Content-Type: multipart/alternative; boundary=%q\n\n", boundary)
		fmt.Fprintf(&b, "--%s\n%s\n--%s\n%s\n--%s--\n", boundary, quoted("plain", text), boundary,
			quoted("html", "<p>"+strings.ReplaceAll(text, "\n\n", "</p>\n<p>")+"</p>\n"), boundary)
	} else {
		b.WriteString(quoted("plain", text))
	}
	return crlf([]byte(b.String()))
}

// quoted returns a part with its header, the text in quoted-printable.
func quoted(subtype, text string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Content-Type: text/%s; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n", subtype)
	w := quotedprintable.NewWriter(&b)
	_, _ = w.Write([]byte(text)) // a Builder takes everything
	_ = w.Close()
	return b.String()
}
