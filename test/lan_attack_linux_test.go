package test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// What the local network tries costs the mail clients of this machine little, and
// guesses come to nothing. The figures are printed, since what else the machine does
// decides them; POPBRIDGE_LONG=1 takes them over minutes, to the ban.
func TestLANUnderAttack(t *testing.T) {
	r := newLAN(t)
	must(t, r.home.Do(func() error { return r.app.AddDevice(t.Context(), "ann", "pc", devicePw) }))
	phone := r.device("phone", "--lan")
	var addrs []string
	for i := range 60 {
		addrs = append(addrs, fmt.Sprintf("192.168.77.%d", 100+i))
		r.phone.ip(t, "addr add "+addrs[i]+"/24 dev ph0")
	}
	r.eventually("the phone reads mail", func() error {
		c, err := r.login(phone)
		if err == nil {
			err = c.Close()
		}
		return err
	})
	span := 2 * time.Second
	if os.Getenv("POPBRIDGE_LONG") != "" {
		span = 2 * time.Minute
	}
	quiet := r.loopback()

	ctx, stop := context.WithCancel(t.Context())
	var attack sync.WaitGroup
	var dialled, handshakes, guesses atomic.Int64
	attack.Go(func() { r.flood(ctx, addrs, &dialled, &handshakes) })
	for range 8 {
		attack.Go(func() { r.guess(ctx, "192.168.77.2", &guesses) })
	}
	var during [2][]time.Duration
	for end := time.Now().Add(span); time.Now().Before(end); {
		one := r.loopback()
		for i := range one {
			during[i] = append(during[i], one[i]...)
		}
	}
	stop()
	attack.Wait()
	for i, what := range []string{"login", "NOOP"} {
		before, under := median(quiet[i]), median(during[i])
		t.Logf("loopback, %s: %v, under attack %v: %.1f times", what, before, under, float64(under)/float64(before))
	}
	t.Logf("in %v: %d connections dialled, %d TLS handshakes, %d guesses sent", span, dialled.Load(), handshakes.Load(), guesses.Load())

	out := r.run("status")
	hashed := 0
	for _, found := range regexp.MustCompile(`(?s)lan-login-refused .*? was refused (once|(\d+) times)`).FindAllStringSubmatch(strings.ReplaceAll(out, "once", "1 times"), -1) {
		n, _ := strconv.Atoi(found[2])
		hashed += n
	}
	t.Logf("%d of the guesses were hashed", hashed)
	if hashed == 0 || hashed > 10 { // ten bring the ban
		t.Errorf("status:\n%s", out)
	}
	r.eventually("this machine's mail clients log in", func() error { r.loopback(); return nil })
}

// loopback returns how long logins and NOOPs take on this machine.
func (r *lanRig) loopback() (took [2][]time.Duration) {
	r.t.Helper()
	for range 5 {
		must(r.t, r.home.Do(func() error {
			began := time.Now()
			conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", r.app.Port))
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close() }()
			in := bufio.NewReader(conn)
			ask := func(line string) error {
				if _, err := fmt.Fprintf(conn, "a %s\r\n", line); err != nil {
					return err
				}
				for {
					text, err := in.ReadString('\n')
					if err != nil || strings.HasPrefix(text, "a OK") {
						return err
					}
					if strings.HasPrefix(text, "a ") {
						return fmt.Errorf("%s: %s", line, text)
					}
				}
			}
			if err := ask("LOGIN ann " + devicePw); err != nil {
				return err
			}
			took[0] = append(took[0], time.Since(began))
			for range 10 {
				began := time.Now()
				if err := ask("NOOP"); err != nil {
					return err
				}
				took[1] = append(took[1], time.Since(began))
			}
			return nil
		}))
	}
	return took
}

// flood connects from many addresses as fast as it goes, and begins TLS.
func (r *lanRig) flood(ctx context.Context, addrs []string, dialled, handshakes *atomic.Int64) {
	var open sync.WaitGroup
	defer open.Wait()
	room := make(chan struct{}, 200)
	for i := 0; ctx.Err() == nil; i++ {
		conn, err := r.dial(addrs[i%len(addrs)])
		dialled.Add(1)
		if err != nil {
			continue
		}
		room <- struct{}{}
		open.Go(func() {
			defer func() { <-room }()
			defer func() { _ = conn.Close() }()
			end := context.AfterFunc(ctx, func() { _ = conn.Close() })
			defer end()
			_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
			if tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).Handshake() == nil {
				handshakes.Add(1)
			}
		})
	}
}

// guess tries passwords from an address, on one connection after the other.
func (r *lanRig) guess(ctx context.Context, from string, guesses *atomic.Int64) {
	for ctx.Err() == nil {
		conn, err := r.dial(from)
		if err != nil {
			continue
		}
		end := context.AfterFunc(ctx, func() { _ = conn.Close() })
		secure := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
		in := bufio.NewReader(secure)
		for _, err := in.ReadString('\n'); err == nil; _, err = in.ReadString('\n') {
			_, _ = fmt.Fprintf(secure, "a LOGIN ann guess-%d\r\n", guesses.Add(1))
		}
		end()
		_ = conn.Close()
	}
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}
