package trust

import (
	"context"
	"crypto/x509"
	"errors"
	"os/exec"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/popbridge/popbridge/internal/fault"
)

// rootStore is the store of the user, in which Windows shows that of the machine as
// well. Before it changes, Windows asks at the screen.
func rootStore(file string) []Store {
	return []Store{{Name: "Windows, of this user (Outlook, Thunderbird)", Path: `HKCU\Software\Microsoft\SystemCertificates\Root`, place: userStore{"Root", windows.CERT_STORE_PROV_SYSTEM_W, file}}}
}

// userStore is a store of the user, opened by one of the providers of Windows.
type userStore struct {
	name     string
	provider uintptr
	file     string // of the authority
}

func (u userStore) open(flags uint32) (windows.Handle, error) {
	name, err := windows.UTF16PtrFromString(u.name)
	if err != nil {
		return 0, err
	}
	return windows.CertOpenStore(u.provider, 0, 0, windows.CERT_SYSTEM_STORE_CURRENT_USER|flags, uintptr(unsafe.Pointer(name)))
}

// each opens the store, and calls visit with each certificate until it returns false,
// having freed it, or an error.
func (u userStore) each(flags uint32, visit func(*windows.CertContext) (bool, error)) (err error) {
	store, err := u.open(flags)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, windows.CertCloseStore(store, 0)) }()
	var at *windows.CertContext
	for {
		if at, err = windows.CertEnumCertificatesInStore(store, at); at == nil {
			if errors.Is(err, windows.Errno(windows.CRYPT_E_NOT_FOUND)) {
				return nil
			}
			return err
		}
		if more, err := visit(at); err != nil || !more {
			return err
		}
	}
}

func (u userStore) read(context.Context) ([]Entry, error) {
	var entries []Entry
	err := u.each(windows.CERT_STORE_READONLY_FLAG, func(at *windows.CertContext) (bool, error) {
		if c, err := x509.ParseCertificate(encoded(at)); err == nil && Made(c) {
			entries = append(entries, Entry{c, true})
		}
		return true, nil
	})
	return entries, fault.Wrap(err, fault.Denied, "it cannot be read", "look at it with certmgr.msc")
}

func (u userStore) add(_ context.Context, ca *x509.Certificate) error {
	store, err := u.open(0)
	if err != nil {
		return u.unwritable(err)
	}
	c, err := windows.CertCreateCertificateContext(windows.X509_ASN_ENCODING, &ca.Raw[0], uint32(len(ca.Raw)))
	if err == nil {
		err = windows.CertAddCertificateContextToStore(store, c, windows.CERT_STORE_ADD_REPLACE_EXISTING, nil)
		err = errors.Join(err, windows.CertFreeCertificateContext(c))
	}
	return u.unwritable(errors.Join(err, windows.CertCloseStore(store, 0)))
}

func (u userStore) remove(_ context.Context, ca *x509.Certificate) error {
	return u.unwritable(u.each(0, func(at *windows.CertContext) (bool, error) {
		if string(encoded(at)) != string(ca.Raw) {
			return true, nil
		}
		return false, windows.CertDeleteCertificateFromStore(at) // which frees it
	}))
}

func encoded(c *windows.CertContext) []byte {
	return append([]byte(nil), unsafe.Slice(c.EncodedCert, c.Length)...)
}

func (u userStore) unwritable(err error) error {
	return fault.Wrap(err, fault.Denied, "it was not changed", "answer Yes to what Windows asks; or import "+u.file+" into the Trusted Root Certification Authorities of your user with certmgr.msc")
}

// withoutTerminal is of Unix only.
func withoutTerminal(*exec.Cmd) {}
