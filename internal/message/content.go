package message

import "strings"

// content sets what the Content- fields of a part say.
func (p *parser) content(h *headerFields, part *Part, digest bool) {
	p.contentType(h, part, digest)
	part.Encoding = "7bit"
	if value := h.values[fieldContentEncoding]; value != "" {
		word, rest := cutToken(strings.ToLower(value))
		if word != "" && (rest == "" || rest[0] == ';') {
			part.Encoding = p.keep(word)
		}
	}
	part.Encoding = orElse(part.Encoding, "7bit")
	part.ID = p.keep(h.values[fieldContentID])
	part.Description = p.text(h, fieldContentDescription)
	part.Location = p.keep(strings.Join(strings.Fields(h.values[fieldContentLocation]), ""))
	if value := h.values[fieldContentDisposition]; value != "" {
		word, rest := cutToken(value)
		if word = p.keep(strings.ToLower(word)); word != "" {
			part.Disposition, part.DispositionParams = word, p.params(parseParams(rest))
		} else if params := parseParams(rest); params != nil {
			part.Disposition, part.DispositionParams = "attachment", p.params(params) // RFC 2183 section 2.8
		}
	}
	for tag, rest := cutToken(h.values[fieldContentLanguage]); tag != "" && len(part.Language) < maxParams; {
		if tag = p.keep(tag); tag != "" {
			part.Language = append(part.Language, tag)
		}
		tag, rest = cutToken(strings.TrimLeft(rest, ", "))
	}
}

func (p *parser) contentType(h *headerFields, part *Part, digest bool) {
	part.Type, part.Subtype = "text", "plain"
	if !h.present[fieldContentType] {
		if digest {
			part.Type, part.Subtype = "message", "rfc822" // RFC 2046 section 5.1.5
			return
		}
	} else {
		kind, subtype, params := parseContentType(h.values[fieldContentType])
		if kind, subtype = p.keep(kind), p.keep(subtype); kind != "" && subtype != "" {
			part.Type, part.Subtype = kind, subtype
		}
		part.Params = p.params(params)
	}
	if part.Type == "text" && part.Params["charset"] == "" {
		part.Params = setParam(part.Params, "charset", "us-ascii") // RFC 2045 section 5.2
	}
}

// params keeps parameters as far as the limit of kept text allows.
func (p *parser) params(params map[string]string) map[string]string {
	size := 0
	for name, value := range params {
		size += len(name) + len(value)
	}
	if size > p.kept {
		return nil
	}
	p.kept -= size
	return params
}

// parseContentType reads a Content-Type. ok is false where type or subtype are
// missing: then the type is what is nearest, and where nothing is near it is
// text/plain (RFC 2045 section 5.2).
func parseContentType(s string) (kind, subtype string, params map[string]string) {
	kind, rest := cutToken(s)
	kind = strings.ToLower(kind)
	if i := strings.IndexByte(kind, '/'); i >= 0 { // quoted as a whole
		kind, subtype = kind[:i], kind[i+1:]
	} else if after, found := strings.CutPrefix(rest, "/"); found {
		subtype, rest = cutToken(after)
		subtype = strings.ToLower(subtype)
	}
	if kind == "" || subtype == "" {
		switch kind {
		case "", "text":
			kind, subtype = "text", "plain"
		case "multipart":
			subtype = "mixed"
		default:
			kind, subtype = "application", "octet-stream"
		}
	}
	return kind, subtype, parseParams(rest)
}

// cutToken splits the first token (RFC 2045 section 5.1) or quoted string off
// s, with the white space and comments around it.
func cutToken(s string) (word, rest string) {
	s = skipSpace(s)
	if strings.HasPrefix(s, `"`) {
		word, rest = quotedString(s)
		return strings.TrimSpace(word), skipSpace(rest)
	}
	end := 0
	for end < len(s) && isToken(s[end]) {
		end++
	}
	return s[:end], skipSpace(s[end:])
}

func isToken(c byte) bool {
	return c > ' ' && c != 0x7f && strings.IndexByte(`()<>@,;:\"/[]?=`, c) < 0
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
