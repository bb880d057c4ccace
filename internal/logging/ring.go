package logging

import (
	"bytes"
	"sync"
	"time"
)

const (
	ringRecords = 2000    // that a Ring keeps
	ringBytes   = 4 << 20 // of all of them
)

// A Ring keeps the last 2,000 records of a log in memory, 4 MiB at most, as the JSON that
// they are. It is an io.Writer for several goroutines, and gets one record at a time.
type Ring struct {
	mu      sync.Mutex
	records []Record // from first on, around the end
	first   int
	bytes   int
	next    int64
	more    chan struct{} // closed with the next record; nil while no one waits
}

// Record is one record of a log. Seq rises from record to record, and from one process
// to the next.
type Record struct {
	Seq  int64
	JSON []byte // without the end of the line; not to be changed
}

// NewRing returns an empty ring.
func NewRing() *Ring { return &Ring{next: time.Now().UnixMicro()} }

// Write implements io.Writer.
func (r *Ring) Write(p []byte) (int, error) {
	record := bytes.Clone(bytes.TrimSuffix(p, []byte("\n")))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next++
	if len(record) > ringBytes {
		return len(p), nil
	}
	one := Record{r.next, record}
	if len(r.records) < ringRecords {
		r.records = append(r.records, one)
	} else {
		r.bytes -= len(r.records[r.first].JSON)
		r.records[r.first] = one
		r.first = (r.first + 1) % ringRecords
	}
	r.bytes += len(record)
	for i := r.first; r.bytes > ringBytes; i = (i + 1) % len(r.records) { // the oldest go
		r.bytes -= len(r.records[i].JSON)
		r.records[i] = Record{}
	}
	if r.more != nil {
		close(r.more)
		r.more = nil
	}
	return len(p), nil
}

// After returns the records behind the one with this number, the oldest first, and a
// channel that is closed when another one comes. A number that it has not reached is of a
// process whose clock was ahead: then all are behind it. A nil Ring has none, and gets none.
func (r *Ring) After(seq int64) (list []Record, more <-chan struct{}) {
	if r == nil {
		return nil, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if seq > r.next {
		seq = 0
	}
	for i := range r.records {
		if one := r.records[(r.first+i)%len(r.records)]; one.Seq > seq {
			list = append(list, one)
		}
	}
	if r.more == nil {
		r.more = make(chan struct{})
	}
	return list, r.more
}
