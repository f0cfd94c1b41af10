package weft

// HeldMemory is what the server's connections hold, as ServerOptions.MaxMemory counts it.
func HeldMemory(s *Server) int64 { return s.reg.memory.Held() }
