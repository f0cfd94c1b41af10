package main

import (
	"testing"

	"github.com/weftws/weft/negotiate"
)

func TestDescribeKey(t *testing.T) {
	for _, tt := range []struct {
		key  negotiate.Key
		want string
	}{
		{negotiate.Key{Scheme: "wss", Host: "example.com", Port: "443"}, "wss://example.com:443"},
		{negotiate.Key{Scheme: "wss", Host: "fe80::1", Port: "8443", Proxy: "http://proxy:3128", Network: "office"}, "wss://[fe80::1]:8443 by http://proxy:3128"},
		{negotiate.NetworkKey(""), "(the network)"},
		{negotiate.NetworkKey("office"), "(the network)"},
	} {
		if got := describeKey(tt.key); got != tt.want {
			t.Errorf("describeKey(%+v) = %q, want %q", tt.key, got, tt.want)
		}
	}
}
