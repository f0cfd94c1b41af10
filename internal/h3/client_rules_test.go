package h3

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// What a client may do wrong on its unidirectional streams, and how its connection ends.
func TestClientControlViolations(t *testing.T) {
	settings := frameOf(frameSettings, "")
	for name, c := range map[string]struct {
		control []byte
		more    []byte // another stream
		end     bool   // of the control stream
		code    http3.ErrCode
		told    string
	}{
		"SETTINGS not first":                {control: controlStream(frameOf(0x21, "")), code: http3.ErrCodeMissingSettings, told: "missing-settings"},
		"a second control stream":           {control: controlStream(settings), more: controlStream(settings), code: http3.ErrCodeStreamCreationError, told: "stream-creation-error"},
		"a second encoder's":                {control: []byte{streamEncoder}, more: []byte{streamEncoder}, code: http3.ErrCodeStreamCreationError, told: "stream-creation-error"},
		"a push stream":                     {control: []byte{streamPush, 0}, code: http3.ErrCodeStreamCreationError, told: "stream-creation-error"},
		"SETTINGS twice":                    {control: controlStream(settings, settings), code: http3.ErrCodeFrameUnexpected, told: "frame-unexpected"},
		"a setting twice":                   {control: controlStream(frameOf(frameSettings, string(settingsOf(9, 1, 9, 1)))), code: http3.ErrCodeSettingsError, told: "settings-error"},
		"a setting of HTTP/2":               {control: controlStream(frameOf(frameSettings, string(settingsOf(4, 65535)))), code: http3.ErrCodeSettingsError, told: "settings-error"},
		"half a setting":                    {control: controlStream(frameOf(frameSettings, "\x40")), code: http3.ErrCodeFrameError, told: "frame-error"},
		"SETTINGS without measure":          {control: controlStream(append([]byte{frameSettings, 0x80, 1, 0, 0}, settings...)), code: http3.ErrCodeExcessiveLoad, told: "excessive-load"},
		"DATA":                              {control: controlStream(settings, frameOf(frameData, "")), code: http3.ErrCodeFrameUnexpected, told: "frame-unexpected"},
		"HEADERS":                           {control: controlStream(settings, frameOf(frameHeaders, "")), code: http3.ErrCodeFrameUnexpected, told: "frame-unexpected"},
		"PUSH_PROMISE":                      {control: controlStream(settings, frameOf(framePushPromise, "\x00")), code: http3.ErrCodeFrameUnexpected, told: "frame-unexpected"},
		"PING of HTTP/2":                    {control: controlStream(settings, frameOf(0x6, "12345678")), code: http3.ErrCodeFrameUnexpected, told: "frame-unexpected"},
		"CANCEL_PUSH":                       {control: controlStream(settings, frameOf(frameCancelPush, "\x00")), code: http3.ErrCodeIDError, told: "id-error"},
		"MAX_PUSH_ID goes down":             {control: controlStream(settings, frameOf(frameMaxPushID, "\x05"), frameOf(frameMaxPushID, "\x04")), code: http3.ErrCodeIDError, told: "id-error"},
		"MAX_PUSH_ID of nothing":            {control: controlStream(settings, frameOf(frameMaxPushID, "")), code: http3.ErrCodeFrameError, told: "frame-error"},
		"GOAWAY goes up":                    {control: controlStream(settings, frameOf(frameGoAway, "\x04"), frameOf(frameGoAway, "\x05")), code: http3.ErrCodeIDError, told: "id-error"},
		"GOAWAY with two ids":               {control: controlStream(settings, frameOf(frameGoAway, "\x04\x04")), code: http3.ErrCodeFrameError, told: "frame-error"},
		"PRIORITY_UPDATE of a push":         {control: controlStream(settings, frameOf(framePriorityPush, "\x00u=1")), code: http3.ErrCodeIDError, told: "id-error"},
		"PRIORITY_UPDATE of another stream": {control: controlStream(settings, frameOf(framePriorityRequest, "\x02u=1")), code: http3.ErrCodeIDError, told: "id-error"},
		"PRIORITY_UPDATE of nothing":        {control: controlStream(settings, frameOf(framePriorityRequest, "")), code: http3.ErrCodeFrameError, told: "frame-error"},
		"the control stream ends":           {control: controlStream(settings), end: true, code: http3.ErrCodeClosedCriticalStream, told: "closed-critical-stream"},
		"it ends in a frame":                {control: controlStream(settings, frameOf(0x21, "abc")[:3]), end: true, code: http3.ErrCodeClosedCriticalStream, told: "closed-critical-stream"},

		"what may come": {control: controlStream(
			frameOf(frameSettings, string(settingsOf(1, 4096, 6, 100, 8, 1, 0x21, 7))), frameOf(0x21, "grease"), frameOf(frameMaxPushID, "\x04"), frameOf(frameMaxPushID, "\x04"),
			frameOf(frameGoAway, "\x05"), frameOf(frameGoAway, "\x05"), frameOf(framePriorityRequest, "\x00u=1, i"), frameOf(framePriorityRequest, "\x3c?"),
		), more: []byte{streamDecoder}},
		"a stream without a type": {control: []byte{}, end: true},
		"a type cut short":        {control: []byte{0x40}, end: true},
	} {
		t.Run(name, func(t *testing.T) {
			var told complaint
			inFakeTime(t, &Server{Violation: told.note}, http.NotFoundHandler(), func(t *testing.T, fx *fixture) {
				q := fx.rawDial(nil)
				s := q.uni(c.control)
				if c.more != nil {
					q.uni(c.more)
				}
				if c.end {
					s.Close()
				}
				pass(time.Second)
				if got := q.closeCode(); got != c.code {
					t.Fatalf("closed with %v, want %v", got, c.code)
				}
				told.wantNames(t, c.told)
				if c.code != 0 {
					return
				}
				r := q.request(requestOf("GET"))
				r.Close()
				if _, err := io.ReadAll(r); err != nil {
					t.Errorf("a request afterwards: %v", err)
				}
			})
		})
	}
}

// A stream of a type that we do not know is stopped, and nothing else.
func TestUnknownStreamType(t *testing.T) {
	inFakeTime(t, &Server{}, http.NotFoundHandler(), func(t *testing.T, fx *fixture) {
		q := fx.rawDial(nil)
		s := q.uni([]byte{0x21}, make([]byte, 1000))
		pass(time.Second)
		if got := stopCode(s.Context()); got != http3.ErrCodeStreamCreationError || q.Context().Err() != nil {
			t.Errorf("stopped with %v; %v", got, q.Context().Err())
		}
	})
}

// What a client may do wrong with a request: before its handler is called, or while it reads the content.
func TestClientRequestViolations(t *testing.T) {
	get, post := requestOf("GET"), requestOf("POST")
	lines := func(n int) (fields []string) {
		for range n {
			fields = append(fields, "a", "b")
		}
		return fields
	}
	trailers := func(fields ...string) []byte { return join(post, frameOf(frameData, "x"), headersOf(fields...)) }
	const malformed = http3.ErrCodeMessageError
	for name, c := range map[string]struct {
		request []byte
		end     bool
		conn    http3.ErrCode // the connection ends with it
		code    http3.ErrCode // the stream is reset with it; 0: it is answered
		status  int           // default 200
		told    string
	}{
		"DATA first":                 {request: frameOf(frameData, "x"), conn: http3.ErrCodeFrameUnexpected, told: "frame-unexpected"},
		"SETTINGS first":             {request: frameOf(frameSettings, ""), conn: http3.ErrCodeFrameUnexpected, told: "frame-unexpected"},
		"PRIORITY_UPDATE first":      {request: frameOf(framePriorityRequest, "\x00"), conn: http3.ErrCodeFrameUnexpected, told: "frame-unexpected"},
		"PRIORITY of HTTP/2":         {request: join(get, frameOf(0x2, "12345")), conn: http3.ErrCodeFrameUnexpected, told: "frame-unexpected"},
		"PUSH_PROMISE":               {request: join(post, frameOf(framePushPromise, "\x00")), conn: http3.ErrCodeFrameUnexpected, told: "frame-unexpected"},
		"three HEADERS":              {request: join(trailers("a", "b"), headersOf("a", "b")), conn: http3.ErrCodeFrameUnexpected, told: "frame-unexpected"},
		"DATA after the trailers":    {request: join(trailers("a", "b"), frameOf(frameData, "x")), conn: http3.ErrCodeFrameUnexpected, told: "frame-unexpected"},
		"HEADERS cut short":          {request: get[:len(get)-1], end: true, conn: http3.ErrCodeFrameError, told: "frame-error"},
		"DATA cut short":             {request: join(post, frameOf(frameData, "abc")[:4]), end: true, conn: http3.ErrCodeFrameError, told: "frame-error"},
		"a dynamic table":            {request: frameOf(frameHeaders, "\x02\x00\xd9"), conn: http3.ErrCodeQPACKDecompressionFailed, told: "qpack-decompression-failed"},
		"its trailers":               {request: join(post, frameOf(frameHeaders, "\x02\x00\xd9")), end: true, conn: http3.ErrCodeQPACKDecompressionFailed, told: "qpack-decompression-failed"},
		"grease without measure":     {request: join(frameOf(0x21, strings.Repeat("x", 5000)), frameOf(0x40, strings.Repeat("x", 6000)), get), conn: http3.ErrCodeExcessiveLoad, told: "excessive-load"},
		"nothing":                    {end: true, code: http3.ErrCodeRequestIncomplete, told: "request-incomplete"},
		"only grease":                {request: frameOf(0x21, "x"), end: true, code: http3.ErrCodeRequestIncomplete, told: "request-incomplete"},
		"no :method":                 {request: headersOf(":scheme", "https", ":authority", "a", ":path", "/"), code: malformed, told: "pseudo-header-missing"},
		"no :scheme":                 {request: headersOf(":method", "GET", ":authority", "a", ":path", "/"), code: malformed, told: "pseudo-header-missing"},
		"no :path":                   {request: headersOf(":method", "GET", ":scheme", "https", ":authority", "a"), code: malformed, told: "pseudo-header-missing"},
		"no :authority":              {request: headersOf(":method", "GET", ":scheme", "https", ":path", "/"), code: malformed, told: "pseudo-header-missing"},
		"an empty :authority":        {request: headersOf(":method", "GET", ":scheme", "https", ":authority", "", ":path", "/"), code: malformed, told: "pseudo-header-invalid"},
		"userinfo":                   {request: headersOf(":method", "GET", ":scheme", "https", ":authority", "a@b", ":path", "/"), code: malformed, told: "pseudo-header-invalid"},
		"an empty :path":             {request: headersOf(":method", "GET", ":scheme", "https", ":authority", "a", ":path", ""), code: malformed, told: "pseudo-header-invalid"},
		"a :path without a slash":    {request: headersOf(":method", "GET", ":scheme", "https", ":authority", "a", ":path", "x"), code: malformed, told: "pseudo-header-invalid"},
		"an invalid :method":         {request: requestOf("G ET"), code: malformed, told: "pseudo-header-invalid"},
		"a pseudo-header twice":      {request: requestOf("GET", ":method", "GET"), code: malformed, told: "pseudo-header-repeated"},
		"one after a field":          {request: headersOf(":method", "GET", "a", "b", ":scheme", "https", ":authority", "a", ":path", "/"), code: malformed, told: "pseudo-header-after-field"},
		"an unknown one":             {request: requestOf("GET", ":a", "b"), code: malformed, told: "pseudo-header-unknown"},
		":status":                    {request: requestOf("GET", ":status", "200"), code: malformed, told: "pseudo-header-unknown"},
		"a field in upper case":      {request: requestOf("GET", "A", "b"), code: malformed, told: "field-name-invalid"},
		"a field with a space":       {request: requestOf("GET", "a b", "c"), code: malformed, told: "field-name-invalid"},
		"a field without a name":     {request: requestOf("GET", "", "c"), code: malformed, told: "field-name-invalid"},
		"a value with a line break":  {request: requestOf("GET", "a", "b\r\nc: d"), code: malformed, told: "field-value-invalid"},
		"a value with a space":       {request: requestOf("GET", "a", " b"), code: malformed, told: "field-value-invalid"},
		"connection":                 {request: requestOf("GET", "connection", "close"), code: malformed, told: "connection-specific-field"},
		"transfer-encoding":          {request: requestOf("GET", "transfer-encoding", "chunked"), code: malformed, told: "connection-specific-field"},
		"te: gzip":                   {request: requestOf("GET", "te", "gzip"), code: malformed, told: "connection-specific-field"},
		"two hosts":                  {request: requestOf("GET", "host", serverName, "host", "b"), code: malformed, told: "host-mismatch"},
		"another host":               {request: requestOf("GET", "host", "b"), code: malformed, told: "host-mismatch"},
		"CONNECT with a path":        {request: requestOf("CONNECT"), code: malformed, told: "connect-form"},
		":protocol in a GET":         {request: requestOf("GET", ":protocol", "websocket"), code: malformed, told: "connect-form"},
		":protocol, no :authority":   {request: headersOf(":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":path", "/"), code: malformed, told: "pseudo-header-missing"},
		":protocol, no :path":        {request: headersOf(":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", "a"), code: malformed, told: "pseudo-header-missing"},
		"an invalid :protocol":       {request: requestOf("CONNECT", ":protocol", "web socket"), code: malformed, told: "pseudo-header-invalid"},
		"two lengths":                {request: requestOf("POST", "content-length", "1", "content-length", "2"), code: malformed, told: "content-length-invalid"},
		"a length of a sort":         {request: requestOf("POST", "content-length", "+1"), code: malformed, told: "content-length-invalid"},
		"a length, and nothing":      {request: requestOf("POST", "content-length", "1"), end: true, code: malformed, told: "content-length-mismatch"},
		"less than its length":       {request: join(requestOf("POST", "content-length", "2"), frameOf(frameData, "x")), end: true, code: malformed, told: "content-length-mismatch"},
		"more than its length":       {request: join(requestOf("POST", "content-length", "2"), frameOf(frameData, "xyz")), code: malformed, told: "content-length-mismatch"},
		"a pseudo-header at the end": {request: trailers("a", "b", ":path", "/"), end: true, code: malformed, told: "pseudo-header-in-trailers"},
		"trailers in upper case":     {request: trailers("A", "b"), end: true, code: malformed, told: "field-name-invalid"},
		"trailers without measure":   {request: trailers("a", strings.Repeat("x", 20000)), code: http3.ErrCodeExcessiveLoad, told: "header-list-too-large"},
		"256 lines":                  {request: headersOf(append([]string{":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/"}, lines(252)...)...), end: true},
		"257 lines":                  {request: headersOf(append([]string{":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/"}, lines(253)...)...), status: 431, told: "header-list-too-large"},
		"a frame that announces":     {request: append([]byte{frameHeaders, 0x80, 1, 0, 0}, get...), status: 431, told: "header-list-too-large"},

		"what may come": {request: join(
			frameOf(0x21, "grease"), requestOf("POST", "content-length", "3", "content-length", "3", "te", "trailers", "host", serverName, "cookie", "a=b", "cookie", "c=d", "trailer", "a"),
			frameOf(0x21, ""), frameOf(frameData, "a"), frameOf(frameData, ""), frameOf(0x40, "grease"), frameOf(frameData, "bc"), headersOf("a", "b"), frameOf(0x21, "x"),
		), end: true},
		"OPTIONS *":                 {request: headersOf(":method", "OPTIONS", ":scheme", "https", ":authority", "a", ":path", "*"), end: true},
		"a host, and no :authority": {request: headersOf(":method", "GET", ":scheme", "https", ":path", "/", "host", "a"), end: true},
		"CONNECT":                   {request: headersOf(":method", "CONNECT", ":authority", "a:1"), end: true},
	} {
		t.Run(name, func(t *testing.T) {
			var told complaint
			handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
			inFakeTime(t, &Server{Violation: told.note, MaxHeaderBytes: 10000}, handler, func(t *testing.T, fx *fixture) {
				q := fx.rawDial(nil)
				q.uni(controlStream(frameOf(frameSettings, "")))
				s := q.request(c.request)
				if c.end {
					s.Close()
				}
				pass(time.Second)
				if got := q.closeCode(); got != c.conn {
					t.Fatalf("closed with %v, want %v", got, c.conn)
				}
				told.wantNames(t, c.told)
				switch {
				case c.conn != 0:
				case c.code != 0:
					if got := resetCode(s); got != c.code {
						t.Errorf("reset with %v, want %v", got, c.code)
					}
					if !c.end && stopCode(s.Context()) != c.code {
						t.Errorf("stopped with %v, want %v", stopCode(s.Context()), c.code)
					}
				default:
					f, err := nextFrame(s)
					status, _, _ := parseResponse([]byte(f.payload))
					if err != nil || status != max(c.status, 200) {
						t.Errorf("status %d, %v", status, err)
					}
					if c.status == 431 && stopCode(s.Context()) != http3.ErrCodeExcessiveLoad {
						t.Errorf("stopped with %v", stopCode(s.Context()))
					}
				}
			})
		})
	}
}

// A request that its client gives up before it is complete is given up.
func TestRequestGivenUp(t *testing.T) {
	var told complaint
	inFakeTime(t, &Server{Violation: told.note}, http.NotFoundHandler(), func(t *testing.T, fx *fixture) {
		q := fx.rawDial(nil)
		s := q.request(requestOf("GET")[:10])
		pass(time.Second)
		fx.allowResets(0)
		s.CancelWrite(quic.StreamErrorCode(http3.ErrCodeRequestCanceled))
		pass(time.Second)
		if got := q.closeCode(); got != http3.ErrCodeExcessiveLoad {
			t.Errorf("it was not counted: %v", got)
		}
		told.wantNames(t, "too-many-resets")
	})
}
