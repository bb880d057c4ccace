package accounts

import "github.com/popbridge/popbridge/agent/health"

// RetryNow ends the pause of an account that could not be served.
func (ac *Account) RetryNow() {
	select {
	case ac.retryNow <- struct{}{}:
	default: // it is on its way
	}
}

func (ac *Account) resume(reason string) {
	if r := ac.current(); r != nil {
		r.Resume(reason)
		return
	}
	ac.RetryNow()
}

// ReportRemembered makes a condition of the last error of an account that is not
// served.
func (ac *Account) ReportRemembered(lastError string) {
	ac.mu.Lock()
	held := IsHeld(ac.err)
	ac.mu.Unlock()
	if lastError != "" && !held {
		ac.set.users.Health.Report(ac.source(), append(ac.conditions(ac.Status()),
			health.Remembered(ac.Config.Name, lastError, ac.set.users.Command("sync "+ac.Config.Name)))...)
	}
}
