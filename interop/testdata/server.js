'use strict';
// An echo server on Node's http2 module: node server.js PORT KEY CERT on|off. The last says whether it has Extended
// CONNECT (RFC 8441); HTTP/1.1 it always has.
const http2 = require('http2');
const crypto = require('crypto');
const fs = require('fs');
const { frame, closeFrame, parseClose, reader } = require('./frames.js');

const [port, key, cert, connect] = process.argv.slice(2);
const server = http2.createSecureServer({
  key: fs.readFileSync(key), cert: fs.readFileSync(cert), allowHTTP1: true,
  settings: { enableConnectProtocol: connect === 'on' },
});

const choose = (offered) => (offered || '').split(',').map((s) => s.trim()).find((s) => s === 'first' || s === 'second');

function echo(stream, version, path) {
  const query = new URL(path, 'https://x').searchParams;
  const id = query.get('id');
  console.log(`open id=${id} version=${version}`);
  let opcode = 0, parts = [], over = false;
  const close = (code, reason) => { over = true; stream.end(closeFrame(code, reason)); };
  stream.on('data', reader((f) => {
    if (!f.masked) console.log(`violation id=${id} unmasked frame`);
    if (f.opcode === 8) {
      const { code, reason } = parseClose(f.payload);
      console.log(`close id=${id} code=${code} reason=${JSON.stringify(reason)}`);
      if (!over) close(code, '');
      return;
    }
    if (over || f.opcode > 8) return;
    if (f.opcode !== 0) opcode = f.opcode;
    parts.push(f.payload);
    if (!f.fin) return;
    const payload = Buffer.concat(parts);
    parts = [];
    const command = opcode === 1 && payload.length < 200 && payload.toString().match(/^close (\d+) (.*)$/);
    if (command) {
      over = true;
      stream.write(closeFrame(Number(command[1]), command[2]));
      return;
    }
    if (query.get('fragments') !== '1') {
      stream.write(frame(opcode, payload));
      return;
    }
    const third = Math.floor(payload.length / 3);
    stream.write(frame(opcode, payload.subarray(0, third), { fin: false }));
    stream.write(frame(0, payload.subarray(third, 2 * third), { fin: false }));
    stream.write(frame(0, payload.subarray(2 * third)));
  }));
  stream.on('end', () => stream.end());
  stream.on('error', (e) => console.log(`error id=${id} ${e.message}`));
}

server.on('connect', () => {}); // without it the compatibility layer ends the stream
server.on('stream', (stream, headers) => {
  if (headers[':method'] !== 'CONNECT' || headers[':protocol'] !== 'websocket') {
    console.log(`other ${headers[':method']} ${headers[':protocol']}`);
    stream.respond({ ':status': 501 }, { endStream: true });
    return;
  }
  const answer = { ':status': 200 };
  const subprotocol = choose(headers['sec-websocket-protocol']);
  if (subprotocol) answer['sec-websocket-protocol'] = subprotocol;
  stream.respond(answer);
  echo(stream, 'HTTP/2.0', headers[':path']);
});
server.on('upgrade', (request, socket) => {
  const accept = crypto.createHash('sha1').update(request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64');
  const subprotocol = choose(request.headers['sec-websocket-protocol']);
  socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ' + accept +
    (subprotocol ? '\r\nSec-WebSocket-Protocol: ' + subprotocol : '') + '\r\n\r\n');
  echo(socket, 'HTTP/1.1', request.url);
});
server.on('request', () => {});
server.listen(Number(port), '127.0.0.1');
