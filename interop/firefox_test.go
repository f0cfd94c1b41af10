package interop

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestFirefox(t *testing.T) { useBrowser(t, startFirefox(t)) }

func startFirefox(t *testing.T) browser {
	t.Helper()
	path := program(t, "firefox-esr", "firefox-esr")
	profile := t.TempDir()
	writeFile(t, profile, "user.js", firefoxPreferences(t))
	cmd := exec.Command(path, "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0")
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "MOZ_CRASHREPORTER_DISABLE=1")
	p := startCommand(t, cmd)
	_, url, _ := strings.Cut(p.record.await(t, "WebDriver BiDi listening on ws://"), " on ")
	return dialBidi(t, url)
}

// firefoxPreferences keep it from the network: whatever is not localhost goes to a proxy that nobody is.
func firefoxPreferences(t *testing.T) []byte {
	var b strings.Builder
	for name, value := range map[string]any{
		"network.proxy.type": 1, "network.proxy.http": "127.0.0.1", "network.proxy.http_port": 1, "network.proxy.ssl": "127.0.0.1", "network.proxy.ssl_port": 1,
		"network.dns.disabled": true, "network.dns.disableIPv6": true,
		"app.update.disabledForTesting": true, "services.settings.server": "data:,", "toolkit.telemetry.enabled": false,
		"network.captive-portal-service.enabled": false, "network.connectivity-service.enabled": false,
		"browser.newtabpage.enabled": false, "browser.startup.page": 0, "browser.safebrowsing.update.enabled": false,
	} {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "user_pref(%q, %s);\n", name, text)
	}
	return []byte(b.String())
}
