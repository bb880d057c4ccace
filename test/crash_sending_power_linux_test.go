package test

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/popbridge/popbridge/internal/failpoint"
)

// The same where the power goes at each step, and with it all that was not synced: nothing
// is lost of which the mail program was told 250, and what was handed over is known. The
// short form tries where something has just become durable.
func TestPowerCutAtEachStepOfSending(t *testing.T) {
	short := []string{failpoint.Submitted, failpoint.Dot, failpoint.Concluded}
	for _, at := range stepsOfSending() {
		if !long() && !slices.Contains(short, at.point) {
			continue
		}
		t.Run(at.String(), func(t *testing.T) {
			t.Parallel()
			power := newDisk(t)
			newSending(t, filepath.Join(power.dir, "data")).life(at, power.cut)
		})
	}
}

func TestPowerCutAtRandomMomentsOfSending(t *testing.T) {
	t.Parallel()
	power := newDisk(t)
	newSending(t, filepath.Join(power.dir, "data")).randomKills((kills(t, 7)+3)/4, power.cut)
}
