package operations_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/popbridge/popbridge/agent/agenttest"
	"github.com/popbridge/popbridge/agent/operations"
)

// A change takes effect at once: the client is disconnected, and finds it when
// it comes back with the password it has.
func TestAChangedDeviceIsDisconnected(t *testing.T) {
	r := twoUsers(t)
	r.Start()
	before, other := agenttest.Login(t, r.Addr, "ann", nil), agenttest.Login(t, r.Addr, "bob", nil)
	yes := true
	changed, err := r.Ops().SetDevice(t.Context(), operations.SetDevice{User: "ann", Name: "test", ReadOnly: &yes, Folders: []string{"inbox", "Sent"}})
	if err != nil || fmt.Sprint(changed.ReadOnly, changed.Folders, changed.Without) != "true [INBOX Sent] []" {
		t.Fatalf("changed to %+v, %v", changed, err)
	}
	select {
	case <-before.Closed():
	case <-time.After(agenttest.Patience):
		t.Error("the changed device is still connected")
	}
	if err := other.Noop().Wait(); err != nil {
		t.Errorf("a device of another user: %v", err)
	}
	after := agenttest.Login(t, r.Addr, "ann", nil)
	boxes, err := after.List("", "*", nil).Collect()
	if err != nil || len(boxes) != 2 {
		t.Errorf("sees %v, %v", boxes, err)
	}
	if err := after.Create("Sent/new", nil).Wait(); err == nil {
		t.Error("a device that may only read has made a folder")
	}
	// A new password ends its connections as well, and takes the place of the former one.
	made, err := r.Ops().NewPassword(t.Context(), operations.DeviceLogin{Device: "test", User: "ann"})
	if err != nil || made.User != "ann" || !made.ReadOnly || len(made.Password) < 20 {
		t.Errorf("%+v, %v", made, err)
	}
	select {
	case <-after.Closed():
	case <-time.After(agenttest.Patience):
		t.Error("the device with a new password is still connected with the old one")
	}
	client, err := imapclient.DialInsecure(r.Addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	if err := client.Login("ann", agenttest.DevicePassword).Wait(); err == nil {
		t.Error("the former password logs in")
	}
	if err := client.Login("ann", made.Password).Wait(); err != nil {
		t.Error(err)
	}
	// What is not named stays.
	changed, err = r.Ops().SetDevice(t.Context(), operations.SetDevice{User: "ann", Name: "test", Without: []string{"idle"}})
	if err != nil || fmt.Sprint(changed.ReadOnly, changed.Folders, changed.Without) != "true [INBOX Sent] [IDLE]" {
		t.Errorf("changed to %+v, %v", changed, err)
	}
}
