package mailstore

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"strings"

	"github.com/popbridge/popbridge/internal/atomicfile"
)

// readLog calls do for each line of the transactions that are complete, and at
// last with the number of the transaction. Lines that are torn count as bad; a
// transaction without its end is left out.
func readLog(path string, do func(fields) error) (bad int, err error) {
	f, err := atomicfile.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close() // it was only read
	in := bufio.NewReaderSize(f, 1<<18)
	var group []fields
	torn := 0
	for {
		text, err := in.ReadString('\n')
		if err == io.EOF {
			return bad, nil
		}
		if err != nil {
			return bad, err
		}
		l, ok := parseLine(strings.TrimSuffix(text, "\n"))
		if !ok {
			torn++
			continue
		}
		group = append(group, l)
		if l.letter != '=' {
			continue
		}
		for _, l := range group {
			if err := do(l); err != nil {
				return bad, err
			}
		}
		bad += torn // what is torn at the end is no loss
		group, torn = group[:0], 0
	}
}

// lastLogged returns the number of the last whole transaction in the log, 0 when
// there is none, and whether the log ends with it, so that it can be continued.
func lastLogged(path string) (last int64, whole bool, err error) {
	f, err := atomicfile.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	defer f.Close() // it was only read
	info, err := f.Stat()
	if err != nil {
		return 0, false, err
	}
	tail := make([]byte, min(info.Size(), 64))
	if _, err := f.ReadAt(tail, info.Size()-int64(len(tail))); err != nil {
		return 0, false, err
	}
	text, ended := strings.CutSuffix(string(tail), "\n")
	line, ok := parseLine(text[strings.LastIndexByte(text, '\n')+1:])
	if seq := line.number(); ended && ok && line.letter == '=' && !line.bad {
		return seq, true, nil
	}
	_, err = readLog(path, func(l fields) error {
		if l.letter == '=' {
			last = l.number()
		}
		return nil
	})
	return last, false, err
}
