package h2net

import (
	"net/http"

	"github.com/weftws/weft/internal/h2"
	"github.com/weftws/weft/internal/semantics"
)

// sendHeaders sends the header section of a response. Called with the lock held.
func (c *conn) sendHeaders(st *stream, status int, h http.Header, end bool) {
	fields := semantics.AppendResponse(c.fields[:0], &c.names, status, h)
	if c.altSvc != nil {
		fields = c.altSvc(fields, st, status, h)
	}
	c.sendFields(st, h2.Pseudo{Status: status}, fields, end)
}

// sendFields sends fields, whose storage is used again for the next ones. Called with the lock held.
func (c *conn) sendFields(st *stream, p h2.Pseudo, fields []h2.Field, end bool) {
	c.eng.SendHeaders(&st.s, p, fields, end)
	clear(fields)
	c.fields = fields
}
