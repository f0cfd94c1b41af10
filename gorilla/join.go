package websocket

import "io"

// JoinMessages reads the messages of c one after the other, each with term behind it, as one stream without an end: it stops at
// NextReader's error. Not safe for concurrent use.
func JoinMessages(c *Conn, term string) io.Reader { return &joined{c: c, term: term} }

type joined struct {
	c       *Conn
	term    string
	message io.Reader // nil: between messages
	rest    string    // of the term
}

func (j *joined) Read(p []byte) (int, error) {
	for {
		if len(j.rest) > 0 || len(p) == 0 {
			n := copy(p, j.rest)
			j.rest = j.rest[n:]
			return n, nil
		}
		if j.message == nil {
			_, r, err := j.c.NextReader()
			if err != nil {
				return 0, err
			}
			j.message = r
		}
		n, err := j.message.Read(p)
		if err == io.EOF {
			j.message, j.rest, err = nil, j.term, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}
