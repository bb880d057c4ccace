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

// rootStore is a certificate store of the user. Windows asks at the screen before it
// changes the one called Root.
func rootStore(name string) []Store {
	return []Store{{Name: "Windows, of this user (Outlook, Thunderbird)", Path: `HKCU\Software\Microsoft\SystemCertificates\` + name, place: userStore{name}}}
}

type userStore struct{ name string }

// each opens the store, and calls visit with each certificate until it returns false.
func (u userStore) each(flags uint32, visit func(*windows.CertContext) (bool, error)) (err error) {
	name, err := windows.UTF16PtrFromString(u.name)
	if err != nil {
		return err
	}
	store, err := windows.CertOpenStore(windows.CERT_STORE_PROV_SYSTEM_W, 0, 0, windows.CERT_SYSTEM_STORE_CURRENT_USER|flags, uintptr(unsafe.Pointer(name)))
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
		more, err := visit(at)
		if err != nil || !more {
			return errors.Join(err, windows.CertFreeCertificateContext(at))
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
	name, err := windows.UTF16PtrFromString(u.name)
	if err != nil {
		return err
	}
	store, err := windows.CertOpenStore(windows.CERT_STORE_PROV_SYSTEM_W, 0, 0, windows.CERT_SYSTEM_STORE_CURRENT_USER, uintptr(unsafe.Pointer(name)))
	if err != nil {
		return unwritable(err)
	}
	c, err := windows.CertCreateCertificateContext(windows.X509_ASN_ENCODING, &ca.Raw[0], uint32(len(ca.Raw)))
	if err == nil {
		err = windows.CertAddCertificateContextToStore(store, c, windows.CERT_STORE_ADD_REPLACE_EXISTING, nil)
		err = errors.Join(err, windows.CertFreeCertificateContext(c))
	}
	return unwritable(errors.Join(err, windows.CertCloseStore(store, 0)))
}

func (u userStore) remove(_ context.Context, ca *x509.Certificate) error {
	return unwritable(u.each(0, func(at *windows.CertContext) (bool, error) {
		if string(encoded(at)) != string(ca.Raw) {
			return true, nil
		}
		// The deletion frees a context, and the enumeration the one that it is given.
		return false, windows.CertDeleteCertificateFromStore(windows.CertDuplicateCertificateContext(at))
	}))
}

func encoded(c *windows.CertContext) []byte {
	return append([]byte(nil), unsafe.Slice(c.EncodedCert, c.Length)...)
}

func unwritable(err error) error {
	return fault.Wrap(err, fault.Denied, "it was not changed", "answer Yes to what Windows asks; or import tls\\ca.pem of the data folder into the Trusted Root Certification Authorities of your user with certmgr.msc")
}

// withoutTerminal is of Unix only.
func withoutTerminal(*exec.Cmd) {}

// locked reports whether a program has the file for itself, as Mozilla's programs do
// with the one in their profile.
func locked(path string) bool {
	p, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return false
	}
	f, err := windows.CreateFile(p, windows.GENERIC_READ|windows.GENERIC_WRITE, windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE, nil, windows.OPEN_EXISTING, 0, 0)
	if err == nil {
		_ = windows.CloseHandle(f)
	}
	return errors.Is(err, windows.ERROR_SHARING_VIOLATION)
}

const lockFile = "parent.lock"
