package testkit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
)

// WebProof is what the web page sends in place of the key of its session, to the process
// of the agent that calls itself so.
func WebProof(key, process string) string {
	hash := sha256.Sum256([]byte(key))
	mac := hmac.New(sha256.New, []byte(hex.EncodeToString(hash[:])))
	_, _ = mac.Write([]byte(process))
	return hex.EncodeToString(mac.Sum(nil))
}
