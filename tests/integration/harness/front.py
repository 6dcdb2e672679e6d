"""A TCP front of a server: it passes bytes on, or is slow, silent, broken or away, as the test says."""
import socket
import threading

from . import ports

PIECE, PACE_S = 256, 0.002


class Front:
    """Listens on 127.0.0.1:port. mode: pass; slow: small pieces; garbage: nonsense and the end; away: closed at once.
    hold_next(): whoever sends next is not answered any more; after: so many times somebody may send before that."""

    def __init__(self, target):
        self.target, self.mode, self.seen, self.held = target, "pass", 0, []
        self._holding, self._lock, self._open, self._never = 0, threading.Lock(), set(), threading.Event()
        self.port = ports.free()
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._run(self._accept)

    def _run(self, function, *args):
        threading.Thread(target=function, args=args, daemon=True).start()

    def set(self, mode):
        """The connections that there are end: what comes is as the mode says."""
        self.mode = mode
        self.cut()

    def hold_next(self, after=0):
        with self._lock:
            self._holding = after + 1

    def cut(self):
        """Every connection ends, the held ones too."""
        with self._lock:
            self._holding, self.held = 0, []
            connections, self._open = self._open, set()
        for connection in connections:
            self._close(connection)

    def end(self):
        self._never.set()
        self._close(self._listener)
        self.cut()

    @staticmethod
    def _close(connection):
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:                                             # the other side was faster
            pass
        connection.close()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._begin(client)

    def _begin(self, client):
        if self.mode == "away":
            self._close(client)
            return
        if self.mode == "garbage":
            with self._lock:
                self._open.add(client)
            self._run(self._answer_nonsense, client)
            return
        try:
            server = socket.create_connection(("127.0.0.1", self.target), 5)
        except OSError:
            self._close(client)
            return
        server.settimeout(None)
        with self._lock:
            self._open |= {client, server}
        self._run(self._pump, client, server, True)
        self._run(self._pump, server, client, False)

    def _answer_nonsense(self, client):
        try:
            if client.recv(65536):
                client.sendall(b"220 this is no such server\r\n")
        except OSError:
            pass
        with self._lock:
            self._open.discard(client)
        self._close(client)

    def _is_held(self, client):
        """Said of what a client sent."""
        with self._lock:
            self.seen += 1
            if self._holding:
                self._holding -= 1
                if not self._holding:
                    self.held.append(client)
            return client in self.held

    def _pump(self, source, sink, from_client):
        try:
            while data := source.recv(65536):
                if from_client and self._is_held(source):
                    continue
                if self.mode == "slow" and not from_client:
                    for i in range(0, len(data), PIECE):
                        sink.sendall(data[i:i + PIECE])
                        self._never.wait(PACE_S)
                else:
                    sink.sendall(data)
        except OSError:
            pass
        with self._lock:
            self._open -= {source, sink}
        self._close(source)
        self._close(sink)
