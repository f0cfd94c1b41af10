package weft

import (
	"testing"

	"github.com/weftws/weft/internal/deflate"
	"github.com/weftws/weft/internal/frame"
	"github.com/weftws/weft/internal/proto"
)

// Between compressed messages a Conn has no inflow, and the window is not lost.
func TestInflowsOfCompressedMessagesRest(t *testing.T) {
	params := &deflate.Params{}
	c := newConn(new(sink), &connOptions{side: frame.Server, deflate: params})
	c.setMode(true, false)
	c.handled.Store(true)
	var got []string
	in := inbox{c: c, h: HandlerFuncs{Message: func(_ *Conn, _ MessageType, p []byte) { got = append(got, string(p)) }}}
	peer := proto.NewSender(proto.Config{Side: frame.Client, Deflate: params})
	const message = "the same again, which the window makes short"
	for i := range 3 {
		head, body, _ := peer.Message(nil, frame.Text, []byte(message), true, true, [4]byte{1, 2, 3, 4})
		in.receive(append(append([]byte{}, head...), body...), nil)
		if len(got) != i+1 || got[i] != message {
			t.Fatalf("got %q after message %d", got, i)
		}
		if c.in != nil || c.rare == nil || c.rare.inflater == nil {
			t.Fatal("the inflow stays, or the window does not")
		}
	}
	c.endInflow()
	if c.rare.inflater != nil {
		t.Error("the window stays with a Conn that is over")
	}
}
