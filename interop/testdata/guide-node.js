'use strict';
// Node's http2 module as a server: node guide-node.js PORT KEY CERT on|off. The last says whether it has Extended CONNECT
// (RFC 8441). On WebSockets it answers Ping and Close.
const http2 = require('http2');
const crypto = require('crypto');
const fs = require('fs');
const { frame, reader } = require('./frames.js');

const [port, key, cert, connect] = process.argv.slice(2);
const answer = (socket) => {
  socket.on('error', () => {});
  socket.on('data', reader((f) => {
    if (f.opcode === 9) socket.write(frame(10, f.payload));
    if (f.opcode === 8) socket.end(frame(8, f.payload));
  }));
};
const server = http2.createSecureServer({
  key: fs.readFileSync(key), cert: fs.readFileSync(cert), allowHTTP1: true,
  settings: connect === 'on' ? { enableConnectProtocol: true } : {},
});
server.on('connect', () => {}); // without it the compatibility layer ends the stream
server.on('stream', (stream, headers) => {
  if (headers[':method'] !== 'CONNECT') return stream.respond({ ':status': 204 }, { endStream: true });
  stream.respond({ ':status': 200 });
  answer(stream);
});
server.on('request', (request, response) => {
  if (request.httpVersionMajor === 1) response.writeHead(204).end();
});
server.on('upgrade', (request, socket) => {
  const accept = crypto.createHash('sha1').update(request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64');
  socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ' + accept + '\r\n\r\n');
  answer(socket);
});
server.on('sessionError', () => {});
server.listen(Number(port), '127.0.0.1');
