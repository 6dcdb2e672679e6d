"""A model of an SDS server in a few lines: it keeps secrets by name and answers as the conformance list wants.

It shows that the list can be met, and that tests and fixtures work, without leafcast. It checks nobody's identity.
"""
import asyncio
import hashlib
import itertools
import secrets as random
import threading

import grpc
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from envoy.service.discovery.v3 import discovery_pb2

from .sds_client import METHODS, SDS, SECRET


class _Engine:
    """One stream's subscriptions. At most one unanswered offer a name; one secret a response."""

    def __init__(self, server, ads):
        self.server, self.ads, self.node = server, ads, None
        self.names, self.offers, self.rejected, self.dirty = [], {}, {}, set()
        self.acked = None
        self._count, self._prefix = itertools.count(1), random.token_hex(4)

    def nonce(self):
        return "%s-%d" % (self._prefix, next(self._count))

    def check(self, request):
        """A (code, text) to end the stream with, or None."""
        if self.node is None:
            if not request.node.id:
                return grpc.StatusCode.INVALID_ARGUMENT, "the first request must carry a node with an id"
            self.node = request.node.id
        if request.type_url != SECRET and (self.ads and not request.type_url or not self.ads and request.type_url):
            return grpc.StatusCode.INVALID_ARGUMENT, "type_url"
        return None

    def answered(self, request):
        """Take ACK or NACK; the name that is free again."""
        name = next((n for n, (nonce, _) in self.offers.items() if nonce == request.response_nonce), None)
        if name is None:
            return None
        _, version = self.offers.pop(name)
        if request.HasField("error_detail"):
            self.rejected[name] = version
            self.server._rejected.add(name)
            self.server.nacks.append((name, request.error_detail.message))
        else:
            self.acked = request.response_nonce
        return name

    def due(self, name):
        """Offer the present version of name, unless one is unanswered or it was rejected."""
        if name in self.offers:
            self.dirty.add(name)
            return []
        found = self.server.find(name)
        if found is None or self.rejected.get(name) == found[0]:
            return []
        nonce = self.nonce()
        self.offers[name] = (nonce, found[0])
        return [self.response(found, nonce)]

    def after(self, name):
        if name in self.dirty and name in self.names:
            self.dirty.discard(name)
            return self.due(name)
        return []


class _Sotw(_Engine):
    parse = discovery_pb2.DiscoveryRequest.FromString

    def response(self, found, nonce):
        answer = discovery_pb2.DiscoveryResponse(version_info=found[0], type_url=SECRET, nonce=nonce)
        answer.resources.add(type_url=SECRET, value=found[1])
        answer.control_plane.identifier = self.server.identifier
        return answer

    def take(self, request):
        if request.type_url not in ("", SECRET):
            return []
        repeat = (self.acked and request.response_nonce == self.acked and not request.HasField("error_detail") and
                  list(request.resource_names) == self.names)
        freed = self.answered(request)
        before, self.names = self.names, [n for n in dict.fromkeys(request.resource_names) if n != "*"]
        new = [n for n in self.names if n not in before]
        self.offers = {n: o for n, o in self.offers.items() if n in self.names}
        out = self.after(freed) if freed else []
        for name in self.names if repeat else new:
            out += self.due(name)
        return out

    def changed(self, name):
        return self.due(name) if name in self.names else []


class _Delta(_Engine):
    parse = discovery_pb2.DeltaDiscoveryRequest.FromString

    def response(self, found, nonce):
        answer = discovery_pb2.DeltaDiscoveryResponse(system_version_info=found[0], type_url=SECRET, nonce=nonce)
        name = secret_pb2.Secret.FromString(found[1]).name
        answer.resources.add(name=name, version=found[0]).resource.CopyFrom(
            discovery_pb2.DiscoveryResponse(resources=[{"type_url": SECRET, "value": found[1]}]).resources[0])
        answer.control_plane.identifier = self.server.identifier
        return answer

    def removed(self, name):
        answer = discovery_pb2.DeltaDiscoveryResponse(system_version_info="none", type_url=SECRET, nonce=self.nonce(),
                                                      removed_resources=[name])
        answer.control_plane.identifier = self.server.identifier
        return answer

    def take(self, request):
        if request.type_url not in ("", SECRET):
            return []
        freed = self.answered(request)
        for name in request.resource_names_unsubscribe:
            if name in self.names:
                self.names.remove(name)
                self.offers.pop(name, None)
        out = self.after(freed) if freed else []
        for name in dict.fromkeys(request.resource_names_subscribe):
            if name == "*" or self.server.find(name) is None:
                out.append(self.removed(name))
            if name == "*":
                continue
            if name not in self.names:
                self.names.append(name)
            out += self.due(name)
        return out

    def changed(self, name):
        if name not in self.names:
            return []
        return self.due(name) if self.server.find(name) else [self.removed(name)]


class Model:
    def __init__(self, address):
        self.address, self.identifier = address, "model"
        self._store, self._streams, self._rejected = {}, {}, set()
        self.nacks = []                                             # (name, message), as they came
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(10)

    # --- for the test ------------------------------------------------------------------------------------------------
    def put(self, secret, version=None):
        """version: another one than its hash, for content that is sent again."""
        content = secret.SerializeToString(deterministic=True)
        self._change(secret.name, (version or hashlib.sha256(content).hexdigest()[:16], content))

    def delete(self, name):
        self._change(name, None)

    def find(self, name):
        """(version, encoded Secret) or None."""
        return self._store.get(name)

    def was_rejected(self, name):
        return name in self._rejected

    def end(self):
        asyncio.run_coroutine_threadsafe(self._server.stop(None), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _change(self, name, found):
        done = threading.Event()

        def run():
            before = self._store.get(name)
            self._store[name] = found
            for engine, out in self._streams.items() if found != before else ():
                for answer in engine.changed(name):
                    out.put_nowait(answer)
            done.set()
        self._loop.call_soon_threadsafe(run)
        assert done.wait(10)

    # --- the server --------------------------------------------------------------------------------------------------
    def _run(self, ready):
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._boot())
        ready.set()
        self._loop.run_forever()

    async def _boot(self):
        model = self

        class Handler(grpc.GenericRpcHandler):
            def service(self, details):
                if details.method == SDS + "FetchSecrets":
                    return grpc.unary_unary_rpc_method_handler(model._fetch, discovery_pb2.DiscoveryRequest.FromString)
                kind = next((k for k, m in METHODS.items() if m == details.method), None)
                if kind is None:
                    return None
                make = _Delta if kind[0] == "delta" else _Sotw

                async def serve(_, context):
                    await model._serve(make(model, kind[1]), context)
                return grpc.stream_stream_rpc_method_handler(serve)
        options = [("grpc.max_receive_message_length", 4 << 20), ("grpc.so_reuseport", 0)]
        self._server = grpc.aio.server(options=options)
        self._server.add_generic_rpc_handlers((Handler(),))
        self.port = self._server.add_insecure_port(self.address)
        await self._server.start()

    async def _fetch(self, request, context):
        if not request.node.id:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "node")
        found = [f for f in map(self.find, dict.fromkeys(request.resource_names)) if f]
        answer = discovery_pb2.DiscoveryResponse(
            version_info=found[0][0] if len(found) == 1 else "many", type_url=SECRET, nonce=random.token_hex(4))
        answer.control_plane.identifier = self.identifier
        for _, content in found:
            answer.resources.add(type_url=SECRET, value=content)
        return answer.SerializeToString()

    async def _serve(self, engine, context):
        out = asyncio.Queue()
        self._streams[engine] = out
        reader = asyncio.ensure_future(self._read(engine, context, out))
        try:
            while (answer := await out.get()) is not None:
                if isinstance(answer, tuple):
                    await context.abort(*answer)
                await context.write(answer.SerializeToString())
        finally:
            reader.cancel()
            self._streams.pop(engine)

    @staticmethod
    async def _read(engine, context, out):
        while True:
            raw = await context.read()
            if raw is grpc.aio.EOF:
                out.put_nowait(None)
                return
            try:
                request = type(engine).parse(raw)
            except Exception as e:                                  # protobuf's DecodeError has no stable home
                out.put_nowait((grpc.StatusCode.INVALID_ARGUMENT, str(e)))
                return
            fault = engine.check(request)
            if fault:
                out.put_nowait(fault)
                return
            for answer in engine.take(request):
                out.put_nowait(answer)
