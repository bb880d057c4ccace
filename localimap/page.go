package localimap

import (
	"strconv"

	"github.com/emersion/go-imap/v2"

	"github.com/popbridge/popbridge/internal/imapwire"
)

const capPartial imap.Cap = "PARTIAL" // RFC 9394

// page is a partial-range (RFC 9394 section 4): the results from one to another,
// counted from 1, or from the last one down.
type page struct {
	from, to uint32
	fromLast bool
}

// readPage reads a space and a partial-range.
func readPage(r *imapwire.Reader) *page {
	r.SP()
	p := page{fromLast: r.Take('-')}
	a := r.NZNumber()
	r.Expect(':')
	if p.fromLast {
		r.Expect('-')
	}
	b := r.NZNumber()
	p.from, p.to = min(a, b), max(a, b)
	return &p
}

// pageOf returns the results on the page, in their order.
func pageOf[T any](p *page, results []T) []T {
	n := len(results)
	from, to := min(int(p.from)-1, n), min(int(p.to), n)
	if p.fromLast {
		from, to = n-to, n-from
	}
	return results[from:to]
}

func (p *page) append(dst []byte) []byte {
	sign := ""
	if p.fromLast {
		sign = "-"
	}
	dst = strconv.AppendUint(append(dst, sign...), uint64(p.from), 10)
	return strconv.AppendUint(append(append(dst, ':'), sign...), uint64(p.to), 10)
}
