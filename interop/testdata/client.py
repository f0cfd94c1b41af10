"""A client on python-h2 and wsproto: client.py PORT. Prints what happened, a line each.

Two WebSockets on one HTTP/2 connection, one after the other, the second with permessage-deflate.
"""
import os
import socket
import ssl
import sys

import h2.config
import h2.connection
import h2.events
import h2.settings
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.extensions import PerMessageDeflate

context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
context.set_alpn_protocols(["h2"])
sock = context.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[1]))), server_hostname="localhost")
sock.settimeout(20)
h2c = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
h2c.initiate_connection()
sock.sendall(h2c.data_to_send())


def events():
    """Events of the next bytes that arrive."""
    data = sock.recv(65536)
    if not data:
        sys.exit("the server ended the connection")
    found = h2c.receive_data(data)
    sock.sendall(h2c.data_to_send())
    return found


def send(stream, data):
    """Sends data as the windows allow it, and returns the events that came meanwhile."""
    meanwhile = []
    while data:
        room = min(h2c.local_flow_control_window(stream), h2c.max_outbound_frame_size)
        if room == 0:
            meanwhile += events()
            continue
        h2c.send_data(stream, data[:room])
        data = data[room:]
        sock.sendall(h2c.data_to_send())
    return meanwhile


while not any(isinstance(e, h2.events.RemoteSettingsChanged) for e in events()):
    pass
print("connect protocol", h2c.remote_settings.enable_connect_protocol)

text = "weft and warp " * 5000
binary = os.urandom(300_000)


def talk(name, extensions, query, code):
    stream = h2c.get_next_available_stream_id()
    headers = [
        (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":authority", "localhost"),
        (":path", "/echo?id=%s%s" % (name, query)), ("sec-websocket-version", "13"),
    ]
    headers += [("sec-websocket-extensions", "%s; %s" % (e.name, e.offer())) for e in extensions]
    h2c.send_headers(stream, headers)
    sock.sendall(h2c.data_to_send())
    ws, raw, ended, ours_ended, pending, next_batch = None, 0, False, False, [], []
    while not ended:
        batch, next_batch = next_batch or events(), []
        for e in batch:
            if isinstance(e, h2.events.ResponseReceived):
                answer = dict(e.headers)
                print(name, "status", answer[":status"], "stream", stream, "extensions", answer.get("sec-websocket-extensions"))
                for x in extensions:
                    x.finalize(answer["sec-websocket-extensions"])
                ws = Connection(ConnectionType.CLIENT, extensions=extensions)
                out = ws.send(TextMessage("hello")) + ws.send(TextMessage("in ", message_finished=False))
                out += ws.send(Ping(b"ping")) + ws.send(TextMessage("pieces"))
                out += ws.send(TextMessage(text)) + ws.send(BytesMessage(binary))
                next_batch += send(stream, out)
            elif isinstance(e, h2.events.DataReceived):
                raw += len(e.data)
                h2c.acknowledge_received_data(e.flow_controlled_length, stream)
                ws.receive_data(e.data)
            elif isinstance(e, (h2.events.StreamEnded, h2.events.StreamReset)):
                ended = True
                final = "end" if isinstance(e, h2.events.StreamEnded) else "reset"
        for m in ws.events() if ws else []:
            if isinstance(m, Pong):
                print(name, "pong", bytes(m.payload).decode())
            elif isinstance(m, (TextMessage, BytesMessage)):
                pending.append(m.data)
                if not m.message_finished:
                    continue
                whole = ("" if isinstance(m, TextMessage) else b"").join(pending)
                pending = []
                what = {"hello": "hello", "in pieces": "in pieces", text: "text", binary: "binary"}.get(whole, "different")
                print(name, "message", what)
                if what == "binary":
                    next_batch += send(stream, ws.send(CloseConnection(code=code, reason="from python")))
            elif isinstance(m, CloseConnection):
                print(name, "close", m.code, "raw", "less" if raw < len(text) + len(binary) else "more")
                if not ours_ended:
                    h2c.end_stream(stream)
                    ours_ended = True
        sock.sendall(h2c.data_to_send())
    print(name, final)


talk("python-1", [], "", 1000)
talk("python-2", [PerMessageDeflate()], "&deflate=takeover", 4000)
talk("python-3", [PerMessageDeflate()], "&deflate=no-takeover", 4001)
print("done")
