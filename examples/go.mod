module github.com/weftws/weft/examples

go 1.26.0

require (
	github.com/gorilla/websocket v1.5.3
	github.com/weftws/weft v0.0.0
)

require (
	github.com/klauspost/compress v1.20.3 // indirect
	github.com/quic-go/qpack v0.6.0 // indirect
	github.com/quic-go/quic-go v0.65.0 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)

replace github.com/weftws/weft => ../
