"""A plain HTTP/1.1 server behind the server Envoy: "/" answers ok, "/echo" sends each chunk back at once."""
import asyncio
import threading

LIMIT = 64 * 1024


async def read_head(reader):
    """(first line, headers) of a request or an answer; None at the end of the connection."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    lines = raw.decode("latin-1").split("\r\n")
    headers = dict((k.lower(), v.strip()) for k, _, v in (x.partition(":") for x in lines[1:] if x))
    return lines[0], headers


async def read_chunk(reader):
    """One chunk of a chunked body; b"" for the last."""
    size = int(await reader.readline(), 16)
    data = await reader.readexactly(size)
    await reader.readexactly(2)
    return data


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


class Backend:
    def __init__(self):
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(10)

    def _run(self, ready):
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, limit=LIMIT))
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        server.close()
        self._loop.run_until_complete(asyncio.sleep(0))

    def end(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _serve(self, reader, writer):
        try:
            while head := await read_head(reader):
                if head[0].split(" ")[1].startswith("/echo"):
                    await self._echo(reader, writer)
                else:
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n")
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, ValueError):
            pass
        finally:
            writer.close()

    @staticmethod
    async def _echo(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while data := await read_chunk(reader):
            writer.write(chunk(data))
            await writer.drain()
        writer.write(chunk(b""))
