package operations_test

import (
	"testing"

	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/config"
	"github.com/popbridge/popbridge/installer/clientfiles"
	"github.com/popbridge/popbridge/installer/discover"
)

// A mail program is told of a password only where the account has one to send with.
func TestWhatTheOutgoingServerTakes(t *testing.T) {
	const account = "[oauth.google]\nclient_id = 'x'\n[[account]]\nname = 'a'\nhost = 'pop.gmail.com'\nusername = 'ann@gmail.com'\n"
	here := operations.Submission{Listen: []string{"127.0.0.1:1587"}, TLS: discover.StartTLS}
	for _, tt := range []struct {
		keys   string
		submit operations.Submission
		want   string
	}{
		{"", operations.Submission{}, clientfiles.SecretMailbox},
		{"auth = 'oauth2'", operations.Submission{}, clientfiles.SecretToken},
		{"auth = 'oauth2'\nsend.password_file = 'p'", operations.Submission{}, clientfiles.SecretMailbox},
		{"send.auth = 'oauth2'", operations.Submission{}, clientfiles.SecretToken},
		{"auth = 'oauth2'", here, clientfiles.SecretLogin},
	} {
		cfg, err := config.Parse("config.toml", []byte(account+tt.keys))
		if err != nil {
			t.Fatal(err)
		}
		list := operations.Identities(t.Context(), cfg, "me", tt.submit)
		if len(list) != 1 || !list[0].SMTP.Known() || list[0].Secret() != tt.want {
			t.Errorf("%s: %+v", tt.keys, list)
		}
	}
}
