package interop

import (
	"context"
	"testing"

	"github.com/chromedp/chromedp"
)

func TestChromium(t *testing.T) {
	useBrowser(t, startChromium(t), habits{newOrigin: "HTTP/1.1", stays: true, leaves: "peer reset the stream (CANCEL"})
}

// A chromium is driven by the DevTools protocol. The context is the browser's.
type chromium struct{ context.Context }

func startChromium(t *testing.T, more ...chromedp.ExecAllocatorOption) chromium {
	t.Helper()
	path := program(t, "chromium", "chromium")
	log := newRecord()
	opts := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.NoFirstRun, chromedp.CombinedOutput(log),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("ignore-certificate-errors", true),
		chromedp.Flag("host-resolver-rules", "MAP localhost 127.0.0.1,MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
	}
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), append(opts, more...)...)
	ctx, cancelBrowser := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		cancelBrowser()
		cancel()
		if t.Failed() {
			t.Logf("chromium printed:\n%s", log)
		}
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start chromium: %v", err)
	}
	return chromium{ctx}
}

func (b chromium) newTab(t *testing.T) tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 3*patience)
	t.Cleanup(cancel)
	// The tab lives as long as the context of what is done first.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("a new tab: %v", err)
	}
	return chromiumTab{ctx}
}

type chromiumTab struct{ context.Context }

func (b chromiumTab) navigate(url string) error {
	ctx, cancel := context.WithTimeout(b, patience)
	defer cancel()
	return chromedp.Do(ctx, chromedp.Navigate(url))
}

func (b chromiumTab) run(expression string) (string, error) {
	ctx, cancel := context.WithTimeout(b, patience)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[string](expression, chromedp.EvalAwaitPromise))
}
