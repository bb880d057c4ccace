package test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/popbridge/popbridge/test/rig"
)

// browserWithin is how long a test waits for something on a page.
const browserWithin = 20 * time.Second

// tab is a page of a real Chromium. Whatever the page writes to the console, every report
// of its policy and every request to another place fails the test, but for what it may.
type tab struct {
	t   *testing.T
	ctx context.Context

	clicks int // with the mouse

	mu   sync.Mutex
	said []string // by the console and the policy
	may  []string // parts of what may be said
	hits []string // addresses that were asked for
}

// chromium starts a browser with a profile of its own and opens a tab.
func chromium(t *testing.T, flags ...string) *tab {
	t.Helper()
	return chromiumAt(t, "chromium", flags...)
}

// chromiumAt starts it by this program.
func chromiumAt(t *testing.T, program string, flags ...string) *tab {
	t.Helper()
	rig.Need(t, "chromium")
	opts := []chromedp.ExecAllocatorOption{chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.WindowSize(1280, 900), chromedp.UserDataDir(t.TempDir()), chromedp.Env("LANG=C.UTF-8", "HOME="+t.TempDir()), chromedp.Flag("lang", "en")}
	for _, f := range flags {
		name, value, _ := strings.Cut(f, "=")
		opts = append(opts, chromedp.Flag(name, value))
	}
	ctx, cancel := chromedp.NewContext(context.WithoutCancel(t.Context()), chromedp.WithAllocatorOptions(opts...))
	b := &tab{t: t, ctx: ctx}
	t.Cleanup(func() {
		if t.Failed() {
			b.shot("failed-" + strings.ReplaceAll(t.Name(), "/", "-"))
			t.Logf("page: %s", b.text())
		}
		cancel()
	})
	b.watch()
	return b
}

// another opens a second tab of the same browser.
func (b *tab) another() *tab {
	b.t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx)
	b.t.Cleanup(cancel)
	other := &tab{t: b.t, ctx: ctx, may: b.may}
	other.watch()
	return other
}

func (b *tab) watch() {
	b.t.Helper()
	b.must(chromedp.Listen(b.ctx, func(event any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventConsoleAPICalled:
			var out []string
			for _, o := range e.Args {
				out = append(out, string(o.Value)+o.Description)
			}
			b.said = append(b.said, fmt.Sprintf("console.%s: %s", e.Type, strings.Join(out, " ")))
		case *runtime.EventExceptionThrown:
			b.said = append(b.said, fmt.Sprintf("exception: %s", e.ExceptionDetails.Exception.Description))
		case *log.EventEntryAdded:
			b.said = append(b.said, fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL))
		case *network.EventRequestWillBeSent:
			b.hits = append(b.hits, e.Request.URL)
		}
	}))
	devtools(b, log.Enable, cdp.Empty{})
	devtools(b, network.Enable, network.EnableParams{})
}

// quiet fails the test for what the page has said, and for requests to another place than
// its own.
func (b *tab) quiet(origin string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, said := range b.said {
		if !slices.ContainsFunc(b.may, func(part string) bool { return strings.Contains(said, part) }) {
			b.t.Errorf("the browser says: %s", said)
		}
	}
	for _, hit := range b.hits {
		if !strings.HasPrefix(hit, origin+"/") && !strings.HasPrefix(hit, "data:") && hit != "about:blank" {
			b.t.Errorf("the page asked for %s", hit)
		}
	}
}

func (b *tab) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// devtools sends a command of the protocol.
func devtools[P, R any](b *tab, c cdp.Command[P, R], params P) R {
	b.t.Helper()
	r, err := chromedp.Run(b.ctx, func(ctx context.Context, t *chromedp.Target) (R, error) { return cdp.Call(ctx, t, c, params) })
	b.must(err)
	return r
}

// open goes to an address.
func (b *tab) open(address string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, browserWithin)
	defer cancel()
	b.must(chromedp.Do(ctx, chromedp.Navigate(address)))
}

// reload loads the page again, and waits until what was there has gone.
func (b *tab) reload() {
	b.t.Helper()
	eval[bool](b, `window.leaving = true; setTimeout(() => location.reload(), 100); return true`)
	b.until("the page is loaded again", `!window.leaving && document.readyState === "complete"`)
}

// eval runs JavaScript, which may await, and returns its value.
func eval[T any](b *tab, js string, args ...any) T {
	b.t.Helper()
	v, err := tryEval[T](b, js, args...)
	b.must(err)
	return v
}

// tryEval is eval where the page may be on its way to another one.
func tryEval[T any](b *tab, js string, args ...any) (none T, err error) {
	ctx, cancel := context.WithTimeout(b.ctx, browserWithin)
	defer cancel()
	raw, err := json.Marshal(append([]any{}, args...))
	if err != nil {
		return none, err
	}
	return chromedp.Run(ctx, chromedp.Evaluate[T](fmt.Sprintf("(async (...args) => { %s })(...%s)", js, raw), chromedp.EvalAwaitPromise))
}

// until waits until an expression is true.
func (b *tab) until(what, js string, args ...any) {
	b.t.Helper()
	for end := time.Now().Add(browserWithin); ; time.Sleep(30 * time.Millisecond) {
		yes, err := tryEval[bool](b, "try { return !!("+js+") } catch { return false }", args...)
		if yes {
			return
		}
		if time.Now().After(end) {
			b.t.Fatalf("%s: not within %v; %v", what, browserWithin, err)
		}
	}
}

// shows waits until the page shows a text.
func (b *tab) shows(text string) {
	b.t.Helper()
	b.until(fmt.Sprintf("%q is shown", text), `document.body?.innerText.includes(args[0])`, text)
}

// gone waits until the page does not show a text any more.
func (b *tab) gone(text string) {
	b.t.Helper()
	b.until(fmt.Sprintf("%q is gone", text), `document.body && !document.body.innerText.includes(args[0])`, text)
}

// find is JavaScript for the button, link or summary of a name, the innermost that is seen.
const find = `(name => [...document.querySelectorAll("dialog[open] button, dialog[open] a"), ...document.querySelectorAll("button, a, summary, label")].find(e => (e.getAttribute("aria-label") ?? e.innerText).trim() === name && e.getClientRects().length))`

// click clicks what has this name, with the mouse.
func (b *tab) click(name string) {
	b.t.Helper()
	var at []float64
	for len(at) == 0 { // the page may be another one by the time that it is asked where
		b.until(fmt.Sprintf("%q can be clicked", name), find+`(args[0])`, name)
		b.until(fmt.Sprintf("%q stands still", name), `await (async () => { const e = `+find+`(args[0]); e.scrollIntoView({block: "center", behavior: "instant"}); await new Promise(requestAnimationFrame); return `+find+`(args[0]) === e })()`, name)
		at = eval[[]float64](b, `const r = `+find+`(args[0])?.getClientRects()[0]; return r ? [r.x + r.width / 2, r.y + r.height / 2] : []`, name)
	}
	b.clicks++
	b.must(chromedp.Do(b.ctx, chromedp.MouseClickXY(at[0], at[1])))
}

// enter puts a text into the field of a label, as a person does, in place of what is there.
func (b *tab) enter(label, text string) {
	b.t.Helper()
	const input = `document.getElementById([...document.querySelectorAll("label")].find(l => l.innerText.trim() === args[0] && l.getClientRects().length)?.htmlFor)`
	b.until(fmt.Sprintf("there is a field %q", label), input, label)
	eval[bool](b, `const e = `+input+`; e.focus(); e.select?.(); return true`, label)
	b.must(chromedp.Do(b.ctx, chromedp.KeyEvent(text)))
}

// press presses keys where the focus is.
func (b *tab) press(keys string) {
	b.t.Helper()
	b.must(chromedp.Do(b.ctx, chromedp.KeyEvent(keys)))
}

// byKey presses what has this name with the keyboard.
func (b *tab) byKey(name string) {
	b.t.Helper()
	b.until(fmt.Sprintf("%q has the focus", name), `(e => (e.focus(), document.activeElement === e))(`+find+`(args[0]))`, name)
	b.press("\r")
}

// focused waits until what has this name has the focus.
func (b *tab) focused(name string) {
	b.t.Helper()
	b.until(fmt.Sprintf("%q has the focus", name), `(e => (e.getAttribute("aria-label") ?? e.innerText).trim() === args[0])(document.activeElement)`, name)
}

func (b *tab) text() string {
	v, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string]("document.body.innerText"))
	return v
}

// tick marks the checkbox of this name.
func (b *tab) tick(name string) {
	b.t.Helper()
	const box = `[...document.querySelectorAll("input[type=checkbox]")].find(e => e.getClientRects().length && (e.getAttribute("aria-label") ?? e.labels[0]?.innerText ?? "").trim() === args[0])`
	b.until(fmt.Sprintf("there is a checkbox %q", name), box, name)
	b.clicks++
	at := eval[[]float64](b, `const e = `+box+`; e.scrollIntoView({block: "center", behavior: "instant"}); const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]`, name)
	b.must(chromedp.Do(b.ctx, chromedp.MouseClickXY(at[0], at[1])))
}

// pick chooses an option of the field of a label, by its text.
func (b *tab) pick(label, option string) {
	b.t.Helper()
	const field = `document.getElementById([...document.querySelectorAll("label")].find(l => l.innerText.trim() === args[0] && l.getClientRects().length)?.htmlFor)`
	b.until(fmt.Sprintf("%q has %q", label, option), `[...`+field+`?.options ?? []].some(o => o.text === args[1])`, label, option)
	eval[bool](b, `const e = `+field+`; e.value = [...e.options].find(o => o.text === args[1]).value; e.dispatchEvent(new Event("change")); return true`, label, option)
}

// resize sets the width of the window, and the colours that the system wants.
func (b *tab) resize(width int64, scheme string) {
	b.t.Helper()
	devtools(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 900, DeviceScaleFactor: 1})
	devtools(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
}

// shot keeps a picture of the whole page where POPBRIDGE_ARTEFACTS says.
func (b *tab) shot(name string) {
	dir := os.Getenv("POPBRIDGE_ARTEFACTS")
	if dir == "" {
		return
	}
	r, err := chromedp.Run(b.ctx, func(ctx context.Context, t *chromedp.Target) (page.CaptureScreenshotResult, error) {
		return cdp.Call(ctx, t, page.CaptureScreenshot, page.CaptureScreenshotParams{CaptureBeyondViewport: new(true)})
	})
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "web-"+name+".png"), r.Data, 0o644)
	}
	if err != nil {
		b.t.Logf("no picture: %v", err)
	}
}
