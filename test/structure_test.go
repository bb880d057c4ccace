package test

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/popbridge/popbridge/internal/message"
)

// ENVELOPE and BODYSTRUCTURE as they came over the wire, brought into the form
// "path.field" -> text. Encoded words, RFC 2231 parameters and dates are read
// as a client reads them, the same for both servers; everything else is
// compared as it is.

// decoded is how a client shows a header text.
func decoded(v any) string {
	s, _ := v.(string)
	m := "Subject: " + strings.NewReplacer("\r", "", "\n", " ").Replace(s) + "\r\n\r\n"
	subject := message.Parse(strings.NewReader(m), int64(len(m))).Envelope.Subject
	return strings.Join(strings.Fields(subject), " ")
}

func flattenItems(items map[string]any) map[string]string {
	out := map[string]string{}
	flattenEnvelope(out, "", items["ENVELOPE"].([]any))
	flattenPart(out, "", items["BODYSTRUCTURE"].([]any))
	return out
}

func flattenEnvelope(out map[string]string, path string, e []any) {
	header := fmt.Sprintf("Date: %v\r\nIn-Reply-To: %v\r\nMessage-ID: %v\r\n\r\n", e[0], e[8], e[9])
	header = strings.ReplaceAll(header, "<nil>", "")
	read := message.Parse(strings.NewReader(header), int64(len(header))).Envelope
	out[path+"date"] = read.Date.Format(time.RFC3339)
	out[path+"in-reply-to"] = strings.Join(read.InReplyTo, " ")
	out[path+"message-id"] = read.MessageID
	out[path+"subject"] = decoded(e[1])
	for i, field := range []string{"from", "sender", "reply-to", "to", "cc", "bcc"} {
		var list []string
		addresses, _ := e[2+i].([]any)
		for _, a := range addresses {
			a := a.([]any)
			list = append(list, fmt.Sprintf("%q %v@%v", decoded(a[0]), decoded(a[2]), decoded(a[3])))
		}
		out[path+field] = strings.Join(list, ", ")
	}
}

func flattenPart(out map[string]string, path string, p []any) {
	if _, ok := p[0].([]any); ok {
		n := 0
		for ; ; n++ {
			child, ok := p[n].([]any)
			if !ok {
				break
			}
			flattenPart(out, fmt.Sprintf("%s%d.", path, n+1), child)
		}
		out[path+"type"] = "multipart/" + lower(p[n])
		flattenParams(out, path+"param.", p[n+1])
		flattenExtension(out, path, p[n+2:])
		return
	}
	kind := lower(p[0]) + "/" + lower(p[1])
	out[path+"type"] = kind
	flattenParams(out, path+"param.", p[2])
	out[path+"id"], out[path+"description"] = decoded(p[3]), decoded(p[4])
	out[path+"encoding"], out[path+"size"] = lower(p[5]), lower(p[6])
	next := 7
	switch {
	case strings.HasPrefix(kind, "text/"):
		out[path+"lines"] = lower(p[7])
		next = 8
	case kind == "message/rfc822":
		flattenEnvelope(out, path+"envelope.", p[7].([]any))
		flattenPart(out, path+"message.", p[8].([]any))
		out[path+"lines"] = lower(p[9])
		next = 10
	}
	out[path+"md5"] = lower(p[next])
	flattenExtension(out, path, p[next+1:])
}

func lower(v any) string {
	s, _ := v.(string)
	return strings.ToLower(s)
}

func flattenExtension(out map[string]string, path string, p []any) {
	if d, ok := p[0].([]any); ok && (d[0] != "" || d[1] != nil) {
		out[path+"disposition"] = strings.ToLower(decoded(d[0]))
		flattenParams(out, path+"disposition.", d[1])
	}
	switch l := p[1].(type) {
	case string:
		out[path+"language"] = l
	case []any:
		out[path+"language"] = strings.Trim(fmt.Sprint(l...), "[]")
	}
	out[path+"location"] = decoded(p[2])
}

func flattenParams(out map[string]string, path string, v any) {
	list, _ := v.([]any)
	field := strings.Builder{}
	field.WriteString("Content-Type: x/y")
	for i := 0; i+1 < len(list); i += 2 {
		value := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\r", "", "\n", " ").Replace(list[i+1].(string))
		fmt.Fprintf(&field, "; %s=\"%s\"", list[i], value)
	}
	field.WriteString("\r\n\r\n")
	for name, value := range message.Parse(strings.NewReader(field.String()), int64(field.Len())).Root.Params {
		if name == "charset" {
			value = strings.ToLower(value) // where it is us-ascii Dovecot does not look how it is written
		}
		out[path+name] = strings.Join(strings.Fields(value), " ")
	}
}

// section is one that BODY[...] can name.
type section struct {
	name string
	leaf bool // its transfer encoding can be undone
}

// sectionsOf lists every section a structure has (RFC 9051 section 6.4.5).
func sectionsOf(structure []any) []section {
	all := []section{{name: ""}, {name: "HEADER"}, {name: "TEXT"}}
	return appendSections(all, "", structure)
}

// appendSections adds the numbered sections of a message whose body has the
// structure p.
func appendSections(all []section, prefix string, p []any) []section {
	if _, multipart := p[0].([]any); !multipart {
		return appendPart(all, prefix+"1", p)
	}
	for i, child := range p {
		child, ok := child.([]any)
		if !ok {
			break
		}
		all = appendPart(all, prefix+strconv.Itoa(i+1), child)
	}
	return all
}

func appendPart(all []section, number string, p []any) []section {
	all = append(all, section{name: number + ".MIME"})
	if _, multipart := p[0].([]any); multipart {
		all = append(all, section{name: number})
		return appendSections(all, number+".", p)
	}
	rfc822 := lower(p[0])+"/"+lower(p[1]) == "message/rfc822"
	all = append(all, section{name: number, leaf: !rfc822})
	if rfc822 {
		all = append(all, section{name: number + ".HEADER"}, section{name: number + ".TEXT"})
		return appendSections(all, number+".", p[8].([]any))
	}
	return all
}
