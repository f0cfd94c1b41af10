package invariant

import (
	"bytes"
	"testing"
)

func TestCheck(t *testing.T) {
	Check(true, "not shown")
	defer func() {
		r := recover()
		if want := "invariant broken: window is -3"; Enabled && r != want || !Enabled && r != nil {
			t.Errorf("enabled %v: recovered %v", Enabled, r)
		}
	}()
	Check(false, "window is %d", -3)
}

func TestScribble(t *testing.T) {
	b := []byte("hello, world")
	Scribble(b[:5])
	if kept := bytes.Contains(b, []byte("world")); kept == Enabled {
		t.Errorf("enabled %v: %q", Enabled, b)
	}
}
