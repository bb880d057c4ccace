package cli_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/popbridge/popbridge/internal/popserver"
)

// TestMistakes runs the scripts of testdata/script/mistakes, which read like a manual:
// what is typed, and what is answered. Besides the commands of TestScripts they have:
//
//	says LINE...       stderr has these lines and no others; … stands for anything in a line
//	prints LINE...     the same of stdout
//	latin1 FILE        write it in Latin-1
//	oldserver VAR FILE start a POP3 server with a certificate of yesterday; FILE is its authority
func TestMistakes(t *testing.T) {
	p := scripts("testdata/script/mistakes")
	p.Cmds["says"] = func(ts *testscript.TestScript, _ bool, args []string) { exactly(ts, "stderr", args) }
	p.Cmds["prints"] = func(ts *testscript.TestScript, _ bool, args []string) { exactly(ts, "stdout", args) }
	p.Cmds["latin1"], p.Cmds["oldserver"] = latin1, startOldServer
	root := runtime.GOOS == "linux" && os.Geteuid() == 0
	mounts := root && exec.Command("unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt").Run() == nil
	p.Condition = func(name string) (bool, error) { return name == "root" && root || name == "mounts" && mounts, nil }
	testscript.Run(t, p)
}

// exactly compares output line by line.
func exactly(ts *testscript.TestScript, stream string, want []string) {
	got := ts.ReadFile(stream)
	text := variable.ReplaceAllStringFunc(strings.Join(want, "\n"), func(name string) string { return ts.Getenv(name[1:]) })
	pattern := regexp.QuoteMeta(slashes(text + "\n"))
	pattern = strings.ReplaceAll(pattern, "…", ".*")
	if !regexp.MustCompile("^" + pattern + "$").MatchString(slashes(got)) {
		ts.Fatalf("%s is not that, but\n%s", stream, got)
	}
}

// variable is what scripts have in the quotes of an answer.
var variable = regexp.MustCompile(`\$(WORK|POP|OLD|CLOSED|BUSY|IMAP)\b`)

// slashes makes paths of Windows, also quoted ones, look like others.
func slashes(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, `\\`, "/"), `\`, "/")
}

func latin1(ts *testscript.TestScript, _ bool, args []string) {
	var octets []byte
	for _, r := range ts.ReadFile(args[0]) {
		octets = append(octets, byte(r))
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), octets, 0o600))
}

func startOldServer(ts *testscript.TestScript, _ bool, args []string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now.AddDate(0, 0, -2), NotAfter: now.AddDate(0, 0, -1),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	ts.Check(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = popserver.New(popserver.Options{User: "ann", Password: "secret"}).Serve(ctx, ln)
	}()
	ts.Defer(func() { cancel(); <-done })
	ts.Setenv(args[0], portOf(ln))
}
