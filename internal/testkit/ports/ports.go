// Package ports finds free loopback ports for servers that tests start.
package ports

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// The range of ports that systems do not give out of themselves: Linux begins at
// 32768, others at 49152 (RFC 6335, section 6). A port that the system gave and got
// back can be given to anyone before the server of a test takes it.
const first, last = 20000, 32767

var (
	mu    sync.Mutex
	given = map[int]bool{} // by this process
)

// Free returns n loopback ports that no one listens on at the moment, and none
// that it has returned before.
func Free(n int) ([]int, error) {
	mu.Lock()
	defer mu.Unlock()
	var ports []int
	for range 1000 * n {
		port := first + rand.IntN(last-first+1)
		if given[port] {
			continue
		}
		ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		given[port] = true
		ports = append(ports, port)
		if err := ln.Close(); err != nil {
			return nil, err
		}
		if len(ports) == n {
			return ports, nil
		}
	}
	return nil, errors.New("no free loopback port was found")
}
