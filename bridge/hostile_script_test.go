package bridge

import (
	"fmt"
	"strconv"
	"strings"
)

// expand replaces the macros of a script by the lines they stand for:
//
//	%open CAP; CAP       greeting, CAPA, USER, PASS, CAPA
//	%capa CAP; CAP       one CAPA and its answer
//	%user                USER and PASS
//	%list a=ID b=ID      STAT, LIST and UIDL of the messages a and b; "a:9=ID" lists a with the size 9
//	%sizes a b           STAT and LIST only
//	%empty               STAT, LIST and UIDL of an empty mailbox
//	%retr 2 b            RETR 2 and the message b
//	%check               what is asked once more behind the messages (see pop3.Check), after %list
//	%dele 1 2            DELE 1, DELE 2
//	%quit                QUIT
//	%page 200            messages 1 to 200 are listed and fetched, all alike but for a number
func (h *hostile) expand(script string) string {
	var out strings.Builder
	for line := range strings.Lines(script) {
		line = strings.TrimSuffix(line, "\n")
		macro, arg, _ := strings.Cut(line, " ")
		if !strings.HasPrefix(macro, "%") {
			out.WriteString(line + "\n")
			continue
		}
		h.macro(&out, macro, arg)
	}
	return out.String()
}

func (h *hostile) macro(out *strings.Builder, macro, arg string) {
	say := func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }
	switch macro {
	case "%open":
		say("S: +OK ready")
		h.macro(out, "%capa", arg)
		h.macro(out, "%user", "")
		h.macro(out, "%capa", arg)
	case "%capa":
		say("C: CAPA\nS: +OK")
		for capability := range strings.SplitSeq(arg, ";") {
			say("S: %s", strings.TrimSpace(capability))
		}
		say("S: .")
	case "%user":
		say("C: USER home\nS: +OK\nC: PASS s3cret\nS: +OK")
	case "%sizes":
		h.sizes(out, strings.Fields(arg))
	case "%list":
		h.sizes(out, strings.Fields(arg))
		say("C: UIDL\nS: +OK")
		checked := false
		for i, word := range strings.Fields(arg) {
			_, id, _ := strings.Cut(word, "=")
			say("S: %d %s", i+1, id)
			if id != "" && !checked {
				h.check, checked = fmt.Sprintf("C: UIDL %d\nS: +OK %d %s", i+1, i+1, id), true
			}
		}
		say("S: .")
	case "%empty":
		say("C: STAT\nS: +OK 0 0\nC: LIST\nS: +OK\nS: .\nC: UIDL\nS: +OK\nS: .")
	case "%retr":
		num, name, _ := strings.Cut(arg, " ")
		data, known := h.messages[name]
		if !known {
			h.t.Fatalf("no message %q", name)
		}
		say("C: RETR %s\nS: +OK\nS\" %s\nS: .", num, quoteInner(string(stuff(data))))
	case "%check":
		say("%s", h.check)
	case "%dele":
		for num := range strings.FieldsSeq(arg) {
			say("C: DELE %s\nS: +OK", num)
		}
	case "%quit":
		say("C: QUIT\nS: +OK bye")
	case "%page":
		h.page(out, arg)
	default:
		h.t.Fatalf("no macro %s", macro)
	}
}

func (h *hostile) sizes(out *strings.Builder, words []string) {
	fmt.Fprintf(out, "C: STAT\nS: +OK %d 0\nC: LIST\nS: +OK\n", len(words))
	for i, word := range words {
		name, _, _ := strings.Cut(word, "=")
		name, size, said := strings.Cut(name, ":")
		if !said {
			size = strconv.Itoa(len(h.messages[name]))
		}
		fmt.Fprintf(out, "S: %d %s\n", i+1, size)
		if i == 0 {
			h.check = fmt.Sprintf("C: LIST 1\nS: +OK 1 %s", size)
		}
	}
	out.WriteString("S: .\n")
}

// page is a session of which every message is new; "200 p" gives them the
// prefix p.
func (h *hostile) page(out *strings.Builder, arg string) {
	first, prefix, _ := strings.Cut(arg, " ")
	count, _ := strconv.Atoi(first)
	var words []string
	for n := range count {
		name := fmt.Sprintf("%s%03d", prefix, n+1)
		h.messages[name] = []byte("Subject: " + name + "\r\n\r\nbody\r\n")
		words = append(words, name+"="+name)
	}
	h.macro(out, "%list", strings.Join(words, " "))
	for n := range count {
		h.macro(out, "%retr", fmt.Sprintf("%d %s%03d", n+1, prefix, n+1))
		if (n+1)%64 == 0 || n+1 == count {
			h.macro(out, "%check", "")
		}
	}
}

// quoteInner is a Go string without its quotes, as S" takes it.
func quoteInner(s string) string {
	quoted := strconv.Quote(s)
	return quoted[1 : len(quoted)-1]
}
