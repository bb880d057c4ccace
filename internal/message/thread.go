package message

import (
	"cmp"
	"hash/maphash"
	"slices"
	"strconv"
)

// ThreadAlgorithm is a way to find threads.
type ThreadAlgorithm uint8

const (
	ThreadReferences     ThreadAlgorithm = iota // RFC 5256 section 3
	ThreadOrderedSubject                        // RFC 5256 section 3
	ThreadRefs                                  // draft-ietf-morg-inthread: without regard to subjects
)

// Threads puts messages into threads. Nothing here is recursive: a thread may be as
// deep as a mailbox is large. Memory is bounded by the number of messages and
// maxThreadIDs.
type Threads struct {
	algorithm ThreadAlgorithm

	nodes []threadNode // the first is none
	ids   map[uint64]int32
	seed  maphash.Seed
	rows  int32 // messages so far
	steps int   // from child to parent that may still be made in search of loops
}

// threadNode is a message, or one that others refer to and that is not there.
type threadNode struct {
	row      int32 // of the message among those found, -1 for none
	parent   int32 // 0 for none
	isParent bool
	reply    bool // the subject is that of a reply or a forwarded message
	subject  uint64
	date     int64
	children []int32
}

const (
	maxThreadIDs = 1 << 20   // message ids that one THREAD knows
	maxLoopSteps = 100 << 20 // about a second
)

// NewThreads returns Threads without messages.
func NewThreads(algorithm ThreadAlgorithm) *Threads {
	return &Threads{algorithm: algorithm, nodes: make([]threadNode, 1), ids: map[uint64]int32{}, seed: maphash.MakeSeed(), steps: maxLoopSteps}
}

// newNode makes one that is no message.
func (t *Threads) newNode() int32 {
	t.nodes = append(t.nodes, threadNode{row: -1})
	return int32(len(t.nodes) - 1)
}

// node returns that of a message id, 0 where there are too many.
func (t *Threads) node(id string) int32 {
	hash := maphash.String(t.seed, id)
	n, ok := t.ids[hash]
	if !ok && len(t.ids) < maxThreadIDs {
		n = t.newNode()
		t.ids[hash] = n
	}
	return n
}

// Add adds the next message in the order of their numbers (RFC 5256 section 3,
// REFERENCES, step 1). date is its sent date in seconds since 1970.
func (t *Threads) Add(date int64, h *Header) {
	var n, parent int32
	if t.algorithm != ThreadOrderedSubject {
		n, parent = t.place(h)
	}
	if n == 0 || t.nodes[n].row >= 0 { // the first message with an id has it
		n = t.newNode()
	}
	node := &t.nodes[n]
	node.row, node.date = t.rows, date
	t.rows++
	if t.algorithm != ThreadRefs {
		base, reply := BaseSubject(h.Text("Subject"))
		if node.reply = reply; base != "" {
			node.subject = maphash.String(t.seed, base)
		}
	}
	if node.parent != parent { // what the message says counts more than what others say
		node.parent = 0
		t.link(parent, n)
	}
}

// place returns the node of the id of a message, and the last of those that it
// refers to, which it links.
func (t *Threads) place(h *Header) (n, parent int32) {
	if ids := h.MessageIDs("Message-ID"); len(ids) > 0 {
		n = t.node(ids[0])
	}
	references := h.MessageIDs("References")
	if len(references) == 0 {
		references = h.MessageIDs("In-Reply-To")
		references = references[:min(len(references), 1)]
	}
	for _, id := range references {
		child := t.node(id)
		t.link(parent, child)
		parent = child
	}
	return n, parent
}

// link makes a node the child of another, unless it has a parent or there would
// be a loop.
func (t *Threads) link(parent, child int32) {
	if parent == 0 || child == 0 || parent == child || t.nodes[child].parent != 0 {
		return
	}
	if t.nodes[child].isParent {
		for n := parent; n != 0; n = t.nodes[n].parent {
			if t.steps--; n == child || t.steps < 0 {
				return
			}
		}
	}
	t.nodes[child].parent, t.nodes[parent].isParent = parent, true
}

// tree fills in the children of all nodes and returns those without a parent:
// messages, and what has several of them below it and is not there (steps 2 and 3).
func (t *Threads) tree() (roots []int32) {
	for n := int32(1); int(n) < len(t.nodes); n++ {
		switch node := &t.nodes[n]; {
		case node.parent == 0:
			roots = append(roots, n)
		case node.row >= 0:
			above := &t.nodes[t.above(node.parent)]
			above.children = append(above.children, n)
		}
	}
	t.sortChildren()
	return roots
}

func (t *Threads) sortChildren() {
	for n := range t.nodes {
		slices.SortFunc(t.nodes[n].children, t.compare)
	}
}

// above returns a node where that is a message, else the nearest message above it,
// else what is topmost. The way is made short for the next time.
func (t *Threads) above(n int32) int32 {
	top := n
	for t.nodes[top].row < 0 && t.nodes[top].parent != 0 {
		top = t.nodes[top].parent
	}
	for n != top {
		n, t.nodes[n].parent = t.nodes[n].parent, top
	}
	return top
}

// first is a message itself, or the first one below what is none.
func (t *Threads) first(n int32) *threadNode {
	if node := &t.nodes[n]; node.row >= 0 {
		return node
	}
	return &t.nodes[t.nodes[n].children[0]]
}

func (t *Threads) compare(a, b int32) int {
	x, y := t.first(a), t.first(b)
	return cmp.Or(cmp.Compare(x.date, y.date), cmp.Compare(x.row, y.row))
}

// settle puts roots in order, after it has taken away those that are none (steps 3
// and 4).
func (t *Threads) settle(roots []int32) []int32 {
	kept := roots[:0]
	for _, n := range roots {
		node := &t.nodes[n]
		switch {
		case node.row >= 0 || len(node.children) > 1:
			kept = append(kept, n)
		case len(node.children) == 1:
			kept = append(kept, node.children[0])
		}
	}
	slices.SortFunc(kept, t.compare)
	return kept
}

// references returns the roots of the threads of ThreadReferences: those with the
// same base subject become one (step 5).
func (t *Threads) references() []int32 {
	roots := t.settle(t.tree())
	into := t.sameSubject(roots)
	gone := make(map[int32]bool)
	for k := range into {
		if n := roots[k]; into[k] >= 0 && !gone[n] {
			top := k
			for into[top] >= 0 {
				top = into[top]
			}
			if merged := t.merge(roots[top], n); merged != roots[top] {
				gone[roots[top]] = true
				into[top] = len(roots)
				into, roots = append(into, -1), append(roots, merged)
			}
			gone[n] = true
		}
	}
	t.sortChildren()
	return t.settle(slices.DeleteFunc(roots, func(n int32) bool { return gone[n] }))
}

// sameSubject returns for each root the index of the one that it goes to, or -1
// (step 5B).
func (t *Threads) sameSubject(roots []int32) []int {
	into := make([]int, len(roots))
	table := make(map[uint64]int)
	for k, n := range roots {
		into[k] = -1
		f := t.first(n)
		if f.subject == 0 {
			continue
		}
		old, ok := table[f.subject]
		switch {
		case !ok:
			table[f.subject] = k
		case t.nodes[roots[old]].row >= 0 && (t.nodes[n].row < 0 || t.nodes[roots[old]].reply && !f.reply):
			into[old], table[f.subject] = k, k
		default:
			into[k] = old
		}
	}
	return into
}

// merge puts n and what is below it into the thread of root, and returns the root
// of both (step 5C).
func (t *Threads) merge(root, n int32) int32 {
	to, node := &t.nodes[root], &t.nodes[n]
	switch {
	case node.row < 0:
		to.children = append(to.children, node.children...)
	case to.row < 0 || node.reply && !to.reply:
		to.children = append(to.children, n)
	default:
		old := root
		root = t.newNode()
		t.nodes[root].children = []int32{old, n}
	}
	return root
}

// refs returns the roots of ThreadRefs: those of REFERENCES up to step 3, in the
// order of the newest message in each.
func (t *Threads) refs() []int32 {
	roots := slices.DeleteFunc(t.tree(), func(n int32) bool { return t.nodes[n].row < 0 && len(t.nodes[n].children) == 0 })
	for _, root := range roots {
		newest := t.nodes[root].date
		for open := []int32{root}; len(open) > 0; {
			n := &t.nodes[open[len(open)-1]]
			open = append(open[:len(open)-1], n.children...)
			newest = max(newest, n.date)
		}
		t.nodes[root].date = newest
	}
	slices.SortFunc(roots, func(a, b int32) int {
		x, y := &t.nodes[a], &t.nodes[b]
		return cmp.Or(cmp.Compare(x.date, y.date), cmp.Compare(x.row, y.row))
	})
	return roots
}

// orderedSubject returns the roots of ThreadOrderedSubject: the first message of
// each base subject, with the others as its children.
func (t *Threads) orderedSubject() (roots []int32) {
	all := make([]int32, t.rows)
	for k := range all {
		all[k] = int32(k) + 1
	}
	slices.SortFunc(all, t.compare)
	firsts := make(map[uint64]int32)
	for _, n := range all {
		if first, ok := firsts[t.nodes[n].subject]; ok {
			t.nodes[first].children = append(t.nodes[first].children, n)
		} else {
			firsts[t.nodes[n].subject] = n
			roots = append(roots, n)
		}
	}
	return roots
}

// Append appends the threads as RFC 5256 section 5 has them, nothing where there are
// no messages. numbers are those of the messages, in the order of Add. It is the last
// call.
func (t *Threads) Append(out []byte, numbers []uint32) []byte {
	const end = 0 // of what is in parentheses
	var open []int32
	switch t.algorithm {
	case ThreadReferences:
		open = t.references()
	case ThreadOrderedSubject:
		open = t.orderedSubject()
	case ThreadRefs:
		open = t.refs()
	}
	slices.Reverse(open)
	single := false // what is next is an only child and stands without parentheses
	for len(open) > 0 {
		n := open[len(open)-1]
		if open = open[:len(open)-1]; n == end {
			out = append(out, ')')
			continue
		}
		node := &t.nodes[n]
		if !single {
			out = append(out, '(')
			open = append(open, end)
		}
		if node.row >= 0 {
			out = strconv.AppendUint(out, uint64(numbers[node.row]), 10)
			if len(node.children) > 0 {
				out = append(out, ' ')
			}
		}
		single = len(node.children) == 1
		for _, child := range slices.Backward(node.children) {
			open = append(open, child)
		}
	}
	return out
}
