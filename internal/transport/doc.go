// Package transport says what a WebSocket needs from the connection under it, and holds the batching writer that
// the transports share.
package transport
