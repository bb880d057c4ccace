package config

// Example is a commented configuration file with one account. It loads.
const Example = `version = 1

# data_dir = "/path/to/folder"     # where mail is kept; default: the system's own data folder

[imap]
listen = ["127.0.0.1:1143"]        # this machine only
tls    = "starttls"                # "starttls", "implicit" or "off"

[log]
level  = "info"                    # "trace", "debug", "info", "warn" or "error"
format = "auto"                    # "auto", "console" or "json"

[[account]]
name           = "home"            # how logs and commands call it
host           = "pop.example.com"
# port         = 995               # default: 995 with implicit TLS, otherwise 110
tls            = "implicit"        # "implicit", "starttls" or "none"
username       = "ann@example.com"
# The password is in the system's keychain, unless one of these says otherwise:
# password_file    = "home.password"           # readable by nobody else
# password_command = ["pass", "show", "home"]  # prints it
# auth         = "password"        # "password", "oauth2" (the secret is a token) or "apop"
# ca_file      = "ca.pem"          # for a server with a certificate of its own making
poll_every     = "5m"
keep_on_server = "forever"         # "forever", "never" or a number of days such as "30d"
user           = "ann"             # the local IMAP login that sees this mail; default: "me"
folder         = "INBOX"           # where the mail goes
# max_message_size = "200MB"       # larger messages stay on the server
`
