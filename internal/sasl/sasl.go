package sasl

import (
	"crypto/hmac"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/xdg-go/scram"

	"github.com/popbridge/popbridge/internal/fault"
)

// Credentials are what a login needs.
type Credentials struct {
	Username string
	Secret   string // password, or access token
	Token    bool   // Secret is an OAuth 2.0 access token
}

// Check reports what no server could be sent: an empty name or secret, a line end or a
// NUL in one.
func (c Credentials) Check() error {
	if strings.ContainsAny(c.Username+c.Secret, "\r\n\x00") || c.Username == "" || c.Secret == "" {
		return fault.New(fault.Config, "the user name or the password is empty or contains a line end",
			"check the user name and where the password comes from")
	}
	return nil
}

// Mechanism is the client's side of one login. Names go out without an initial
// response: long tokens don't fit into a command line, and Microsoft refuses
// XOAUTH2 in one line. So the first call of Step has the empty challenge that the
// server answers the name with.
type Mechanism struct {
	Name   string
	Step   func(challenge []byte) (response []byte, err error)
	verify func() error // nil: nothing to check
	Detail string       // what the server told about a failure before it refused
}

// Verify has to be called after the server accepted. Its errors are ErrServerUnproven.
func (m *Mechanism) Verify() error {
	if m.verify == nil {
		return nil
	}
	return m.verify()
}

// NotDone says that the server does not do a mechanism, and has not answered about the
// credentials: another may be tried.
type NotDone struct{ Err error }

func (e NotDone) Error() string { return e.Err.Error() }
func (e NotDone) Unwrap() error { return e.Err }

// ErrServerUnproven says that the server did not show that it knows the password. The
// session has to end: such a server must not get to see it by another mechanism.
var ErrServerUnproven = errors.New("server signature missing or wrong")

func unproven(err error) error {
	return fault.Wrap(err, fault.Auth, "the server could not prove that it knows the password",
		"this may be another server than it says; check host and certificate")
}

var errTooManySteps = errors.New("one challenge too many")

// MaxSteps bounds the challenges of one login; SCRAM has three.
const MaxSteps = 8

// Mechanisms are those for the credentials, the strongest first. Host and port are
// of the server.
func Mechanisms(cred Credentials, host string, port int) []*Mechanism {
	if cred.Token {
		return []*Mechanism{oauthBearer(cred, host, port), xoauth2(cred)}
	}
	return []*Mechanism{scramSHA256(cred), cramMD5(cred), plain(cred), login(cred)}
}

// maxIterations bounds the work a server can ask for in SCRAM, about a second.
const maxIterations = 2_000_000

// scramSHA256 is RFC 7677.
func scramSHA256(cred Credentials) *Mechanism {
	var conv *scram.ClientConversation
	n := 0
	step := func(challenge []byte) ([]byte, error) {
		n++
		if n == 1 {
			client, err := scram.SHA256.NewClient(cred.Username, cred.Secret, "")
			if err != nil { // SASLprep forbids some characters
				return nil, err
			}
			conv = client.NewConversation()
		}
		if n == 2 && iterations(string(challenge)) > maxIterations {
			return nil, errors.New("too many iterations asked for")
		}
		response, err := conv.Step(string(challenge))
		if err != nil && n > 2 {
			return nil, unproven(fmt.Errorf("%w: %w", ErrServerUnproven, err))
		}
		return []byte(response), err
	}
	verify := func() error {
		if conv == nil || !conv.Valid() {
			return unproven(ErrServerUnproven)
		}
		return nil
	}
	return &Mechanism{Name: "SCRAM-SHA-256", Step: step, verify: verify}
}

// iterations reads i= of a server-first-message (RFC 5802 section 7).
func iterations(first string) int {
	for attr := range strings.SplitSeq(first, ",") {
		if value, ok := strings.CutPrefix(attr, "i="); ok {
			n, err := strconv.Atoi(value)
			if err != nil {
				return maxIterations + 1
			}
			return n
		}
	}
	return 0
}

// cramMD5 is RFC 2195.
func cramMD5(cred Credentials) *Mechanism {
	return &Mechanism{Name: "CRAM-MD5", Step: once(func(challenge []byte) []byte {
		mac := hmac.New(md5.New, []byte(cred.Secret))
		mac.Write(challenge)
		return []byte(cred.Username + " " + hex.EncodeToString(mac.Sum(nil)))
	})}
}

// plain is RFC 4616.
func plain(cred Credentials) *Mechanism {
	return &Mechanism{Name: "PLAIN", Step: once(func([]byte) []byte {
		return []byte("\x00" + cred.Username + "\x00" + cred.Secret)
	})}
}

// login is what Microsoft made before PLAIN; the texts of the challenges
// differ between servers, their order does not.
func login(cred Credentials) *Mechanism {
	answers := []string{cred.Username, cred.Secret}
	return &Mechanism{Name: "LOGIN", Step: func([]byte) ([]byte, error) {
		if len(answers) == 0 {
			return nil, errTooManySteps
		}
		answer := answers[0]
		answers = answers[1:]
		return []byte(answer), nil
	}}
}

// oauthBearer is RFC 7628.
func oauthBearer(cred Credentials, host string, port int) *Mechanism {
	name := strings.NewReplacer("=", "=3D", ",", "=2C").Replace(cred.Username)
	token := fmt.Sprintf("n,a=%s,\x01host=%s\x01port=%d\x01auth=Bearer %s\x01\x01", name, host, port, cred.Secret)
	return tokenMechanism("OAUTHBEARER", token, "\x01")
}

// xoauth2 is Google's and Microsoft's predecessor of it.
func xoauth2(cred Credentials) *Mechanism {
	return tokenMechanism("XOAUTH2", "user="+cred.Username+"\x01auth=Bearer "+cred.Secret+"\x01\x01", "")
}

// tokenMechanism sends the token; a second challenge tells why it was refused,
// in JSON, and has to be answered with a dummy before the refusal comes.
func tokenMechanism(name, token, dummy string) *Mechanism {
	m := &Mechanism{Name: name}
	n := 0
	m.Step = func(challenge []byte) ([]byte, error) {
		n++
		switch n {
		case 1:
			return []byte(token), nil
		case 2:
			m.Detail = string(challenge)
			return []byte(dummy), nil
		}
		return nil, errTooManySteps
	}
	return m
}

// once makes a step of a mechanism that has one.
func once(respond func(challenge []byte) []byte) func([]byte) ([]byte, error) {
	done := false
	return func(challenge []byte) ([]byte, error) {
		if done {
			return nil, errTooManySteps
		}
		done = true
		return respond(challenge), nil
	}
}
