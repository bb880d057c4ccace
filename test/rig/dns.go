package rig

import "os/exec"

// DNS is the command of a DNS server at 127.0.0.1:53, which has these records, said as
// options of dnsmasq, and no others: whoever asks for another name is told that it does
// not exist. It says on stderr what it is asked.
func DNS(records ...string) *exec.Cmd {
	return exec.Command("dnsmasq", append([]string{"--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--listen-address=127.0.0.1", "--bind-interfaces",
		"--pid-file=", "--user=root", "--log-queries", "--log-facility=-", "--local=/#/"}, records...)...)
}
