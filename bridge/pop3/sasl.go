package pop3

import (
	"crypto/hmac"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/xdg-go/scram"
)

// mechanism is the client's side of a SASL mechanism.
type mechanism struct {
	name   string
	step   func(challenge []byte) (response []byte, err error)
	verify func() error // after +OK; nil: nothing to check
	detail string       // what the server told about a failure before its -ERR
}

var (
	errServerUnproven = errors.New("server signature missing or wrong")
	errTooManySteps   = errors.New("one challenge too many")
)

// passwordMechanisms are those for passwords, the strongest first.
func passwordMechanisms(cred Credentials) []*mechanism {
	return []*mechanism{scramSHA256(cred), cramMD5(cred), plain(cred), login(cred)}
}

// tokenMechanisms are those for access tokens.
func tokenMechanisms(cred Credentials, host string, port int) []*mechanism {
	return []*mechanism{oauthBearer(cred, host, port), xoauth2(cred)}
}

// maxIterations bounds the work a server can ask for in SCRAM, about a second.
const maxIterations = 2_000_000

// scramSHA256 is RFC 7677.
func scramSHA256(cred Credentials) *mechanism {
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
			return nil, fmt.Errorf("%w: %w", errServerUnproven, err)
		}
		return []byte(response), err
	}
	verify := func() error {
		if conv == nil || !conv.Valid() {
			return errServerUnproven
		}
		return nil
	}
	return &mechanism{name: "SCRAM-SHA-256", step: step, verify: verify}
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
func cramMD5(cred Credentials) *mechanism {
	return &mechanism{name: "CRAM-MD5", step: once(func(challenge []byte) []byte {
		mac := hmac.New(md5.New, []byte(cred.Secret))
		mac.Write(challenge)
		return []byte(cred.Username + " " + hex.EncodeToString(mac.Sum(nil)))
	})}
}

// plain is RFC 4616.
func plain(cred Credentials) *mechanism {
	return &mechanism{name: "PLAIN", step: once(func([]byte) []byte {
		return []byte("\x00" + cred.Username + "\x00" + cred.Secret)
	})}
}

// login is what Microsoft made before PLAIN; the texts of the challenges
// differ between servers, their order does not.
func login(cred Credentials) *mechanism {
	answers := []string{cred.Username, cred.Secret}
	return &mechanism{name: "LOGIN", step: func([]byte) ([]byte, error) {
		if len(answers) == 0 {
			return nil, errTooManySteps
		}
		answer := answers[0]
		answers = answers[1:]
		return []byte(answer), nil
	}}
}

// oauthBearer is RFC 7628.
func oauthBearer(cred Credentials, host string, port int) *mechanism {
	name := strings.NewReplacer("=", "=3D", ",", "=2C").Replace(cred.Username)
	token := fmt.Sprintf("n,a=%s,\x01host=%s\x01port=%d\x01auth=Bearer %s\x01\x01", name, host, port, cred.Secret)
	return tokenMechanism("OAUTHBEARER", token, "\x01")
}

// xoauth2 is Google's and Microsoft's predecessor of it.
func xoauth2(cred Credentials) *mechanism {
	return tokenMechanism("XOAUTH2", "user="+cred.Username+"\x01auth=Bearer "+cred.Secret+"\x01\x01", "")
}

// tokenMechanism sends the token; a second challenge tells why it was refused,
// in JSON, and has to be answered with a dummy before the -ERR comes.
func tokenMechanism(name, token, dummy string) *mechanism {
	m := &mechanism{name: name}
	n := 0
	m.step = func(challenge []byte) ([]byte, error) {
		n++
		switch n {
		case 1:
			return []byte(token), nil
		case 2:
			m.detail = string(challenge)
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
