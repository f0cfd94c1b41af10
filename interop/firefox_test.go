package interop

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestFirefox(t *testing.T) {
	useBrowser(t, startFirefox(t, nil), habits{newOrigin: "HTTP/2.0", stays: false, leaves: "code=1001"})
}

// Firefox takes its pages over HTTP/3 where Alt-Svc names it, and its WebSockets over HTTP/2 all the same.
func TestFirefoxAltSvc(t *testing.T) {
	cert := newCertificate(t)
	srv := startWeftHTTP3(t, cert, servePage)
	p := openPage(t, startFirefox(t, cert), srv)
	p.wantVersion(t, "HTTP/2.0")
	p.loadByAltSvc(t)
	p.exchange(t, "HTTP/2.0")
	p.wantOneConnection(t)
}

// startFirefox starts one that takes any certificate over TCP, and over QUIC those that trusted (nil: nobody) has signed.
func startFirefox(t *testing.T, trusted *certificate) browser {
	t.Helper()
	path := program(t, "firefox-esr", "firefox-esr")
	profile := t.TempDir()
	writeFile(t, profile, "user.js", firefoxPreferences(t))
	if trusted != nil {
		trust(t, profile, trusted)
	}
	cmd := exec.Command(path, "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0")
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "MOZ_CRASHREPORTER_DISABLE=1")
	p := startCommand(t, cmd)
	_, url, _ := strings.Cut(p.record.await(t, "WebDriver BiDi listening on ws://"), " on ")
	return dialBidi(t, url)
}

// trust makes a certificate one of the profile's roots.
func trust(t *testing.T, profile string, cert *certificate) {
	t.Helper()
	certutil := program(t, "certutil", "libnss3-tools")
	for _, args := range [][]string{{"-N", "--empty-password"}, {"-A", "-t", "C,,", "-n", "weft", "-i", cert.certFile}} {
		if out, err := exec.Command(certutil, append(args, "-d", "sql:"+profile)...).CombinedOutput(); err != nil {
			t.Fatalf("certutil %s: %v\n%s", args[0], err, out)
		}
	}
}

// firefoxPreferences keep it from the network: what is not on localhost goes to a proxy that nobody is.
func firefoxPreferences(t *testing.T) []byte {
	var b strings.Builder
	for name, value := range map[string]any{
		"network.proxy.type": 1, "network.proxy.http": "127.0.0.1", "network.proxy.http_port": 1, "network.proxy.ssl": "127.0.0.1", "network.proxy.ssl_port": 1,
		"network.dns.disabled": true, "network.dns.disableIPv6": true,
		"app.update.disabledForTesting": true, "services.settings.server": "data:,", "toolkit.telemetry.enabled": false,
		"network.captive-portal-service.enabled": false, "network.connectivity-service.enabled": false,
		"browser.newtabpage.enabled": false, "browser.startup.page": 0, "browser.safebrowsing.update.enabled": false,
		"network.http.http3.disable_when_third_party_roots_found": false, // trust adds one
	} {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "user_pref(%q, %s);\n", name, text)
	}
	return []byte(b.String())
}
