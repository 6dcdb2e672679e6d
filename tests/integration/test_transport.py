"""Flow control, keepalive, compression, sizes and the end of it all on real connections (conformance 49 to 53)."""
import signal

import grpc
import pytest
from checklist import BOTH, SHAPES as EVERY_SHAPE
from conformance import METHODS, SHAPES, open_dialogue, target  # noqa: F401
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from envoy.service.discovery.v3 import discovery_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from harness import h2, pki, wait, wire
from harness.node import node
from harness.sds_client import METHODS as CALLS
from harness.target import Target, holds

READERS_A_METHOD = 5
KEEPALIVE_S = 30 + 20                                               # of the server: a ping, and what it waits for its ACK


@pytest.fixture(params=METHODS)
def method(request):
    return request.param


def subscribe(connection, method, *names):
    ads, kind = method.split("-")
    stream = connection.call(CALLS[kind, ads == "ads"], ("grpc-accept-encoding", "gzip, deflate, identity"))
    connection.data(stream, h2.message(wire.request(kind, names)))
    return stream


def is_data(frame):
    return frame.type == h2.DATA and frame.payload


def every_target(folder):
    return {shape: Target("leafcast", folder, *shape) for shape in EVERY_SHAPE}


# --- 49 --------------------------------------------------------------------------------------------------------------
def test_49_answers_are_not_compressed(target, method):
    name = target.name()
    target.put_bundle(name, *[target.authority] + [pki.authority("CA %d" % i) for i in range(20)])
    connection = target.raw()
    stream = subscribe(connection, method, name)
    assert connection.until(is_data).payload[0] == 0
    head = next(f.payload for f in connection.frames if f.type == h2.HEADERS and f.stream == stream)
    assert head.get("grpc-encoding", "identity") == "identity"
    connection.close()


def test_49_what_is_too_large_is_refused(target, method):
    with target.client() as client:
        dialogue = open_dialogue(client, method, node(padding=5 << 20)).subscribe("any")
        code, details = dialogue.stream.status()
        assert code == grpc.StatusCode.RESOURCE_EXHAUSTED and details


# --- 50 --------------------------------------------------------------------------------------------------------------
@pytest.mark.first
@pytest.mark.cells(shapes=EVERY_SHAPE, methods=BOTH)
def test_50_pings_every_ten_seconds_draw_no_goaway(module_folder):
    """Without any stream, and with an idle one of each method; half a minute longer than gRPC core's defaults bear."""
    connections = []
    for target in every_target(module_folder).values():
        connections.append(target.raw())
        for method in BOTH:
            connections.append(target.raw())
            subscribe(connections[-1], method, "nobody-has-it")
    for pings in range(6):
        for connection in connections:
            connection.ping()
            answer = connection.until(lambda f: f.type == h2.PING and f.flags & h2.ACK or f.type == h2.GOAWAY)
            assert answer.type == h2.PING
        if pings < 5:
            with pytest.raises(wait.Expired):
                connections[0].until(lambda f: f.type == h2.GOAWAY, timeout_s=10)
    for connection in connections:
        connection.close()


@pytest.mark.first
@pytest.mark.cells(shapes=EVERY_SHAPE, methods=BOTH)
def test_50_dead_peer_is_reaped(module_folder):
    """It answers no ping: connection and stream are gone when keepalive says so."""
    opened = []
    for target in every_target(module_folder).values():
        for method in BOTH:
            name, connection = target.name(), target.raw(answer_pings=False)
            target.put(name)
            subscribe(connection, method, name)
            assert connection.until(is_data)
            wait.until(lambda: target.subscribers(name) == 1, 20, "counted")
            opened.append((target, name, connection))
    for target, name, connection in opened:
        assert connection.until(lambda _: False, timeout_s=KEEPALIVE_S + 15) is None
        wait.until(lambda: target.subscribers(name) == 0, 10, "no subscriber left")
        connection.close()


# --- 51 --------------------------------------------------------------------------------------------------------------
@pytest.mark.cells(methods=BOTH)
def test_51_slow_readers_cost_no_backlog(target):
    """200 KiB, 30 times, for 20 closed windows would be 120 MiB. Once it reads, a reader gets the newest soon."""
    name = target.name()
    pads = [pki.authority("Authority number %d" % i) for i in range(280)]
    target.put_bundle(name, *pads)
    readers = [(m, target.raw(window=0)) for m in BOTH for _ in range(READERS_A_METHOD)]
    streams = [subscribe(c, m, name) for m, c in readers]
    wait.until(lambda: target.subscribers(name) == len(readers), 10, "all subscribed")
    base = target.server.rss_kib()
    for i in range(30):
        pads[0] = pki.authority("Newest %d" % i)
        target.put_bundle(name, *pads)
    assert target.server.grown_by_less_than(base, mib=40)
    for (method, reader), stream in list(zip(readers, streams))[::READERS_A_METHOD]:
        reader.open_window(stream, 16 << 20)
        reader.open_window(0, 16 << 20)
        answers = []
        while not answers or pads[0].pem() not in answers[-1]:
            answers.append(read_and_acknowledge(reader, stream, method, name))
            assert len(answers) <= 3, "a backlog was sent"
    for _, reader in readers:
        reader.close()


def read_and_acknowledge(connection, stream, method, name):
    """The bundle of the next answer."""
    received = b""
    while len(received) < 5 or len(received) < 5 + int.from_bytes(received[1:5], "big"):
        received += connection.until(is_data).payload
    if method.endswith("sotw"):
        answer = discovery_pb2.DiscoveryResponse.FromString(received[5:])
        content = answer.resources[0].value
        request = discovery_pb2.DiscoveryRequest(version_info=answer.version_info, response_nonce=answer.nonce,
                                                 resource_names=[name], type_url=answer.type_url)
    else:
        answer = discovery_pb2.DeltaDiscoveryResponse.FromString(received[5:])
        content = answer.resources[0].resource.value
        request = discovery_pb2.DeltaDiscoveryRequest(response_nonce=answer.nonce, type_url=answer.type_url)
    connection.data(stream, h2.message(request.SerializeToString()))
    return secret_pb2.Secret.FromString(content).validation_context.trusted_ca.inline_bytes


# --- 52, 53 ----------------------------------------------------------------------------------------------------------
def test_52_reset_frees_at_once(target, method):
    name = target.name()
    target.put(name)
    with target.client() as client:
        streams = [open_dialogue(client, method).subscribe(name) for _ in range(25)]
        for d in streams:
            d.take(name)
        wait.until(lambda: target.subscribers(name) == len(streams), 20, "all counted")
        for d in streams:
            d.stream.cancel()
        wait.until(lambda: target.subscribers(name) == 0, 20, "all freed")


@pytest.mark.sanitized
@pytest.mark.cells(methods=BOTH)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: "%s-w%d" % (s[1], s[0]))
def test_53_drain(folder, shape):
    """Health turns, GOAWAY, each stream ends UNAVAILABLE within the grace; after a restart every name is served again,
    in the same content and version, to the same callers."""
    target = Target("leafcast", folder, *shape, drain={"grace": "2s"})
    names = [target.name() for _ in range(3)]
    leafs = {name: target.put(name) for name in names}
    with target.client() as client:
        watch = health_pb2_grpc.HealthStub(client.channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        before = [open_dialogue(client, m).subscribe(*names) for m in METHODS for _ in range(5)]
        versions = [served(d, leafs) for d in before]
        raw = target.raw()
        subscribe(raw, "sds-sotw", "nobody-has-it")
        raw.ping()                                      # answered: the server has taken the connection, not the kernel alone
        assert raw.until(lambda f: f.type == h2.PING and f.flags & h2.ACK, timeout_s=5)
        target.server.process.signal(signal.SIGTERM)
        target.server.wait_notify("STOPPING=1")
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert raw.until(lambda f: f.type == h2.GOAWAY, timeout_s=5)
        raw.close()
        for d in before:
            assert d.stream.status(5)[0] == grpc.StatusCode.UNAVAILABLE
    target.server.assert_clean(target.server.process.wait(5))
    target.server.start()
    with target.client() as client:
        after = [open_dialogue(client, m).subscribe(*names) for m in METHODS for _ in range(5)]
        assert [served(d, leafs) for d in after] == versions


def served(dialogue, leafs):
    """Take all names of leafs, each the very leaf; name -> version."""
    versions = {}
    while set(versions) != set(leafs):
        for name, secret in dialogue.hear().items():
            assert holds(secret, leafs[name])
            versions[name] = dialogue.version(name)
        dialogue.ack()
    return versions
