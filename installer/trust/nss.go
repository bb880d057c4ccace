package trust

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/popbridge/popbridge/internal/fault"
)

// database is an NSS database, written and read by certutil(1) of NSS. It names
// certificates by nicknames; certificates of one subject share one.
type database struct {
	host host
	dir  string
}

// byHand is where Thunderbird and Firefox import an authority.
const byHand = "Settings, Privacy & Security, Manage Certificates, Authorities"

// errPassword is what certutil says where the database has a password.
const errPassword = "SEC_ERROR_BAD_PASSWORD"

// certutil finds the program of NSS. Windows has another one of that name.
func (h host) certutil() (string, error) {
	path, err := h.look("certutil")
	windows := h.getenv("SystemRoot")
	if err == nil && h.goos == "windows" && windows != "" && strings.HasPrefix(strings.ToLower(path), strings.ToLower(windows)) {
		err = exec.ErrNotFound
	}
	if err != nil {
		return "", fault.New(fault.NotFound, "certutil, the program that reads and changes it, is not installed",
			h.nssPackage()+", then run this again; or import "+h.file+" in the program: "+byHand)
	}
	return path, nil
}

// nssPackage says how certutil is installed.
func (h host) nssPackage() string {
	for _, way := range [][2]string{
		{"apt-get", "sudo apt install libnss3-tools"}, {"dnf", "sudo dnf install nss-tools"}, {"zypper", "sudo zypper install mozilla-nss-tools"},
		{"pacman", "sudo pacman -S nss"}, {"apk", "sudo apk add nss-tools"}, {"brew", "brew install nss"},
	} {
		if _, err := h.look(way[0]); err == nil {
			return "install it: " + way[1]
		}
	}
	return "install the tools of NSS"
}

func (d database) certutil(ctx context.Context, input []byte, args ...string) ([]byte, error) {
	program, err := d.host.certutil()
	if err != nil {
		return nil, err
	}
	return d.host.run(ctx, input, append([]string{program, args[0], "-d", "sql:" + d.dir}, args[1:]...)...)
}

// named is an entry with its nickname.
type named struct {
	Entry
	nickname string
}

func (d database) read(ctx context.Context) ([]Entry, error) {
	all, err := d.list(ctx)
	entries := make([]Entry, 0, len(all))
	for _, n := range all {
		entries = append(entries, n.Entry)
	}
	return entries, err
}

// listed is a line of `certutil -L`: a nickname, and flags for TLS, mail and code.
var listed = regexp.MustCompile(`(?m)^(.*\S)[ \t]+[a-zA-Z]*,[a-zA-Z]*,[a-zA-Z]*[ \t]*$`)

// made reports whether there is a database: a profile that was never used has none.
func (d database) made() bool { return exists(filepath.Join(d.dir, databaseFile)) }

func (d database) list(ctx context.Context) ([]named, error) {
	if !d.made() {
		return nil, nil
	}
	out, err := d.certutil(ctx, nil, "-L")
	if err != nil {
		return nil, d.unreadable(err)
	}
	var names []string
	for _, m := range listed.FindAllStringSubmatch(string(out), -1) {
		// Mozilla's programs make nicknames of the subject, as is done here.
		if strings.Contains(m[1], organization) && !slices.Contains(names, m[1]) {
			names = append(names, m[1])
		}
	}
	var all []named
	for _, name := range names {
		certs, err := d.certutil(ctx, nil, "-L", "-n", name, "-a")
		if err != nil {
			return nil, d.unreadable(err)
		}
		text, err := d.certutil(ctx, nil, "-L", "-n", name)
		if err != nil {
			return nil, d.unreadable(err)
		}
		trusted := trustedIn(string(text))
		for _, c := range made(certs) {
			all = append(all, named{Entry{c, trusted[Fingerprint(c)]}, name})
		}
	}
	return all, nil
}

var (
	printedFingerprint = regexp.MustCompile(`Fingerprint \(SHA-256\):\s*([0-9A-F:]+)`)
	printedTrust       = regexp.MustCompile(`(?m)^\s*SSL Flags:\n((?:\s+.*\n)*?)\s*Email Flags:`)
	printedCA          = regexp.MustCompile(`(?m)^\s*Trusted CA$`)
)

// trustedIn reads from what certutil prints of certificates which ones are trusted for
// TLS servers, by fingerprint.
func trustedIn(text string) map[string]bool {
	trusted := map[string]bool{}
	for _, one := range strings.Split("\n"+text, "\nCertificate:\n") {
		fingerprint, flags := printedFingerprint.FindStringSubmatch(one), printedTrust.FindStringSubmatch(one)
		if fingerprint == nil || flags == nil {
			continue
		}
		if raw, err := hex.DecodeString(strings.ReplaceAll(fingerprint[1], ":", "")); err == nil {
			trusted[hex.EncodeToString(raw)] = printedCA.MatchString(flags[1])
		}
	}
	return trusted
}

// add trusts an authority for servers ("C"), and for nothing else. Where the database
// has a password certutil has stored the certificate by the time it needs it, without
// trust: that is taken out again.
func (d database) add(ctx context.Context, ca *x509.Certificate) error {
	if !d.made() {
		if _, err := d.certutil(ctx, nil, "-N", "--empty-password"); err != nil {
			return d.unwritable(err)
		}
	}
	before, err := d.list(ctx)
	if err != nil {
		return err
	}
	if err := d.store(ctx, ca, ca.Subject.CommonName, "C,,"); err != nil {
		if !slices.ContainsFunc(before, func(n named) bool { return n.Cert.Equal(ca) }) {
			err = errors.Join(err, d.remove(ctx, ca))
		}
		return err
	}
	return nil
}

func (d database) store(ctx context.Context, ca *x509.Certificate, nickname, flags string) error {
	_, err := d.certutil(ctx, encode(ca), "-A", "-n", nickname, "-t", flags)
	if f, ok := errors.AsType[*failed](err); ok && strings.Contains(f.said, errPassword) {
		return fault.New(fault.Denied, "it has a primary password, without which nothing can be trusted there",
			"import "+d.host.file+" in the program: "+byHand+"; or let certutil ask for the password: "+
				"certutil -A -d "+fault.ShellQuote("sql:"+d.dir)+" -n "+fault.ShellQuote(nickname)+" -t C,, -i "+fault.ShellQuote(d.host.file))
	}
	return d.unwritable(err)
}

// remove takes one certificate out. By a nickname certutil takes out any one of those
// that share it: the others are put back.
func (d database) remove(ctx context.Context, ca *x509.Certificate) error {
	before, err := d.list(ctx)
	if err != nil {
		return err
	}
	now := before
	for range before {
		at := slices.IndexFunc(now, func(n named) bool { return n.Cert.Equal(ca) })
		if at < 0 {
			break
		}
		if _, err := d.certutil(ctx, nil, "-D", "-n", now[at].nickname); err != nil {
			return d.unwritable(err)
		}
		if now, err = d.list(ctx); err != nil {
			return err
		}
	}
	for _, n := range before {
		if n.Cert.Equal(ca) || slices.ContainsFunc(now, func(m named) bool { return m.Cert.Equal(n.Cert) }) {
			continue
		}
		flags := ",,"
		if n.Trusted {
			flags = "C,,"
		}
		if err := d.store(ctx, n.Cert, n.nickname, flags); err != nil {
			return err
		}
	}
	return nil
}

func (d database) unreadable(err error) error {
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	return fault.Wrap(err, fault.Corrupt, "it cannot be read", "check that "+d.dir+" belongs to this user, and that the program which it is of starts")
}

func (d database) unwritable(err error) error {
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	return fault.Wrap(err, fault.Denied, "it cannot be changed", "check that this user may write in "+d.dir+"; close the program which it is of, and run this again")
}
