//go:build unix

package main

import (
	"bytes"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/popbridge/popbridge/test/rig"
)

// TestTheApplicationOpensThePage runs the script of the application that install.sh has
// installed, by sh, and by bash, which is sh on macOS. It ends at once; what the program
// says when it fails later is shown, as an argument.
func TestTheApplicationOpensThePage(t *testing.T) {
	rig.Need(t, "bash")
	for _, shell := range [][]string{{"sh"}, {"bash", "--posix"}} {
		m := newMac(t)
		m.write(t, m.archive+"/popbridge", `#!/bin/sh
if [ "$1" = version ]; then echo popbridge 1.0.0; exit; fi
echo "$@, logs to $POPBRIDGE_LOG_FILE" >>'`+m.asked+`'
if [ -e "$HOME/good" ]; then exit; fi
echo No agent is running
until [ -e "$HOME/until" ]; do [ -d "$HOME" ] || exit; sleep 0.02; done # as the agent
printf 'error: "it" fails\n' >&2
printf 'hint: $(touch /tmp/x) `+"`id`"+` \\ do '"'"'this'"'"'\n' >&2
exit 1
`)
		m.run(t, true)
		click := func() {
			t.Helper()
			_ = os.Remove(m.asked)
			cmd := exec.Command(shell[0], append(shell[1:], m.home+"/Applications/popbridge.app/Contents/MacOS/popbridge")...)
			cmd.Env = []string{"HOME=" + m.home, "PATH=/usr/bin:/bin"}
			cmd.Dir = "/"
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%q: %v\n%s", shell, err, out)
			}
			if shell[0] == "bash" { // dash has process groups only on a terminal
				_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // as launchd does; there should be none
			}
		}
		asks := func(want string) {
			t.Helper()
			var asked []byte
			for end := time.Now().Add(10 * time.Second); time.Now().Before(end) && string(asked) != want; time.Sleep(5 * time.Millisecond) {
				asked, _ = os.ReadFile(m.asked)
			}
			if string(asked) != want {
				t.Fatalf("%q: asked %q, want %q", shell, asked, want)
			}
		}
		open := "open, logs to " + m.home + "/Library/Logs/popbridge/popbridge.log\n"
		dialog := `<-e><on run argv><-e><display dialog (item 1 of argv) with title "popbridge" with icon stop buttons {"OK"} default button 1><-e><end run>`
		click()
		asks(open)
		m.write(t, m.home+"/until", "")
		asks(open + dialog + "<No agent is running\nerror: \"it\" fails\nhint: $(touch /tmp/x) `id` \\ do 'this'>")

		m.write(t, m.home+"/good", "")
		click()
		asks(open)

		if err := os.Remove(m.home + "/.local/bin/popbridge"); err != nil {
			t.Fatal(err)
		}
		click()
		var asked []byte
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end) && len(asked) == 0; time.Sleep(5 * time.Millisecond) {
			asked, _ = os.ReadFile(m.asked)
		}
		if !bytes.HasPrefix(asked, []byte(dialog+"<")) || !bytes.Contains(asked, []byte("/.local/bin/popbridge: ")) {
			t.Errorf("%q: without a program asked %q", shell, asked)
		}
	}
}
