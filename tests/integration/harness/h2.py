"""HTTP/2 by hand, for what no gRPC library would send: broken frames, closed windows, silence."""
import collections
import socket
import ssl
import struct
import time

import hpack

from .wait import Expired

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
INITIAL_WINDOW = 4
ENDED = ConnectionError, ssl.SSLEOFError  # what a socket of either kind raises when the server has cut it off
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

Frame = collections.namedtuple("Frame", "type flags stream payload")


def message(body, compressed=0, length=None):
    """A gRPC message with its prefix."""
    return struct.pack(">BI", compressed, len(body) if length is None else length) + body


class Connection:
    """To the unix socket at a path, or on a connected socket. answer_pings: False plays dead."""

    def __init__(self, where, window=None, answer_pings=True, preface=True):
        self.socket = where if isinstance(where, socket.socket) else socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        if self.socket is not where:
            self.socket.connect(where)
        self.answer_pings = answer_pings
        self._buffer, self._next = b"", 1
        self._encoder, self._decoder = hpack.Encoder(), hpack.Decoder()
        self.frames = []
        if preface:
            settings = b"" if window is None else struct.pack(">HI", INITIAL_WINDOW, window)
            self.socket.sendall(PREFACE)
            self.send(SETTINGS, 0, 0, settings)

    def close(self):
        self.socket.close()

    def send(self, kind, flags, stream, payload=b""):
        head = struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream)
        self.socket.sendall(head + payload)

    def call(self, path, *extra, content_type="application/grpc"):
        """Open a stream for a method; its id."""
        stream, self._next = self._next, self._next + 2
        headers = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost"),
                   ("te", "trailers"), ("content-type", content_type), *extra]
        self.send(HEADERS, END_HEADERS, stream, self._encoder.encode(headers, huffman=False))
        return stream

    def data(self, stream, payload, end=False):
        """In pieces of 16 KiB; the server's window is not looked at."""
        pieces = [payload[i:i + 16384] for i in range(0, len(payload), 16384)] or [b""]
        for i, piece in enumerate(pieces):
            self.send(DATA, END_STREAM if end and i == len(pieces) - 1 else 0, stream, piece)

    def ping(self):
        self.send(PING, 0, 0, b"leafcast")

    def open_window(self, stream, size):
        self.send(WINDOW_UPDATE, 0, stream, struct.pack(">I", size))

    def receive(self, timeout_s=10):
        """The next frame; SETTINGS are acknowledged on the way. None: the connection is closed."""
        deadline = time.monotonic() + timeout_s
        while True:
            frame = self._parse()
            if frame is None:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Expired("%.1f s passed without a frame" % timeout_s)
                self.socket.settimeout(left)
                try:
                    more = self.socket.recv(65536)
                except TimeoutError:
                    continue
                except ENDED:
                    return None
                if not more:
                    return None
                self._buffer += more
                continue
            if frame.type == SETTINGS and not frame.flags & ACK:
                self.send(SETTINGS, ACK, 0)
            elif frame.type == PING and not frame.flags & ACK and self.answer_pings:
                self.send(PING, ACK, 0, frame.payload)
            return frame

    def _parse(self):
        if len(self._buffer) < 9:
            return None
        length = int.from_bytes(self._buffer[:3], "big")
        if len(self._buffer) < 9 + length:
            return None
        kind, flags = self._buffer[3], self._buffer[4]
        stream = int.from_bytes(self._buffer[5:9], "big") & 0x7fffffff
        frame = Frame(kind, flags, stream, self._buffer[9:9 + length])
        self._buffer = self._buffer[9 + length:]
        if kind == HEADERS:
            frame = frame._replace(payload=dict(self._decoder.decode(frame.payload)))
        self.frames.append(frame)
        return frame

    def until(self, check, timeout_s=10):
        """The first frame for which check holds; None when the connection is closed before."""
        deadline = time.monotonic() + timeout_s
        while True:
            frame = self.receive(max(0.001, deadline - time.monotonic()))
            if frame is None or check(frame):
                return frame

    def status(self, stream, timeout_s=10):
        """How a call ended: grpc-status as int, "http NNN", "reset N", or "closed"."""
        def ends(frame):
            if frame.stream != stream:
                return frame.type == GOAWAY and frame.payload[4:8] != b"\0\0\0\0"
            return frame.type == RST_STREAM or frame.type == HEADERS and frame.flags & END_STREAM
        frame = self.until(ends, timeout_s)
        if frame is None or frame.type == GOAWAY:
            return "closed"
        if frame.type == RST_STREAM:
            return "reset %d" % int.from_bytes(frame.payload, "big")
        if "grpc-status" in frame.payload:
            return int(frame.payload["grpc-status"])
        return "http %s" % frame.payload.get(":status")
