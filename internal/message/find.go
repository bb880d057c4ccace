package message

// Find returns the part that an IMAP part number names, or nil (RFC 9051
// section 6.4.5.1). The empty number is the message. A message that is no
// multipart has its body as part 1; in a message/rfc822 the numbers go on with
// the parts of the message in it.
func (s *Summary) Find(path []int) *Part {
	if len(path) == 0 {
		return s.Root
	}
	part := s.Root.number(path[0])
	for _, n := range path[1:] {
		switch {
		case part == nil:
			return nil
		case part.Multipart():
			part = part.child(n)
		case part.Message():
			part = part.Children[0].number(n)
		default:
			return nil
		}
	}
	return part
}

// number returns part n of the message that p is the root of.
func (p *Part) number(n int) *Part {
	if p.Multipart() {
		return p.child(n)
	}
	if n == 1 {
		return p
	}
	return nil
}

func (p *Part) child(n int) *Part {
	if n < 1 || n > len(p.Children) {
		return nil
	}
	return p.Children[n-1]
}
