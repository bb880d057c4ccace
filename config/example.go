package config

// Example is a commented configuration file with one account. It loads.
const Example = `version = 1

# data_dir = "/path/to/folder"     # where mail is kept; default: the system's own data folder
# keep_expunged = "30d"            # so long "popbridge undelete" can bring back what was deleted
# notices = false                  # no message in INBOX when mail stops flowing or something needs you
# timezone = "Europe/Vienna"       # for searches by day, and times of arrival; default: the machine's

[imap]
listen = ["127.0.0.1:1143"]        # this machine only
tls    = "starttls"                # "starttls", "implicit" or "off"

# [lan]                            # phones and other machines in the same network
# enabled = true
# listen  = ["192.168.1.20:1993"]  # addresses of this machine, or interfaces: "eth0:1993"

# [web]                            # the web page: "popbridge open"
# listen = "127.0.0.1:1180"        # "off" switches it off

[log]
level  = "info"                    # "trace", "debug", "info", "warn" or "error"
format = "auto"                    # "auto", "console" or "json"

[[account]]
name           = "home"            # how logs and commands call it
host           = "pop.example.com"
# port         = 995               # default: 995 with implicit TLS, otherwise 110
tls            = "implicit"        # "implicit", "starttls" or "none"
username       = "ann@example.com"
# The password is in the keychain of the system, unless one of these says otherwise:
# password_file    = "home.password"           # readable by no one else
# password_command = ["pass", "show", "home"]  # prints it
# auth         = "password"        # "password", "oauth2" (the secret is a token) or "apop"
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
`
