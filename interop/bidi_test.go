package interop

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"github.com/weftws/weft"
)

// A bidi is a session of WebDriver BiDi. https://w3c.github.io/webdriver-bidi/
type bidi struct {
	conn *weft.Conn

	mu      sync.Mutex
	last    int // command
	waiting map[int]chan<- bidiAnswer
	over    error // why no more answers come
}

type bidiAnswer struct {
	ID             *int // nil: an event
	Result         json.RawMessage
	Error, Message string
}

// dialBidi connects to a browser and begins a session.
func dialBidi(t *testing.T, url string) *bidi {
	t.Helper()
	c, _, err := weft.Dial(t.Context(), url+"/session", nil)
	if err != nil {
		t.Fatalf("WebDriver BiDi: %v", err)
	}
	c.SetReadLimit(64 << 20)
	b := &bidi{conn: c, waiting: make(map[int]chan<- bidiAnswer)}
	var reading sync.WaitGroup
	reading.Go(b.read)
	t.Cleanup(func() {
		c.CloseNow()
		reading.Wait()
	})
	capabilities := map[string]any{"alwaysMatch": map[string]any{"acceptInsecureCerts": true}}
	if err := b.command("session.new", map[string]any{"capabilities": capabilities}, nil); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bidi) read() {
	for {
		_, p, err := b.conn.Read(context.Background())
		var a bidiAnswer
		if err == nil {
			err = json.Unmarshal(p, &a)
		}
		b.mu.Lock()
		if err != nil {
			b.over = err
			for _, answer := range b.waiting {
				close(answer)
			}
			b.mu.Unlock()
			return
		}
		if a.ID != nil && b.waiting[*a.ID] != nil {
			b.waiting[*a.ID] <- a
			delete(b.waiting, *a.ID)
		}
		b.mu.Unlock()
	}
}

// command sends one and decodes its result, if that is not nil. It gives up after patience.
func (b *bidi) command(method string, params map[string]any, result any) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	answer := make(chan bidiAnswer, 1)
	b.mu.Lock()
	b.last++
	id, over := b.last, b.over
	b.waiting[id] = answer
	b.mu.Unlock()
	if over != nil {
		return fmt.Errorf("%s: %w", method, over)
	}
	text, err := json.Marshal(map[string]any{"id": id, "method": method, "params": params})
	if err == nil {
		err = b.conn.Write(ctx, weft.MessageText, text)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	select {
	case a, ok := <-answer:
		switch {
		case !ok:
			return fmt.Errorf("%s: %w", method, b.over)
		case a.Error != "":
			return fmt.Errorf("%s: %s: %s", method, a.Error, a.Message)
		case result != nil:
			return json.Unmarshal(a.Result, result)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: no answer after %v", method, patience)
	}
}

// newTab is a browser's.
func (b *bidi) newTab(t *testing.T) tab {
	t.Helper()
	tab := bidiTab{bidi: b}
	if err := b.command("browsingContext.create", map[string]any{"type": "tab"}, &tab); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.command("browsingContext.close", map[string]any{"context": tab.Context}, nil) })
	return tab
}

type bidiTab struct {
	bidi    *bidi
	Context string
}

func (b bidiTab) navigate(url string) error {
	return b.bidi.command("browsingContext.navigate", map[string]any{"context": b.Context, "url": url, "wait": "complete"}, nil)
}

func (b bidiTab) run(expression string) (string, error) {
	params := map[string]any{"expression": expression, "target": map[string]any{"context": b.Context}, "awaitPromise": true}
	var got struct {
		Result struct {
			Value string
		}
		ExceptionDetails struct{ Text string }
	}
	if err := b.bidi.command("script.evaluate", params, &got); err != nil {
		return "", err
	}
	if text := got.ExceptionDetails.Text; text != "" {
		return "", fmt.Errorf("the page threw %s", text)
	}
	return got.Result.Value, nil
}
