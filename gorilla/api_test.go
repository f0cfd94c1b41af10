package websocket_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/weftws/weft/internal/lint"
)

// Everything that gorilla exports is here, with the same type. The list is checked against gorilla itself by the interop module.
func TestGorillaAPI(t *testing.T) {
	list, err := os.ReadFile("testdata/gorilla-v1.5.3.txt")
	if err != nil {
		t.Fatal(err)
	}
	ours, err := lint.API(".")
	if err != nil {
		t.Fatal(err)
	}
	theirs := strings.Split(strings.TrimSpace(string(list)), "\n")
	if len(theirs) < 90 {
		t.Fatalf("the list has %d lines", len(theirs))
	}
	for _, line := range theirs {
		if !slices.Contains(ours, line) {
			t.Errorf("gorilla has %s", line)
		}
	}
	for _, line := range ours {
		if !slices.Contains(theirs, line) {
			t.Errorf("gorilla has no %s", line)
		}
	}
}
