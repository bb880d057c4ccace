package secret

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/rs/zerolog"
	"github.com/zalando/go-keyring"
	"go.uber.org/goleak"

	"github.com/popbridge/popbridge/internal/fault"
)

const hunter = "hunter2"

// TestMain lets this program be the command that the tests run.
func TestMain(m *testing.M) {
	if act := os.Getenv("SECRET_TEST_ACT"); act != "" {
		os.Exit(acts[act]())
	}
	goleak.VerifyTestMain(m)
}

// acts is what the command does.
var acts = map[string]func() int{
	"print":   func() int { fmt.Fprint(os.Stdout, hunter+"\nuser: ann\n"); return 0 },
	"windows": func() int { fmt.Fprint(os.Stdout, hunter+"\r\n"); return 0 },
	"nothing": func() int { fmt.Fprintln(os.Stderr, "no such entry"); return 0 },
	"blank":   func() int { fmt.Fprint(os.Stdout, "\n"+hunter+"\n"); return 0 },
	"fail": func() int {
		fmt.Fprintln(os.Stdout, hunter)
		fmt.Fprintf(os.Stderr, "\x1b[31m%s is wrong\n", hunter)
		return 7
	},
	"utf16":   func() int { fmt.Fprint(os.Stdout, "\xff\xfeh\x00 \x00\r\x00\n\x00n\x00"); return 0 },
	"notes":   func() int { fmt.Fprint(os.Stdout, hunter+" \n\xe4\n"); return 0 }, // in Latin-1
	"binary":  func() int { fmt.Fprint(os.Stdout, "\xff\x00\n"); return 0 },
	"endless": func() int { fmt.Fprint(os.Stdout, strings.Repeat("x", MaxSize+1)); return 0 },
	"chatty":  func() int { fmt.Fprint(os.Stderr, strings.Repeat("é", 1<<20)); return 1 },
	"long": func() int {
		fmt.Fprint(os.Stdout, strings.Repeat("x", MaxSize)+"\n"+strings.Repeat("y", 1<<20))
		return 0
	},
	"waits":    func() int { select {} },
	"terminal": func() int { n, _ := io.Copy(io.Discard, os.Stdin); fmt.Fprintln(os.Stdout, "read", n); return 0 },
}

func TestSecretShowsNothing(t *testing.T) {
	s := Secret(hunter)
	type account struct {
		Password Secret
		Map      map[string]Secret
	}
	a := account{s, map[string]Secret{"x": s}}
	var log strings.Builder
	zl := zerolog.New(&log)
	zl.Info().Interface("s", s).Object("o", s).Stringer("st", s).Any("a", a).Msgf("%v", s)
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []string{
		s.String(), fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s %q %x %d %10s", s, s, s, s, s, s, s, s), fmt.Sprintf("%v %+v %#v", a, a, &a),
		fmt.Errorf("wrong: %v", s).Error(), string(text), log.String(),
	} {
		if strings.Contains(got, hunter) || strings.Contains(got, fmt.Sprintf("%x", hunter)) || !strings.Contains(got, mask) {
			t.Errorf("shows %s", got)
		}
	}
	if string(s) != hunter {
		t.Error("the secret itself is lost")
	}
}

// check compares a secret or the text of a fault. An empty want stands for no
// error.
func check(t *testing.T, s Secret, err error, want string, kind fault.Kind, text string) {
	t.Helper()
	if string(s) != want {
		t.Errorf("got %q, want %q", string(s), want)
	}
	if text == "" {
		if err != nil {
			t.Error(err)
		}
		return
	}
	if err == nil || !fault.Is(err, kind) || !strings.Contains(err.Error(), text) {
		t.Errorf("error %v of kind %v\nwant %q of kind %v", err, fault.KindOf(err), text, kind)
		return
	}
	if strings.Contains(err.Error()+fault.Hint(err), hunter) {
		t.Errorf("the secret is shown: %v", err)
	}
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	for i, c := range []struct {
		data, want, text string
	}{
		{hunter, hunter, ""},
		{hunter + "\n", hunter, ""},
		{hunter + "\r\n", hunter, ""},
		{"\ufeff" + hunter + "\r\n", hunter, ""},
		{"  pass word\t\n", "  pass word\t", ""},
		{"Löhne 🔑\n", "Löhne 🔑", ""},
		{strings.Repeat("x", MaxSize) + "\r\n", strings.Repeat("x", MaxSize), ""},
		{strings.Repeat("x", MaxSize+1), "", "holds more than 65536 bytes"},
		{strings.Repeat("x", 10*MaxSize), "", "holds more than 65536 bytes"},
		{"", "", "is empty"},
		{"\n", "", "is empty"},
		{"hunter2\nhunter2\n", "", "has more than one line"}, // a second line would be a second command to the server
		{"hunter2\rhunter2\n", "", "has more than one line"},
		{"hunter2\x00\n", "", "is not UTF-8 text"},
		{"\xff\xfeh\x00", "h", ""}, // UTF-16, as Notepad and PowerShell write it
		{"\xfe\xff\x00h\x00\r\x00\n", "h", ""},
		{"h\x00i\x00 \x00\r\x00\n\x00", "hi ", ""}, // without a byte order mark
		{"\xff\xfeh\x00\n\x00i\x00", "", "has more than one line"},
		{"\xff\xfeh", "", "is not UTF-8 text"},
		{"\xff\xfe" + strings.Repeat("x\x00", MaxSize) + "\n\x00", strings.Repeat("x", MaxSize), ""},
		{"\xff\xfe" + strings.Repeat("x\x00", MaxSize+1), "", "holds more than 65536 bytes"},
	} {
		path := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(path, []byte(c.data), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Source{File: path}.Read(context.Background())
		check(t, s, err, c.want, fault.Config, c.text)
	}
	s, err := Source{File: filepath.Join(dir, "none")}.Read(context.Background())
	check(t, s, err, "", fault.Config, "does not exist")
	s, err = Source{File: dir}.Read(context.Background())
	check(t, s, err, "", fault.Config, "is not a plain file")
	s, err = Source{}.Read(context.Background())
	check(t, s, err, "", fault.Config, "no source")
}

// Who could change the file is an error, who could read it is a warning: secrets
// that a container mounts have the mode that they have.
func TestFileOfOthers(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has access lists instead of modes")
	}
	path := filepath.Join(t.TempDir(), "ann's password")
	if err := os.WriteFile(path, []byte(hunter), 0o600); err != nil {
		t.Fatal(err)
	}
	quoted := `'` + strings.ReplaceAll(path, "'", `'\''`) + `'`
	const safe, read, written = "", "can be read by other users", "other users can change it"
	for mode, what := range map[os.FileMode]string{
		0o600: safe, 0o400: safe, 0o700: safe, 0o604: read, 0o644: read, 0o444: read, 0o602: written, 0o666: written,
	} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		source := Source{File: path}
		s, err := source.Read(context.Background())
		warning, hint := source.Warning()
		if what == written {
			check(t, s, err, "", fault.Config, written)
			hint = fault.Hint(err)
		} else {
			check(t, s, err, hunter, 0, "")
			if (warning != "") != (what == read) || !strings.Contains(warning, what) {
				t.Errorf("mode %o: warning %q", mode, warning)
			}
		}
		if what == safe {
			continue
		}
		for _, way := range []string{"run: chmod ", quoted, "install -m 600 " + quoted, "password_command", "keychain"} {
			if !strings.Contains(hint, way) {
				t.Errorf("mode %o: hint %q does not name %q", mode, hint, way)
			}
		}
	}
	if err := errors.Join(os.Chmod(path, 0o600), os.Chmod(filepath.Dir(path), 0o777)); err != nil {
		t.Fatal(err)
	}
	s, err := Source{File: path}.Read(context.Background())
	check(t, s, err, "", fault.Config, written)
	if text, _ := (Source{Command: []string{"x"}}).Warning(); text != "" {
		t.Error(text)
	}
}

func TestCommand(t *testing.T) {
	me, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		act, want string
		kind      fault.Kind
		text      string
	}{
		{"print", hunter, 0, ""},
		{"windows", hunter, 0, ""},
		{"long", strings.Repeat("x", MaxSize), 0, ""},
		{"terminal", "read 0", 0, ""},
		{"utf16", "h ", 0, ""},
		{"notes", hunter + " ", 0, ""},
		{"nothing", "", fault.Config, `printed no password, saying "no such entry"`},
		{"blank", "", fault.Config, "printed no password"},
		{"fail", "", fault.Temporary, `failed, saying "\x1b[31m*** is wrong": exit status 7`},
		{"binary", "", fault.Config, "is not UTF-8 text"},
		{"endless", "", fault.Config, "holds more than 65536 bytes"},
		{"chatty", "", fault.Temporary, "failed, saying"},
	} {
		t.Run(c.act, func(t *testing.T) {
			t.Setenv("SECRET_TEST_ACT", c.act)
			s, err := Source{Command: []string{me}}.Read(context.Background())
			check(t, s, err, c.want, c.kind, c.text)
			if err != nil && len(err.Error()) > 2000 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
	s, err := Source{Command: []string{"popbridge-test-no-such-program"}}.Read(context.Background())
	check(t, s, err, "", fault.Config, "is not a program that can be found")
}

func TestCommandThatWaits(t *testing.T) {
	me, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("SECRET_TEST_ACT", "waits")
	s, err := runCommand(context.Background(), []string{me}, 10*time.Millisecond)
	check(t, s, err, "", fault.Temporary, "did not end within 10ms")

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s, err = Source{Command: []string{me}}.Read(ctx)
	if !errors.Is(err, context.Canceled) || s != "" {
		t.Errorf("got %q, %v", string(s), err)
	}
}

func TestKeychain(t *testing.T) {
	keyring.MockInit()
	ctx, item := context.Background(), Item{"popbridge", "ann@example.com@pop.example.com"}
	source := Source{Keychain: item}
	s, err := source.Read(ctx)
	check(t, s, err, "", fault.Config, `the keychain has no password for "ann@example.com@pop.example.com"`)
	if !errors.Is(err, keyring.ErrNotFound) || !strings.Contains(fault.Hint(err), "password_file") {
		t.Errorf("%v; hint: %s", err, fault.Hint(err))
	}
	if err := keyring.Set(item.Service, item.Account, hunter); err != nil {
		t.Fatal(err)
	}
	s, err = source.Read(ctx)
	check(t, s, err, hunter, 0, "")

	keyring.MockInitWithError(errors.New("dbus: no session bus"))
	s, err = source.Read(ctx)
	check(t, s, err, "", fault.Temporary, "the keychain cannot be used: dbus: no session bus")
}

// TestKeychainThatHangs waits for one question that is never answered, from
// several sides, and asks no second one.
func TestKeychainThatHangs(t *testing.T) {
	item := Item{"popbridge", "ann"}
	hanging := &question{done: make(chan struct{})}
	k := &keychain{timeout: time.Millisecond, asking: map[Item]*question{item: hanging}}
	for range 3 {
		s, err := k.get(context.Background(), item)
		check(t, s, err, "", fault.Temporary, "did not answer within 1ms")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	k.timeout = time.Hour
	if _, err := k.get(ctx, item); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	hanging.answer = hunter
	close(hanging.done)
	s, err := k.get(context.Background(), item)
	check(t, s, err, hunter, 0, "")
}

func TestStore(t *testing.T) {
	keyring.MockInit()
	ctx, item := context.Background(), Item{"popbridge", "ann@example.com@pop.example.com"}
	for _, password := range []Secret{"first", "zweites, größer 密码"} {
		if err := Store(ctx, item, password); err != nil {
			t.Fatal(err)
		}
		s, err := Source{Keychain: item}.Read(ctx)
		check(t, s, err, string(password), 0, "")
	}
	keyring.MockInitWithError(errors.New("dbus: no session bus"))
	if err := Store(ctx, item, "x"); !fault.Is(err, fault.Temporary) || fault.Hint(err) == "" {
		t.Errorf("without a keychain: %v", err)
	}
}

// What cmdkey of Windows stores is UTF-16 without a mark.
func TestKeychainItemsInUTF16(t *testing.T) {
	for _, password := range []string{"hunter2", "größer", "Пароль", "密码", "a", "x y"} {
		var utf16LE []byte
		for _, unit := range utf16.Encode([]rune(password)) {
			utf16LE = append(utf16LE, byte(unit), byte(unit>>8))
		}
		if got := decodeItem(string(utf16LE), true); got != password && password != "密码" { // no program can tell that from UTF-8
			t.Errorf("%q was read as %q", password, got)
		}
		if got := decodeItem(password, true); got != password {
			t.Errorf("%q in UTF-8 was read as %q", password, got)
		}
	}
}

// A password that is no UTF-16 is not read as such: another one would be sent.
func TestKeychainItemsThatAreNoUTF16(t *testing.T) {
	for _, tt := range []struct {
		password string
		windows  bool
	}{{"pa\tss1", true}, {"pa\tss1", false}, {"p\xe4ss", false}, {"\x01\x02pw", false}, {"secret", true}} {
		if got := decodeItem(tt.password, tt.windows); got != tt.password {
			t.Errorf("%q was read as %q", tt.password, got)
		}
	}
}

// Root runs no program that others can change.
func TestCommandOfOthersIsNotRunByRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	path := filepath.Join(t.TempDir(), "command")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho "+hunter+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	source := Source{Command: []string{path}}
	s, err := source.Read(context.Background())
	check(t, s, err, hunter, 0, "")
	for _, spoil := range []func() error{
		func() error { return os.Chmod(path, 0o777) },
		func() error { return errors.Join(os.Chmod(path, 0o755), os.Chown(path, 54321, 54321)) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		for _, argv := range [][]string{{path}, {"sh", path}, {"env", "sh", path}} {
			s, err = Source{Command: argv}.Read(context.Background())
			check(t, s, err, "", fault.Config, "is not run as root")
		}
	}
}

// What could not be read again is not stored.
func TestStoreRefusesWhatReadWould(t *testing.T) {
	keyring.MockInit()
	item := Item{"popbridge", "ann@pop.example.com"}
	for s, want := range map[Secret]string{
		"": "the password is empty", "m\xfcller": "the password is not UTF-8 text", "a\nb": "the password has more than one line",
		"a\n": "the password has more than one line", Secret(strings.Repeat("x", MaxSize+1)): "the password holds more than 65536 bytes",
	} {
		if err := Store(t.Context(), item, s); err == nil || err.Error() != want || fault.Hint(err) == "" {
			t.Errorf("%q: %v, want %s", string(s), err, want)
		}
	}
	if s, err := (Source{Keychain: item}).Read(t.Context()); err == nil {
		t.Errorf("%q was stored", string(s))
	}
}
