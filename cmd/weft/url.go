package main

import "net/url"

// parseURL reads the URL of a command line; h2c says that --h2c was given.
func parseURL(raw string, h2c bool) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, usagef("%w", err)
	case u.Scheme != "ws" && u.Scheme != "wss", u.Host == "":
		return nil, usagef("%q is no WebSocket URL; one looks like wss://host/path", raw)
	case h2c && u.Scheme == "wss":
		return nil, usagef("--h2c is for ws:// URLs")
	}
	return u, nil
}
