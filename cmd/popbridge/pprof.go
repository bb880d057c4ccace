//go:build pprof

package main

import (
	"fmt"
	"net/http"
	_ "net/http/pprof" // handlers of the default mux
	"os"
)

// A binary built with the tag pprof serves profiles at $POPBRIDGE_PPROF, such as
// 127.0.0.1:6060. What is shipped has no such door.
func init() {
	if addr := os.Getenv("POPBRIDGE_PPROF"); addr != "" {
		go func() { fmt.Fprintln(os.Stderr, "pprof:", http.ListenAndServe(addr, nil)) }()
	}
}
