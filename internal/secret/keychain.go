package secret

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/zalando/go-keyring"

	"github.com/popbridge/popbridge/internal/fault"
)

// keychainTimeout is long enough to unlock it.
const keychainTimeout = 30 * time.Second

// elsewhere is what to do without a keychain.
const elsewhere = "on a machine without a desktop set password_file or password_command"

// keychain asks the operating system. go-keyring has no contexts, and the
// service behind it may wait for someone to click, or for ever where there is
// no desktop. So a question is asked in a goroutine of its own; when no one
// answers in time the goroutine stays behind, and whoever asks the same again
// waits for it instead of starting another: there is at most one for each item.
type keychain struct {
	timeout time.Duration

	mu     sync.Mutex
	asking map[Item]*question
}

type question struct {
	done   chan struct{} // closed when the answer is there
	answer string
	err    error
}

// system is the keychain of this machine: there is only one.
var system = &keychain{timeout: keychainTimeout}

func (k *keychain) get(ctx context.Context, item Item) (Secret, error) {
	k.mu.Lock()
	q := k.asking[item]
	if q == nil {
		if k.asking == nil {
			k.asking = map[Item]*question{}
		}
		q = &question{done: make(chan struct{})}
		go func() {
			q.answer, q.err = keyring.Get(item.Service, item.Account)
			k.mu.Lock()
			delete(k.asking, item)
			k.mu.Unlock()
			close(q.done)
		}()
		k.asking[item] = q
	}
	k.mu.Unlock()
	if err := k.wait(ctx, q); err != nil {
		return "", err
	}
	if errors.Is(q.err, keyring.ErrNotFound) {
		return "", fault.Wrap(q.err, fault.Config, fmt.Sprintf("the keychain has no password for %s", fault.Quote(item.Account)), storeHint(runtime.GOOS, item))
	}
	if q.err != nil {
		// Temporary: it may only be locked.
		return "", fault.Wrap(q.err, fault.Temporary, "the keychain cannot be used", elsewhere)
	}
	return clean(decode([]byte(q.answer)), "the keychain's password for "+fault.Quote(item.Account))
}

func (k *keychain) wait(ctx context.Context, q *question) error {
	timer := time.NewTimer(k.timeout)
	defer timer.Stop()
	select {
	case <-q.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("keychain: %w", context.Cause(ctx))
	case <-timer.C:
		return fault.New(fault.Temporary, fmt.Sprintf("the keychain did not answer within %s", k.timeout), "unlock it; "+elsewhere)
	}
}

// storeHint says how a password gets into the keychain. Windows' cmdkey writes
// another encoding than go-keyring reads, so there it is not named.
func storeHint(goos string, item Item) string {
	service, account := fault.ShellQuote(item.Service), fault.ShellQuote(item.Account)
	switch goos {
	case "windows":
		return "set password_file or password_command"
	case "darwin":
		return fmt.Sprintf("store it: security add-generic-password -s %s -a %s -w; or set password_file", service, account)
	}
	return fmt.Sprintf("store it: secret-tool store --label=popbridge service %s username %s; or set password_file", service, account)
}
