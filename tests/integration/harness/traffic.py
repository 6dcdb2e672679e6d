"""A steady stream of requests through a pair of Envoys, and what it saw: failures, and the leafs of both sides.

Three kinds run side by side for each pair: fresh (a new connection at every hop, so a new handshake), kept (one
connection, many requests) and open (one request that stays open while chunks go to and fro).
"""
import asyncio
import threading
import time
import urllib.parse

from cryptography import x509

from . import backend

REQUEST_S = 5


class Leaf:
    """A certificate seen in a handshake, with the wall times of its first and last use in a new one."""

    def __init__(self, pem):
        certificate = x509.load_pem_x509_certificate(pem)
        self.serial = "%x" % certificate.serial_number
        self.issuer = certificate.issuer.rfc4514_string()
        self.not_before = certificate.not_valid_before_utc.timestamp()
        self.not_after = certificate.not_valid_after_utc.timestamp()
        self.uris = self._names(certificate, x509.UniformResourceIdentifier)
        self.dns = self._names(certificate, x509.DNSName)
        self.first = self.last = None

    @staticmethod
    def _names(certificate, kind):
        try:
            return certificate.extensions.get_extension_for_class(
                x509.SubjectAlternativeName).value.get_values_for_type(kind)
        except x509.ExtensionNotFound:
            return []

    def used(self, now):
        self.first = self.first or now
        self.last = now


class Stream:
    """What one pair's traffic saw. leafs: side -> serial -> Leaf, from fresh requests alone."""

    def __init__(self, name, port):
        self.name, self.port = name, port
        self.requests = {"fresh": 0, "kept": 0, "open": 0}
        self.failures = []
        self.leafs = {"client": {}, "server": {}}
        self._parsed = {}

    def failed(self, kind, why):
        self.failures.append("%.2f %s %s: %s" % (time.time(), self.name, kind, why))

    def saw(self, headers):
        now = time.time()
        for side in self.leafs:
            text = headers.get("x-%s-cert" % side)
            if not text:
                self.failed("fresh", "no certificate of the %s in %s" % (side, headers))
                continue
            if text not in self._parsed:
                leaf = Leaf(urllib.parse.unquote(text).encode())
                self._parsed[text] = self.leafs[side].setdefault(leaf.serial, leaf)
            self._parsed[text].used(now)

    def total(self):
        return sum(self.requests.values())


class Traffic:
    """One thread sends for all pairs. on_leaf(stream, side, leaf): called there when a new leaf is seen first."""

    def __init__(self, period_s=0.1):
        self.period_s = period_s
        self.streams = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._tasks = []
        self._stopping = False

    def add(self, name, port, kinds=("fresh", "kept", "open")):
        stream = Stream(name, port)
        self.streams.append(stream)
        run = {"fresh": self._fresh, "kept": self._kept, "open": self._open}
        for kind in kinds:
            self._tasks.append(asyncio.run_coroutine_threadsafe(self._guard(stream, kind, run[kind]), self._loop))
        return stream

    def stop(self):
        """Let what is under way come to its end. What failed until now is in the streams."""
        self._stopping = True
        for task in self._tasks:
            task.result(REQUEST_S + 10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def failures(self):
        return [f for s in self.streams for f in s.failures]

    async def _guard(self, stream, kind, run):
        """A kind ends when its connection fails: open and kept ones must survive, so they are not opened again."""
        try:
            await run(stream)
        except Exception as e:                                      # whatever it was, it is a failed request
            stream.failed(kind, "%s: %s" % (type(e).__name__, e))

    async def _connect(self, stream):
        return await asyncio.wait_for(asyncio.open_connection("127.0.0.1", stream.port, limit=backend.LIMIT), REQUEST_S)

    @staticmethod
    async def _get(reader, writer, path):
        writer.write(b"GET %s HTTP/1.1\r\nhost: pair.example\r\n\r\n" % path.encode())
        head = await asyncio.wait_for(backend.read_head(reader), REQUEST_S)
        if head is None:
            raise ConnectionError("closed before an answer")
        body = await asyncio.wait_for(reader.readexactly(int(head[1].get("content-length", 0))), REQUEST_S)
        if " 200 " not in head[0]:
            raise ValueError("%s %r" % (head[0], body))
        return head[1]

    async def _fresh(self, stream):
        while not self._stopping:
            try:
                reader, writer = await self._connect(stream)
                try:
                    stream.saw(await self._get(reader, writer, "/fresh"))
                    stream.requests["fresh"] += 1
                finally:
                    writer.close()
            except (OSError, ValueError, asyncio.TimeoutError, asyncio.IncompleteReadError) as e:
                stream.failed("fresh", "%s: %s" % (type(e).__name__, e))
            await asyncio.sleep(self.period_s)

    async def _kept(self, stream):
        reader, writer = await self._connect(stream)
        while not self._stopping:
            await self._get(reader, writer, "/")
            stream.requests["kept"] += 1
            await asyncio.sleep(self.period_s)
        writer.close()

    async def _open(self, stream):
        reader, writer = await self._connect(stream)
        writer.write(b"POST /echo HTTP/1.1\r\nhost: pair.example\r\ntransfer-encoding: chunked\r\n\r\n")
        head = None
        while not self._stopping:
            writer.write(backend.chunk(b"tick"))
            if head is None:
                head = await asyncio.wait_for(backend.read_head(reader), REQUEST_S)
                if head is None or " 200 " not in head[0]:
                    raise ConnectionError("answered %s" % (head,))
            if await asyncio.wait_for(backend.read_chunk(reader), REQUEST_S) != b"tick":
                raise ConnectionError("other bytes came back")
            stream.requests["open"] += 1
            await asyncio.sleep(self.period_s)
        writer.write(backend.chunk(b""))
        writer.close()
