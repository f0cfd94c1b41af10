'use strict';
// WebSocket frames (RFC 6455, Section 5.2) for the Node peers: enough to echo, and written by nobody who wrote weft's.

exports.frame = (opcode, payload, { mask = false, fin = true } = {}) => {
  const n = payload.length;
  const head = [(fin ? 0x80 : 0) | opcode];
  const m = mask ? 0x80 : 0;
  if (n < 126) head.push(m | n);
  else if (n < 65536) head.push(m | 126, n >> 8, n & 255);
  else head.push(m | 127, 0, 0, 0, 0, (n >>> 24) & 255, (n >> 16) & 255, (n >> 8) & 255, n & 255);
  if (!mask) return Buffer.concat([Buffer.from(head), payload]);
  const key = require('crypto').randomBytes(4);
  const masked = Buffer.from(payload.map((b, i) => b ^ key[i & 3]));
  return Buffer.concat([Buffer.from(head), key, masked]);
};

// closeFrame and parseClose: RFC 6455, Section 5.5.1.
exports.closeFrame = (code, reason, options) => {
  const payload = Buffer.from('  ' + reason);
  payload.writeUInt16BE(code);
  return exports.frame(8, payload, options);
};
exports.parseClose = (p) => p.length < 2 ? { code: 1005, reason: '' } : { code: p.readUInt16BE(), reason: p.subarray(2).toString() };

// reader returns a function for chunks that calls onFrame({opcode, fin, masked, payload}) for each whole frame.
exports.reader = (onFrame) => {
  let pending = [], size = 0, want = 2;
  return (chunk) => {
    pending.push(chunk);
    size += chunk.length;
    if (size < want) return;
    let b = Buffer.concat(pending);
    for (;;) {
      want = 2;
      if (b.length < want) break;
      let n = b[1] & 127, at = 2;
      if (n === 126) at = 4; else if (n === 127) at = 10;
      const masked = (b[1] & 0x80) !== 0;
      want = at + (masked ? 4 : 0);
      if (b.length < want) break;
      if (n === 126) n = b.readUInt16BE(2); else if (n === 127) n = Number(b.readBigUInt64BE(2));
      const start = want;
      want += n;
      if (b.length < want) break;
      const payload = Buffer.from(b.subarray(start, want));
      if (masked) for (let i = 0; i < n; i++) payload[i] ^= b[start - 4 + (i & 3)];
      onFrame({ opcode: b[0] & 15, fin: (b[0] & 0x80) !== 0, masked, payload });
      b = b.subarray(want);
    }
    pending = [b];
    size = b.length;
  };
};
