package config

// Example is a commented configuration file with one account. It loads.
var Example = exampleKeys() + `
[[account]]
name           = "home"            # how logs and commands call it
host           = "pop.example.com"
# port         = 995               # default: 995 with implicit TLS, otherwise 110
tls            = "implicit"        # "implicit", "starttls" or "none"
username       = "ann@example.com"
# The password is in the keychain of the system, unless one of these says otherwise:
# password_file    = "home.password"           # readable by no one else
# password_command = ["pass", "show", "home"]  # prints it
# auth         = "password"        # "password", "oauth2" (see docs/oauth.md) or "apop"
# ca_file      = "ca.pem"          # for a server with a self-made certificate
# tls_pin      = "sha256:..."      # that server's key, instead of its certificate; see "popbridge account test"
# tls_minimum  = "1.0"             # for a server without TLS 1.2; protects badly
poll_every     = "5m"
keep_on_server = "forever"         # "forever", "never", "30d", "newest 500" or "below 80%"
# quota        = "1GB"             # what the mailbox there can hold, for "below 80%"
# confirm_deletes = false          # default true: see "popbridge account confirm"
# shadow       = true              # never delete anything there, whatever else is set
# delete_on_server = "when expunged"           # what is deleted here is deleted there, too,
# delete_grace = "7d"                          # so long after
user           = "ann"             # the local IMAP login that sees this mail; default: "me"
folder         = "INBOX"           # where the mail goes
# paused       = true              # it is not polled; see "popbridge account pause"
# max_message_size = "200MB"       # larger messages stay on the server
# address      = "ann@example.com" # whose mail it sends; default: the user name, where that is an address
# addresses    = ["info@example.com"]          # and these
# send.host    = "smtp.example.com"            # by this server; default: that of the provider, if it is known
# send.port    = 465               # default: 465 with implicit TLS, otherwise 587
# send.tls     = "implicit"        # "implicit", "starttls" or "none"
# send.username = "ann"            # default: as above, the password, too
# send.password_file = "home-send.password"    # or send.password_command
# send.auth    = "oauth2"          # "password" or "oauth2": where it differs from the above; and send.oauth
`
