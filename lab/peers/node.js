'use strict';
// A server that opens every WebSocket and says hello to what comes: node node.js PORT KEY CERT on|off. The last says
// whether it has Extended CONNECT (RFC 8441).
const http2 = require('http2');
const crypto = require('crypto');
const fs = require('fs');

const [port, key, cert, connect] = process.argv.slice(2);
const server = http2.createSecureServer({
  key: fs.readFileSync(key), cert: fs.readFileSync(cert), allowHTTP1: true,
  settings: { enableConnectProtocol: connect === 'on' },
});

function hello(stream) {
  stream.on('error', () => {});
  stream.on('data', () => stream.write(Buffer.from([0x81, 5, ...Buffer.from('hello')])));
  stream.on('end', () => stream.end());
}

server.on('connect', () => {}); // without it the compatibility layer ends the stream
server.on('request', () => {});
server.on('stream', (stream, headers) => {
  if (headers[':protocol'] !== 'websocket') return stream.respond({ ':status': 404 }, { endStream: true });
  stream.respond({ ':status': 200 });
  hello(stream);
});
server.on('upgrade', (request, socket) => {
  const accept = crypto.createHash('sha1')
    .update(request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64');
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
  hello(socket);
});
server.listen(Number(port), '127.0.0.1');
