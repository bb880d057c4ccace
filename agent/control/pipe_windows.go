package control

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"strings"

	"github.com/Microsoft/go-winio"
	"golang.org/x/sys/windows"
)

const pipePrefix = `\\.\pipe\popbridge-`

// endpoint returns the name of the pipe, "" where no agent has made one. Whoever
// can write into the data folder can read the mail, too.
func endpoint(dataDir string) (string, error) {
	path := noted(dataDir)
	if !strings.HasPrefix(path, pipePrefix) {
		return "", nil
	}
	return path, nil
}

func dialEndpoint(ctx context.Context, path string) (net.Conn, error) {
	return winio.DialPipeContext(ctx, path)
}

// listen makes a pipe that only the user of this process and the owner of the data
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

// accessTo returns the access list in the security descriptor definition language.
func accessTo(dataDir string) (string, error) {
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return "", err
	}
	folder, err := windows.GetNamedSecurityInfo(dataDir, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION)
	if err != nil {
		return "", err
	}
	owner, _, err := folder.Owner()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("D:P(A;;GA;;;%s)(A;;GA;;;%s)", user.User.Sid, owner), nil
}
