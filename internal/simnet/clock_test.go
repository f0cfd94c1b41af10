package simnet

import (
	"testing"
	"time"
)

func TestSetWall(t *testing.T) {
	now := time.Now()
	for _, by := range []time.Duration{-87600 * time.Hour, -1, 0, time.Second, 87600 * time.Hour} {
		set := SetWall(now, by)
		if d := set.Add(time.Second).Sub(now); d != time.Second {
			t.Errorf("set by %v: a second later %v have passed", by, d)
		}
		if d := set.Unix() - now.Add(by).Unix(); d != 0 {
			t.Errorf("set by %v: the wall clock is %d s off", by, d)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a time without a monotonic reading is set")
		}
	}()
	SetWall(now.Round(0), time.Hour)
}
