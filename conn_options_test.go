package weft

import (
	"context"
	"testing"
	"time"

	"github.com/weftws/weft/internal/deflate"
	"github.com/weftws/weft/internal/frame"
)

func TestOptionsThatAreTheSameAreShared(t *testing.T) {
	base := connOptions{side: frame.Server, subprotocol: "chat", keepalive: time.Second, deflate: &deflate.Params{ServerMaxWindowBits: 12}}
	first := base.shared()
	again := base
	again.deflate = &deflate.Params{ServerMaxWindowBits: 12}
	if again.shared() != first {
		t.Error("the same options were not shared")
	}
	for name, change := range map[string]func(*connOptions){
		"side":        func(o *connOptions) { o.side = frame.Client },
		"subprotocol": func(o *connOptions) { o.subprotocol = "" },
		"deflate":     func(o *connOptions) { o.deflate = &deflate.Params{ServerMaxWindowBits: 13} },
		"no deflate":  func(o *connOptions) { o.deflate = nil },
		"threshold":   func(o *connOptions) { o.threshold = 1 },
		"keepalive":   func(o *connOptions) { o.keepalive = 0 },
		"observer":    func(o *connOptions) { o.observer = new(Observer) },
		"registry":    func(o *connOptions) { o.registry = new(registry) },
		"onPing":      func(o *connOptions) { o.onPing = func(context.Context, []byte) bool { return true } },
		"onPong":      func(o *connOptions) { o.onPong = func(context.Context, []byte) {} },
	} {
		o := base
		change(&o)
		if o.shared() == first {
			t.Errorf("options with another %s were shared", name)
		}
	}
}
