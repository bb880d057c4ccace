package message

import "strings"

// envelope sets e from the header of a message.
func (p *parser) envelope(h *headerFields, e *Envelope) {
	e.Date, _ = parseDate(h.values[fieldDate])
	e.Subject = p.text(h, fieldSubject)
	e.From = p.addressList(h, fieldFrom)
	e.Sender = p.addressList(h, fieldSender)
	e.ReplyTo = p.addressList(h, fieldReplyTo)
	e.To = p.addressList(h, fieldTo)
	e.Cc = p.addressList(h, fieldCc)
	e.Bcc = p.addressList(h, fieldBcc)
	for _, id := range messageIDs(h.values[fieldInReplyTo]) {
		if id = p.keep(id); id != "" {
			e.InReplyTo = append(e.InReplyTo, id)
		}
	}
	if ids := messageIDs(h.values[fieldMessageID]); len(ids) > 0 {
		e.MessageID = p.keep(ids[0])
	}
}

func (p *parser) addressList(h *headerFields, id fieldID) []Address {
	if h.values[id] == "" {
		return nil
	}
	list := parseAddresses(h.values[id], p.addresses)
	p.addresses -= len(list)
	for i, a := range list {
		if a.Mailbox == "" {
			continue
		}
		// An address without mailbox and host would be taken for a group.
		if list[i].Name = p.keep(a.Name); len(a.Mailbox)+len(a.Host) > p.kept {
			return list[:i:i]
		}
		list[i].Mailbox = p.keep(a.Mailbox)
		list[i].Host = p.keep(a.Host)
	}
	return list
}

// messageIDs returns the message ids in a field without their angle brackets.
// Where there are no brackets a single word is taken for an id; anything else
// is the prose of RFC 822 and is none.
func messageIDs(s string) []string {
	var ids []string
	for rest := s; ; {
		_, after, found := strings.Cut(rest, "<")
		if !found {
			break
		}
		id, after, found := strings.Cut(after, ">")
		if !found {
			break
		}
		if id = strings.Join(strings.Fields(id), ""); id != "" {
			ids = append(ids, id)
		}
		rest = after
	}
	if word := strings.Trim(s, " <>"); ids == nil && word != "" && !strings.Contains(word, " ") {
		return []string{word}
	}
	return ids
}
