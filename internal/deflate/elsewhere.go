package deflate

// Sent tells c that msg went out compressed by another Compressor, without reference to anything before it. It is in the peer's
// window then, and has to be in ours.
func (c *Compressor) Sent(msg []byte) {
	if c.takeover {
		c.window.push(msg)
	}
}
