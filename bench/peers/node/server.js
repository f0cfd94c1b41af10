// Echo server for the benchmark: WebSockets over HTTP/2 (RFC 8441) and HTTP/1.1, frames by hand.
// Usage: node --expose-gc -e SCRIPT PROTO ADDR [CERT KEY]. Commands come on stdin, answers go to stdout.
'use strict'
const crypto = require('crypto')
const fs = require('fs')
const http = require('http')
const http2 = require('http2')
const https = require('https')
const readline = require('readline')

const [proto, addr, cert, key] = process.argv.slice(1)
const [host, port] = addr.split(':')
const tls = cert ? { cert: fs.readFileSync(cert), key: fs.readFileSync(key) } : {}

// echo answers the frames that arrive on a duplex stream, all those of one 'data' event with one write.
function echo (stream) {
  let rest = null
  stream.on('error', () => {})
  stream.on('data', chunk => {
    if (rest !== null) chunk = Buffer.concat([rest, chunk])
    const out = []
    let at = 0
    let closed = false
    while (chunk.length - at >= 6) {
      let size = chunk[at + 1] & 127
      let head = 2
      if (size === 126) { size = chunk.readUInt16BE(at + 2); head = 4 }
      if (size === 127) {
        if (chunk.length - at < 14) break
        size = Number(chunk.readBigUInt64BE(at + 2))
        head = 10
      }
      const body = at + head + 4
      if (chunk.length < body + size) break
      const reply = Buffer.allocUnsafe(head + size)
      reply[0] = chunk[at]
      reply[1] = chunk[at + 1] & 127
      for (let i = 2; i < head; i++) reply[i] = chunk[at + i]
      for (let i = 0; i < size; i++) reply[head + i] = chunk[body + i] ^ chunk[body - 4 + (i & 3)]
      out.push(reply)
      closed = (chunk[at] & 15) === 8
      at = body + size
    }
    rest = at < chunk.length ? chunk.subarray(at) : null
    if (out.length > 0) stream.write(out.length === 1 ? out[0] : Buffer.concat(out))
    if (closed) stream.end()
  })
  stream.on('end', () => stream.end())
}

let server
if (proto === 'h2') {
  server = http2.createSecureServer({
    ...tls,
    maxSessionMemory: 1000,
    settings: { enableConnectProtocol: true, maxConcurrentStreams: 10000, initialWindowSize: 1 << 20 }
  })
  server.on('connect', () => {}) // else the compatibility layer ends the stream
  server.on('stream', (stream, headers) => {
    if (headers[':method'] !== 'CONNECT' || headers[':protocol'] !== 'websocket') {
      stream.respond({ ':status': 400 }, { endStream: true })
      return
    }
    stream.respond({ ':status': 200 })
    echo(stream)
  })
} else {
  server = cert ? https.createServer(tls) : http.createServer()
  server.on('upgrade', (req, socket) => {
    const accept = crypto.createHash('sha1')
      .update(req.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64')
    socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      `Sec-WebSocket-Accept: ${accept}\r\n\r\n`)
    socket.setNoDelay(true)
    echo(socket)
  })
}

server.listen(Number(port), host, () => {
  const a = server.address()
  console.log(`ready ${a.address}:${a.port}`)
})

readline.createInterface({ input: process.stdin }).on('line', line => {
  if (line === 'gc') {
    global.gc()
    global.gc()
    console.log('{}')
    return
  }
  const cpu = process.cpuUsage()
  const mem = process.memoryUsage() // most of http2's memory lies outside the heap, so RSS stands for both
  console.log(JSON.stringify({ cpu_ns: (cpu.user + cpu.system) * 1000, heap: mem.rss, rss: mem.rss }))
}).on('close', () => process.exit(0))
