package lint

import (
	"strings"
	"testing"
)

// Every rule complains about what it is there for, and not about its neighbour.
func TestRules(t *testing.T) {
	long := strings.Repeat("\n", maxLines)
	tests := []struct {
		name string
		rule func(*file) []problem
		path string
		src  string
		want string // in the one complaint; "": none
	}{
		{"down", checkLayers, "internal/h1/a.go", `import _ "github.com/weftws/weft/internal/transport"`, ""},
		{"up", checkLayers, "internal/frame/a.go", `import _ "github.com/weftws/weft/internal/proto"`, "imports point down only"},
		{"sideways", checkLayers, "internal/h1/a.go", `import _ "github.com/weftws/weft/internal/h2/h2net"`, "imports point down only"},
		{"root", checkLayers, "internal/h1/a.go", `import _ "github.com/weftws/weft"`, "layer 50"},
		{"unknown", checkLayers, "internal/new/a.go", ``, "has no layer"},
		{"test support", checkLayers, "internal/h1/a.go", `import _ "github.com/weftws/weft/internal/simnet"`, "for tests only"},
		{"lab", checkLayers, "lab/a.go", `import _ "github.com/weftws/weft/internal/simnet"`, ""},
		{"test", checkLayers, "internal/h2/a_test.go", `import _ "github.com/weftws/weft/internal/simnet"`, ""},
		{"test up", checkLayers, "internal/h2/a_test.go", `import _ "github.com/weftws/weft/internal/h2/h2net"`, "a test of layer 20"},

		{"owner", checkOwners, "internal/h2/a.go", `import _ "golang.org/x/net/http2/hpack"`, ""},
		{"owner's text", checkOwners, "internal/h2/wire/text_print.go", `import _ "golang.org/x/net/http2/hpack"`, ""},
		{"no owner", checkOwners, "internal/h1/a.go", `import _ "golang.org/x/net/http2/hpack"`, "go through internal/h2"},
		{"codec", checkOwners, "internal/h2/wire/a.go", `import _ "golang.org/x/net/http2/hpack"`, "field blocks are bytes"},
		{"below a path", checkOwners, "a.go", `import _ "github.com/quic-go/quic-go/http3"`, "go through internal/h3"},
		{"tests only", checkOwners, "a.go", `import _ "go.uber.org/goleak"`, "keep it in tests"},
		{"in a test", checkOwners, "a_test.go", `import _ "go.uber.org/goleak"`, ""},

		{"lock", checkPure, "internal/h2/a.go", `import _ "sync"`, "the driver holds the lock"},
		{"pool", checkPure, "internal/deflate/a.go", `import "sync"; var _ sync.Pool`, ""},
		{"mutex", checkPure, "internal/deflate/a.go", `import "sync"; var _ sync.Mutex`, "sync.Mutex"},
		{"header", checkPure, "internal/handshake/a.go", `import "net/http"; var _ http.Header; const _ = http.StatusOK`, ""},
		{"client", checkPure, "internal/handshake/a.go", `import "net/http"; var _ http.Client`, "http.Client"},
		{"clock", checkPure, "internal/h2/a.go", `import "time"; var _ = time.Now`, "take now as an argument"},
		{"renamed clock", checkPure, "internal/h2/a.go", `import x "time"; var _ = x.After`, "take now as an argument"},
		{"duration", checkPure, "internal/h2/a.go", `import "time"; var _ = time.Second`, ""},
		{"goroutine", checkPure, "negotiate/a.go", `func f() { go f() }`, "starts a goroutine"},
		{"channel", checkPure, "negotiate/a.go", `var c chan int`, "uses channels"},

		{"vague file", checkNames, "internal/h1/conn_util.go", ``, "name for anything"},
		{"good file", checkNames, "internal/h1/utility.go", ``, ""},
		{"long", checkLength, "a.go", long, "split it"},
		{"long test", checkLength, "a_test.go", long, ""},
		{"citation", checkCitations, "a.go", `// RFC 9113, Section 6.9.1 and RFC 8441; NO_RFC7540_PRIORITIES`, ""},
		{"glued", checkCitations, "a.go", `// RFC9113`, "cite as"},
		{"in a quotation", checkCitations, "a.go", `// "[RFC6455] requires"`, ""},
		{"no comma", checkCitations, "a.go", `// RFC 9113 Section 6`, "cite as"},
		{"sign", checkCitations, "a.go", `// RFC 9113, §6`, "cite as"},
		{"obsolete", checkCitations, "a.go", `// RFC 7540, Section 6`, "obsolete"},

		{"sleep", checkSleep, "a_test.go", `import "time"; func TestX() { time.Sleep(1) }`, "real time"},
		{"in a bubble", checkSleep, "a_test.go",
			`import ("time"; "testing/synctest"); func TestX() { synctest.Test(nil, func() { time.Sleep(1) }) }`, ""},
		{"beside a bubble", checkSleep, "a_test.go",
			`import ("time"; "testing/synctest"); func TestX() { synctest.Test(nil, nil); time.Sleep(1) }`, "real time"},
		{"in a bubble of a function", checkSleep, "a_test.go",
			`import ("time"; "testing/synctest"); func run(f func()) { synctest.Test(nil, f) }; func TestX() { run(func() { time.Sleep(1) }) }`, ""},
		{"skip", checkSkip, "a_test.go", `func TestX() { t.Skip() }`, "without a reason"},
		{"skip with a reason", checkSkip, "a_test.go", `func TestX() { t.Skip("no peer") }`, ""},
		{"port", checkPort, "a_test.go", `import "net"; func TestX() { net.Listen("tcp", "127.0.0.1:8443") }`, "fixed port"},
		{"any port", checkPort, "a_test.go", `import "net"; func TestX() { net.Listen("tcp", "127.0.0.1:0") }`, ""},
	}
	for _, tt := range tests {
		f, err := parse(tt.path, []byte("package x\n"+tt.src))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		f.runners = make(map[string]bool)
		f.findRunners()
		got := tt.rule(f)
		if tt.want == "" && len(got) == 0 || tt.want != "" && len(got) == 1 && strings.Contains(string(got[0]), tt.want) {
			continue
		}
		t.Errorf("%s: complaints %q, want one with %q", tt.name, got, tt.want)
	}
}
