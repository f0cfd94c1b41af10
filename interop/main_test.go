package interop

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(runRole(role))
	}
	goleak.VerifyTestMain(m)
}

// roleVariable makes this test binary play a peer: what differs by environment variable needs a process of its own.
const roleVariable = "WEFT_INTEROP_ROLE"

func runRole(role string) int {
	switch role {
	case roleNetHTTP:
		return serveNetHTTP()
	}
	println("no role is called", role)
	return 2
}
