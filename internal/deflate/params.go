package deflate

// Params are the agreed parameters of permessage-deflate. RFC 7692, Section 7.1.
type Params struct {
	ServerNoContextTakeover bool
	ClientNoContextTakeover bool
	ServerMaxWindowBits     int // 8 to 15
	ClientMaxWindowBits     int // 8 to 15
}
