package api

import (
	"iter"
	"sync"

	"github.com/popbridge/popbridge/agent/operations"
)

// name is what a progress is about: an account, a user, a step of a discovery.
type name [3]string

// latest keeps the newest progress of each name until it is taken: a bounded queue whose
// writer never waits.
type latest struct {
	mu     sync.Mutex
	byName map[name]operations.Progress
	order  []name
	marked chan struct{} // capacity 1: there is something in order
	closed chan struct{}
}

func newLatest() *latest {
	return &latest{byName: map[name]operations.Progress{}, marked: make(chan struct{}, 1), closed: make(chan struct{})}
}

func (l *latest) put(p operations.Progress) {
	key := name{p.Account, p.User, p.Asked}
	l.mu.Lock()
	if _, ok := l.byName[key]; !ok {
		l.order = append(l.order, key)
	}
	l.byName[key] = p
	l.mu.Unlock()
	select {
	case l.marked <- struct{}{}:
	default:
	}
}

// close ends all after what is waiting.
func (l *latest) close() { close(l.closed) }

func (l *latest) take() (p operations.Progress, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.order) == 0 {
		return p, false
	}
	key := l.order[0]
	l.order = l.order[1:]
	p = l.byName[key]
	delete(l.byName, key)
	return p, true
}

// all yields what was put, the newest of each name, until close.
func (l *latest) all() iter.Seq[operations.Progress] {
	return func(yield func(operations.Progress) bool) {
		for open := true; open; {
			select {
			case <-l.marked:
			case <-l.closed:
				open = false
			}
			for p, ok := l.take(); ok; p, ok = l.take() {
				if !yield(p) {
					return
				}
			}
		}
	}
}
