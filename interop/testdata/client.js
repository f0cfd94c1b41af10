'use strict';
// A client on Node's http2 module: node client.js PORT. It opens two WebSockets as streams of one connection, exchanges
// messages and prints what happened, a line each.
const http2 = require('http2');
const crypto = require('crypto');
const { frame, closeFrame, parseClose, reader } = require('./frames.js');

const [port] = process.argv.slice(2);
const session = http2.connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
session.on('error', (e) => { console.log('session error', e.message); process.exit(1); });

const big = crypto.randomBytes(1 << 20);
const messages = [[1, Buffer.from('hello')], [1, Buffer.from('żółć 🧵')], [2, big], [1, Buffer.alloc(0)]];

// talk sends every message, the last in fragments, and closes with code.
function talk(id, code, extra) {
  return new Promise((resolve) => {
    const key = crypto.randomBytes(16).toString('base64');
    const stream = session.request({
      ':method': 'CONNECT', ':protocol': 'websocket', ':path': `/echo?id=${id}`,
      'sec-websocket-version': '13', 'sec-websocket-protocol': 'second', ...extra(key),
    });
    stream.on('error', (e) => console.log(id, 'error', e.message));
    stream.on('response', (headers) => {
      console.log(id, 'status', headers[':status'], 'subprotocol', headers['sec-websocket-protocol'], 'stream', stream.id);
      const accept = crypto.createHash('sha1').update(key + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64');
      const got = headers['sec-websocket-accept'];
      console.log(id, 'accept', got === undefined ? 'absent' : got === accept ? 'matches' : 'wrong');
      for (const [opcode, p] of messages) stream.write(frame(opcode, p, { mask: true }));
      stream.write(frame(1, Buffer.from('in '), { mask: true, fin: false }));
      stream.write(frame(9, Buffer.from('ping'), { mask: true }));
      stream.write(frame(0, Buffer.from('pieces'), { mask: true }));
    });
    let n = 0;
    stream.on('data', reader((f) => {
      if (f.masked || !f.fin) console.log(id, 'unexpected frame', f.opcode, f.masked, f.fin);
      if (f.opcode === 8) {
        const c = parseClose(f.payload);
        console.log(id, 'close', c.code);
        stream.end();
      } else if (f.opcode === 10) {
        console.log(id, 'pong', f.payload.toString());
      } else {
        const [opcode, p] = messages[n++] || [1, Buffer.from('in pieces')];
        console.log(id, 'message', n, f.opcode === opcode && f.payload.equals(p) ? 'same' : 'different');
        if (n > messages.length) stream.write(closeFrame(code, 'from node', { mask: true }));
      }
    }));
    stream.on('end', () => console.log(id, 'end'));
    stream.on('close', resolve);
  });
}

session.on('remoteSettings', async (settings) => {
  console.log('connect protocol', settings.enableConnectProtocol);
  await Promise.all([
    talk('node-1', 1000, () => ({})),
    talk('node-2', 4000, (key) => ({ 'sec-websocket-key': key })),
  ]);
  session.close(() => console.log('done'));
});
