package h2net

// Flush implements transport.FlushStream.
func (st *stream) Flush() { st.c.f.Finish() }
