package secret

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"
	"unicode/utf16"
	"unicode/utf8"

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
		return "", fault.Wrap(q.err, fault.Config, fmt.Sprintf("the keychain has no password for %s", fault.Quote(item.Account)), "store it with `popbridge account password NAME`; or set password_file")
	}
	if q.err != nil {
		// Temporary: it may only be locked.
		return "", fault.Wrap(q.err, fault.Temporary, "the keychain cannot be used", elsewhere)
	}
	return clean(decodeItem(q.answer, runtime.GOOS == "windows"), "the keychain's password for "+fault.Quote(item.Account))
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

// decodeItem makes UTF-8 of what other programs store: cmdkey of Windows writes UTF-16
// without a byte order mark. No password in UTF-8 has a NUL; and no one can type other
// control characters than a tab, which are in UTF-16 of other scripts than Latin.
func decodeItem(answer string, windows bool) string {
	strange := strings.ContainsRune(answer, 0) || windows && strings.ContainsFunc(answer, func(r rune) bool {
		return r < ' ' && !strings.ContainsRune("\t\r\n", r) || r == utf8.RuneError
	})
	if !strange || len(answer)%2 != 0 || strings.HasPrefix(answer, "\xff\xfe") {
		return decode([]byte(answer))
	}
	units := make([]uint16, len(answer)/2)
	for i := range units {
		units[i] = uint16(answer[2*i]) | uint16(answer[2*i+1])<<8
	}
	return string(utf16.Decode(units))
}

// Store puts a secret into the keychain, in place of one that is there. What Read would
// refuse later is refused.
func Store(ctx context.Context, item Item, s Secret) error {
	if err := Check(s); err != nil {
		return err
	}
	q := &question{done: make(chan struct{})}
	go func() { // which stays behind when no one unlocks the keychain
		defer close(q.done)
		q.err = keyring.Set(item.Service, item.Account, string(s))
	}()
	if err := system.wait(ctx, q); err != nil {
		return err
	}
	if errors.Is(q.err, keyring.ErrSetDataTooBig) {
		return fault.Wrap(q.err, fault.Config, "the password is too long for the keychain", "set password_file or password_command")
	}
	return fault.Wrap(q.err, fault.Temporary, "the keychain cannot be used", elsewhere)
}
