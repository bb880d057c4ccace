package control

import (
	"context"
	"testing"
	"time"

	"github.com/popbridge/popbridge/agent/operations"
	"github.com/popbridge/popbridge/agent/signin"
)

func (f *fakeOps) SignInBegin(_ context.Context, ask operations.BeginSignIn) (operations.SignIn, error) {
	f.asked = "begin " + ask.Account
	if ask.Device {
		f.asked += " device"
	}
	return operations.SignIn{Account: ask.Account, Method: "device", UserCode: "ABCD-EFGH", State: "waiting"}, f.err
}

func (f *fakeOps) SignInState(_ context.Context, account string) (operations.SignIn, error) {
	f.asked = "state " + account
	return operations.SignIn{Account: account, State: "done", Expires: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		POP: signin.Try{State: "ok"}, SMTP: signin.Try{State: "failed", Text: "t", Hint: "h"}}, f.err
}

func (f *fakeOps) SignInPaste(_ context.Context, ask operations.PasteSignIn) (operations.SignIn, error) {
	f.asked = "paste " + ask.Account + " " + ask.Text
	return operations.SignIn{Account: ask.Account, State: "trying"}, f.err
}

func (f *fakeOps) SignInCancel(_ context.Context, ask operations.AccountName) (struct{}, error) {
	f.asked = "cancel " + ask.Account
	return struct{}{}, f.err
}

// An account may be called as whatever means something in an address.
func TestSigningInThroughTheSocket(t *testing.T) {
	const name = "ann+work@b.c"
	ops := &fakeOps{}
	c, _, _ := serve(t, ops)
	ctx := t.Context()
	same(t, "begin", operations.SignIn{Account: name, Method: "device", UserCode: "ABCD-EFGH", State: "waiting"})(c.SignInBegin(ctx, operations.BeginSignIn{Account: name, Device: true}))
	same(t, "asked", "begin "+name+" device")(ops.asked, nil)
	want, _ := ops.SignInState(ctx, name)
	same(t, "state", want)(c.SignInState(ctx, name))
	same(t, "asked", "state "+name)(ops.asked, nil)
	same(t, "paste", operations.SignIn{Account: name, State: "trying"})(c.SignInPaste(ctx, operations.PasteSignIn{Account: name, Text: "http://127.0.0.1:1/?code=a&state=b"}))
	same(t, "asked", "paste "+name+" http://127.0.0.1:1/?code=a&state=b")(ops.asked, nil)
	same(t, "cancel", struct{}{})(c.SignInCancel(ctx, operations.AccountName{Account: name}))
	same(t, "asked", "cancel "+name)(ops.asked, nil)
}
