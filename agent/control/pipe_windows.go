package control

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/Microsoft/go-winio"
	"golang.org/x/sys/windows"

	"github.com/popbridge/popbridge/internal/fault"
	"github.com/popbridge/popbridge/internal/ownership"
)

const pipePrefix = `\\.\pipe\popbridge-`

// asThatUser is the hint where the agent's user is another one: there it is the service.
const asThatUser = "run it in a terminal opened as administrator"

// endpoint returns the name of the pipe, "" where no agent has made one. Whoever
// can write into the data folder can read the mail, too.
func endpoint(dataDir string) (string, error) {
	path := noted(dataDir)
	if !strings.HasPrefix(path, pipePrefix) {
		return "", nil
	}
	return path, nil
}

// dialEndpoint refuses a pipe that another user made. The one that is noted may be
// that of an agent which was killed, and anyone can make one of that name then.
func dialEndpoint(ctx context.Context, path string) (net.Conn, error) {
	conn, err := winio.DialPipeContext(ctx, path)
	if err != nil {
		return nil, err
	}
	if !ownership.TrustsPeer(pipeOwner(conn)) {
		_ = conn.Close() // nothing was sent
		return nil, fault.New(fault.Denied, "the control pipe is not used: another user made it", "run the command as the user that the agent runs as")
	}
	return conn, nil
}

// pipeOwner is the account that made the pipe, "" where that is not known.
func pipeOwner(conn net.Conn) string {
	file, ok := conn.(interface{ Fd() uintptr })
	if !ok {
		return ""
	}
	sd, err := windows.GetSecurityInfo(windows.Handle(file.Fd()), windows.SE_KERNEL_OBJECT, windows.OWNER_SECURITY_INFORMATION)
	if err != nil {
		return ""
	}
	owner, _, err := sd.Owner()
	if err != nil || owner == nil {
		return ""
	}
	return owner.String()
}

// listen makes a pipe that only the user of this process and a trusted owner of the data
// folder can open: a service runs under an account of its own.
func listen(dataDir string) (net.Listener, error) {
	access, err := accessTo(dataDir)
	if err != nil {
		return nil, fmt.Errorf("protect control pipe: %w", err)
	}
	path := pipePrefix + rand.Text()
	ln, err := winio.ListenPipe(path, &winio.PipeConfig{SecurityDescriptor: access})
	if err != nil {
		return nil, fmt.Errorf("open control pipe: %w", err)
	}
	return newElsewhere(ln, path, "", dataDir)
}

// accessTo returns owner and access list in the security descriptor definition language.
func accessTo(dataDir string) (string, error) {
	self := ownership.Account()
	if self == "" {
		return "", errors.New("the account of this process is not known")
	}
	return descriptor(self, ownership.TrustedOwner(dataDir)), nil
}

// descriptor lets in this process's account and the owner of the data folder, which is
// "" where no one is to be let in.
func descriptor(self, owner string) string {
	text := fmt.Sprintf("O:%sD:P(A;;GA;;;%[1]s)", self)
	if owner != "" && owner != self {
		text += fmt.Sprintf("(A;;GA;;;%s)", owner)
	}
	return text
}
