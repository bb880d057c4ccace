package message

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/popbridge/popbridge/internal/testkit"
	"github.com/popbridge/popbridge/test/rig"
)

// Where Dovecot and this package differ on purpose. Elsewhere they agree in
// every field of every message of the corpus.
const (
	closing = "RFC 2046 section 5.1.1: the line end before a boundary is of the boundary, also after a header and after the " +
		"last boundary of an inner multipart; Dovecot counts it to the message around that"
	noType  = "no type, or no subtype: Dovecot answers an empty string, here it is a type that clients know"
	loose   = "a parameter that breaks the rules for tokens is read as it was meant: unquoted, quote missing, semicolons missing or doubled"
	rfc2231 = "a boundary written as RFC 2231 has it is used"
	address = "a broken address list: here every address in it is found, Dovecot stops or makes up others"
	tags    = "languages: Dovecot joins them to one word where white space is missing"
	charset = "8-bit subject in the charset of the Content-Type"
	junk    = "Content-Transfer-Encoding with a semicolon after it is taken"
)

var differ = map[string]string{
	"cpython-msg_33.eml":                                      rfc2231,
	"enmime-barren-content-type.eml":                          noType,
	"enmime-malformed-multiple-address-header-values.eml":     address,
	"enmime-mime-bad-content-type.eml":                        loose,
	"enmime-missing-closing-param-quote.eml":                  loose,
	"enmime-unquoted-ctype-param-special.eml":                 loose,
	"flanker-broken-ctype.eml":                                noType,
	"flanker-enclosed-bad-encoding.eml":                       closing,
	"flanker-enclosed-broken-body.eml":                        closing,
	"flanker-enclosed.eml":                                    closing,
	"flanker-torture-part.eml":                                closing,
	"gluon-rfc822.eml":                                        closing,
	"mailcore2-1640-no-charset.eml":                           charset,
	"mailcore2-1798-korean.eml":                               charset,
	"mailcore2-2135-korean.eml":                               charset,
	"mailcore2-4850-russian.eml":                              charset,
	"mailcore2-2765-korean.eml":                               address,
	"mailcore2-headers.eml":                                   address,
	"mime4j-double-semicolon.eml":                             loose,
	"mime4j-example.eml":                                      tags,
	"mime4j-multi-digest.eml":                                 noType,
	"mimekit-content-length.mbox-7.eml":                       address,
	"mimekit-feedback-report.eml":                             address,
	"mimekit-issue358.eml":                                    address,
	"mimekit-missing-subtype.eml":                             noType,
	"mimekit-rfc2060.eml":                                     closing,
	"mimekit-stack-overflow.eml":                              address,
	"mox-message-rfc822-multipart.eml":                        closing,
	"postal-mime-mimetorture.eml":                             closing,
	"ruby-mail-attachment_with_unquoted_name.eml":             loose,
	"ruby-mail-content_transfer_encoding_with_semi_colon.eml": junk,
	"ruby-mail-example11.eml":                                 address,
	"ruby-mail-missing_body.eml":                              address,
	"ruby-mail-mix_caps_content_type.eml":                     address,
	"ruby-mail-raw_email_bad_time.eml":                        loose,
	"ruby-mail-raw_email_with_at_display_name.eml":            address,
	"ruby-mail-raw_email_with_binary_encoded.eml":             loose,
	"ruby-mail-raw_email_with_illegal_boundary.eml":           loose,
	"stalwart-mp-malformed-017.eml":                           loose,
	"stalwart-mp-malformed-022.eml":                           closing,
	"stalwart-mp-rfc-008.eml":                                 closing,
	"stalwart-mp-thirdparty-007.eml":                          closing,
	"stalwart-mp-thirdparty-015.eml":                          closing,
}

// TestDovecotAgrees compares the envelope and the body structure of every
// message of the corpus with what Dovecot answers for it, field by field.
func TestDovecotAgrees(t *testing.T) {
	rig.Need(t, "dovecot")
	corpus := testkit.Corpus(t)
	names := slices.Sorted(maps.Keys(corpus))
	var raws [][]byte
	for _, name := range names {
		raws = append(raws, corpus[name])
	}
	fields, equal := 0, 0
	for i, answer := range askDovecot(t, raws) {
		theirs := flattenDovecot(answer)
		ours := flattenSummary(parseBytes(raws[i]), raws[i])
		diff := cmp.Diff(theirs, ours)
		reason := differ[names[i]]
		switch {
		case diff != "" && reason == "":
			t.Errorf("%s (-dovecot +here):\n%s", names[i], diff)
		case diff == "" && reason != "":
			t.Errorf("%s agrees by now", names[i])
		}
		for key, value := range theirs {
			fields++
			if ours[key] == value {
				equal++
			}
		}
	}
	t.Logf("%d of %d fields equal in %d messages, %d messages differ on purpose", equal, fields, len(names), len(differ))
	if equal*100 < fields*98 {
		t.Error("less than 98 % of the fields are equal")
	}
}

// askDovecot returns ENVELOPE and BODYSTRUCTURE of each message as Dovecot
// answers them.
func askDovecot(t *testing.T, raws [][]byte) [][]any {
	t.Helper()
	d, err := rig.StartDovecot(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := d.Put("ann", raws...); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", rig.Addr(d.IMAP))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "a LOGIN ann %s\r\nb EXAMINE INBOX\r\nc FETCH 1:* (ENVELOPE BODYSTRUCTURE)\r\nd LOGOUT\r\n", rig.Password)
	answers := make([][]any, len(raws))
	for br := bufio.NewReader(conn); ; {
		line, err := br.ReadString('\n')
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		var n int
		var item string
		if k, _ := fmt.Sscanf(line, "* %d %s", &n, &item); k != 2 || item != "FETCH" {
			continue
		}
		// A literal goes on after the line end.
		full := line
		for strings.HasSuffix(line, "}\r\n") {
			size, err := strconv.Atoi(line[strings.LastIndexByte(line, '{')+1 : len(line)-3])
			if err != nil {
				t.Fatal(err)
			}
			literal := make([]byte, size)
			if _, err := io.ReadFull(br, literal); err != nil {
				t.Fatal(err)
			}
			if line, err = br.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			full += string(literal) + line
		}
		_, list, _ := strings.Cut(full, "FETCH ")
		value, _ := readValue(list)
		answers[n-1] = value.([]any)
	}
	for i, a := range answers {
		if a == nil {
			t.Fatalf("no answer for message %d\n%s", i+1, d.Log())
		}
	}
	return answers
}

// readValue reads an IMAP list, string, literal, NIL (nil) or atom.
func readValue(s string) (value any, rest string) {
	switch s[0] {
	case '(':
		list := []any{}
		for s = s[1:]; s[0] != ')'; s = strings.TrimLeft(s, " ") {
			value, s = readValue(s)
			list = append(list, value)
		}
		return list, s[1:]
	case '"':
		for i := 1; ; i++ {
			switch s[i] {
			case '"':
				return unquote(s[1:i]), s[i+1:]
			case '\\':
				i++
			}
		}
	case '{':
		size, rest, _ := strings.Cut(s[1:], "}\r\n")
		n, _ := strconv.Atoi(size)
		return rest[:n], rest[n:]
	}
	end := strings.IndexAny(s, " ()")
	if s[:end] == "NIL" {
		return nil, s[end:]
	}
	return s[:end], s[end:]
}

// Both sides are brought into the form "path.field" -> text, decoded.

func flattenDovecot(answer []any) map[string]string {
	out := map[string]string{}
	for i := 0; i < len(answer); i += 2 {
		switch answer[i] {
		case "ENVELOPE":
			flattenTheirEnvelope(out, "", answer[i+1].([]any))
		case "BODYSTRUCTURE":
			flattenTheirPart(out, "", answer[i+1].([]any))
		}
	}
	return out
}

func text(v any) string {
	s, _ := v.(string)
	s = strings.ReplaceAll(s, "\x00", "")
	s, _ = decodeWords(guessUTF8(s, ""))
	return squeeze(s)
}

func squeeze(s string) string { return strings.Join(strings.Fields(clean(s)), " ") }

func flattenTheirEnvelope(out map[string]string, path string, e []any) {
	date, _ := e[0].(string)
	t, _ := parseDate(date)
	out[path+"date"] = t.String()
	out[path+"subject"] = text(e[1])
	for i, field := range []string{"from", "sender", "reply-to", "to", "cc", "bcc"} {
		var list []string
		addresses, _ := e[2+i].([]any)
		for _, a := range addresses {
			a := a.([]any)
			list = append(list, fmt.Sprintf("%q %s@%s", text(a[0]), text(a[2]), text(a[3])))
		}
		out[path+field] = strings.Join(list, ", ")
	}
	id, _ := e[8].(string)
	out[path+"in-reply-to"] = strings.Join(messageIDs(id), " ")
	id, _ = e[9].(string)
	out[path+"message-id"] = strings.Join(messageIDs(id), " ")
}

func flattenTheirPart(out map[string]string, path string, p []any) {
	str := func(i int) string {
		if i >= len(p) {
			return ""
		}
		return text(p[i])
	}
	if _, ok := p[0].([]any); ok {
		n := 0
		for ; ; n++ {
			child, ok := p[n].([]any)
			if !ok {
				break
			}
			flattenTheirPart(out, fmt.Sprintf("%s%d.", path, n+1), child)
		}
		out[path+"type"] = "multipart/" + strings.ToLower(str(n))
		flattenTheirParams(out, path+"param.", p[n+1])
		flattenTheirExtension(out, path, p[n+2:])
		return
	}
	kind, subtype := strings.ToLower(str(0)), strings.ToLower(str(1))
	out[path+"type"] = kind + "/" + subtype
	flattenTheirParams(out, path+"param.", p[2])
	out[path+"id"], out[path+"description"] = str(3), str(4)
	out[path+"encoding"], out[path+"size"] = strings.ToLower(str(5)), str(6)
	next := 7
	switch {
	case kind == "text":
		out[path+"lines"] = str(7)
		next = 8
	case kind == "message" && subtype == "rfc822":
		flattenTheirEnvelope(out, path+"envelope.", p[7].([]any))
		flattenTheirPart(out, path+"message.", p[8].([]any))
		out[path+"lines"] = str(9)
		next = 10
	}
	flattenTheirExtension(out, path, p[next+1:])
}

func flattenTheirExtension(out map[string]string, path string, p []any) {
	if d, ok := p[0].([]any); ok && (d[0] != "" || d[1] != nil) {
		out[path+"disposition"] = strings.ToLower(text(d[0]))
		flattenTheirParams(out, path+"disposition.", d[1])
	}
	switch l := p[1].(type) {
	case string:
		out[path+"language"] = l
	case []any:
		out[path+"language"] = strings.Trim(fmt.Sprint(l...), "[]")
	}
	out[path+"location"] = text(p[2])
}

func flattenTheirParams(out map[string]string, path string, v any) {
	list, _ := v.([]any)
	params := map[string]string{}
	var pieces []piece
	for i := 0; i+1 < len(list); i += 2 {
		name, value := strings.ToLower(list[i].(string)), list[i+1].(string)
		if p, ok := parsePiece(name, value); ok {
			pieces = append(pieces, p)
		} else if _, have := params[name]; !have {
			params[name] = text(value)
		}
	}
	for name, value := range joinPieces(params, pieces) {
		out[path+name] = squeeze(value)
	}
}

func flattenSummary(s *Summary, raw []byte) map[string]string {
	out := map[string]string{}
	flattenEnvelope(out, "", &s.Envelope)
	flattenPart(out, "", s.Root, raw)
	return out
}

func flattenEnvelope(out map[string]string, path string, e *Envelope) {
	out[path+"date"] = e.Date.String()
	out[path+"subject"] = squeeze(e.Subject)
	lists := map[string][]Address{"from": e.From, "sender": e.Sender, "reply-to": e.ReplyTo, "to": e.To, "cc": e.Cc, "bcc": e.Bcc}
	for field, list := range lists {
		if len(list) == 0 && (field == "sender" || field == "reply-to") {
			list = e.From
		}
		var texts []string
		for _, a := range list {
			texts = append(texts, fmt.Sprintf("%q %s@%s", squeeze(a.Name), squeeze(a.Mailbox), squeeze(a.Host)))
		}
		out[path+field] = strings.Join(texts, ", ")
	}
	out[path+"in-reply-to"] = strings.Join(e.InReplyTo, " ")
	out[path+"message-id"] = e.MessageID
}

func flattenPart(out map[string]string, path string, p *Part, raw []byte) {
	out[path+"type"] = p.Type + "/" + p.Subtype
	for name, value := range p.Params {
		out[path+"param."+name] = squeeze(value)
	}
	if p.Disposition != "" {
		out[path+"disposition"] = p.Disposition
		for name, value := range p.DispositionParams {
			out[path+"disposition."+name] = squeeze(value)
		}
	}
	if p.Language != nil {
		out[path+"language"] = strings.Join(p.Language, " ")
	}
	out[path+"location"] = p.Location
	for i, child := range p.Children {
		if p.Message() {
			flattenPart(out, path+"message.", child, raw)
		} else {
			flattenPart(out, fmt.Sprintf("%s%d.", path, i+1), child, raw)
		}
	}
	if p.Multipart() {
		return
	}
	out[path+"id"], out[path+"description"], out[path+"encoding"] = squeeze(p.ID), squeeze(p.Description), p.Encoding
	// Dovecot counts line ends of maildir files as CRLF.
	body := raw[p.Body:p.End]
	out[path+"size"] = strconv.Itoa(len(body) + bytes.Count(body, []byte("\n")) - bytes.Count(body, []byte("\r\n")))
	if p.Type == "text" || p.Message() {
		out[path+"lines"] = strconv.FormatInt(p.Lines, 10)
	}
	if p.Message() {
		flattenEnvelope(out, path+"envelope.", p.Envelope)
	}
}
