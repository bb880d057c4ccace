package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// process is what the system says of the agent.
type process struct {
	rss     int // KiB
	threads int
	files   int // open file descriptors
}

func (p process) String() string {
	return fmt.Sprintf("%6.1f MB, %3d threads, %4d files", float64(p.rss)/1024, p.threads, p.files)
}

func lookAt(pid int) (p process, err error) {
	dir := fmt.Sprintf("/proc/%d/", pid)
	raw, err := os.ReadFile(dir + "status")
	if err != nil {
		return p, err
	}
	for line := range strings.Lines(string(raw)) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "VmRSS:":
			p.rss, err = strconv.Atoi(words[1])
		case "Threads:":
			p.threads, err = strconv.Atoi(words[1])
		}
		if err != nil {
			return p, err
		}
	}
	files, err := os.ReadDir(dir + "fd")
	p.files = len(files)
	return p, err
}
