"""Flow control, keepalive and compression on real connections (conformance 49 to 51)."""
import pytest
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from envoy.service.discovery.v3 import discovery_pb2
from conformance import open_dialogue
from harness import h2, pki, wait, wire
from harness.sds_client import METHODS
from harness.target import Target

PATH = METHODS["sotw", False]
SLOW_READERS = 20


@pytest.fixture(scope="module")
def target(module_folder):
    return Target("leafcast", module_folder, 2, "unix")


def subscribe(connection, *names):
    stream = connection.call(PATH, ("grpc-accept-encoding", "gzip, deflate, identity"))
    connection.data(stream, h2.message(wire.request("sotw", names)))
    return stream


def is_data(frame):
    return frame.type == h2.DATA and frame.payload


def test_49_answers_are_not_compressed(target):
    name = target.name()
    target.put_bundle(name, *[target.authority] + [pki.authority("CA %d" % i) for i in range(20)])
    connection = h2.Connection(target.server.socket)
    stream = subscribe(connection, name)
    assert connection.until(is_data).payload[0] == 0
    head = next(f.payload for f in connection.frames if f.type == h2.HEADERS and f.stream == stream)
    assert head.get("grpc-encoding", "identity") == "identity"
    connection.close()


@pytest.mark.first
def test_50_pings_every_ten_seconds_draw_no_goaway(target):
    """Half a minute longer than gRPC core's defaults would bear, with no stream and no data."""
    connection = h2.Connection(target.server.socket)
    for _ in range(5):
        connection.ping()
        assert connection.until(lambda f: f.type == h2.PING and f.flags & h2.ACK or f.type == h2.GOAWAY).type == h2.PING
        with pytest.raises(wait.Expired):
            connection.until(lambda f: f.type == h2.GOAWAY, timeout_s=10)
    connection.ping()
    assert connection.until(lambda f: f.type == h2.PING and f.flags & h2.ACK or f.type == h2.GOAWAY).type == h2.PING
    connection.close()


@pytest.mark.first
def test_50_dead_peer_is_reaped(target):
    """It answers no ping: gone after 30 s + 20 s, connection and stream."""
    name = target.name()
    target.put(name)
    connection = h2.Connection(target.server.socket, answer_pings=False)
    subscribe(connection, name)
    assert connection.until(is_data)
    assert connection.until(lambda _: False, timeout_s=65) is None
    wait.until(lambda: subscribers(target, name) == 0, 10, "no subscriber left")
    connection.close()


def subscribers(target, name):
    return sum(s["subscribers"] for s in target.server.status()["secrets"] if s["name"] == name)


def test_51_slow_readers_cost_no_backlog(target):
    """200 KiB, 30 times, for 20 closed windows would be 120 MiB. Once it reads, a reader gets the newest soon."""
    name = target.name()
    pads = [pki.authority("Authority number %d" % i) for i in range(280)]
    target.put_bundle(name, *pads)
    connections = [h2.Connection(target.server.socket, window=0) for _ in range(SLOW_READERS)]
    streams = [subscribe(c, name) for c in connections]
    wait.until(lambda: subscribers(target, name) == SLOW_READERS, 10, "all subscribed")
    base = target.server.rss_kib()
    for i in range(30):
        pads[0] = pki.authority("Newest %d" % i)
        target.put_bundle(name, *pads)
    assert target.server.grown_by_less_than(base, mib=40)
    reader, stream = connections[0], streams[0]
    reader.open_window(stream, 16 << 20)
    reader.open_window(0, 16 << 20)
    answers = []
    while not answers or pads[0].pem() not in bundle_of(answers[-1]):
        answers.append(read_and_acknowledge(reader, stream, name))
        assert len(answers) <= 3, "a backlog was sent"
    for c in connections:
        c.close()


def bundle_of(answer):
    secret = secret_pb2.Secret.FromString(answer.resources[0].value)
    return secret.validation_context.trusted_ca.inline_bytes


def read_and_acknowledge(connection, stream, name):
    received = b""
    while len(received) < 5 or len(received) < 5 + int.from_bytes(received[1:5], "big"):
        received += connection.until(is_data).payload
    answer = discovery_pb2.DiscoveryResponse.FromString(received[5:])
    request = discovery_pb2.DiscoveryRequest(version_info=answer.version_info, response_nonce=answer.nonce,
                                             resource_names=[name], type_url=answer.type_url)
    connection.data(stream, h2.message(request.SerializeToString()))
    return answer


def test_52_reset_frees_at_once(target):
    name = target.name()
    target.put(name)
    with target.client() as client:
        streams = [open_dialogue(client, "sds-delta").subscribe(name) for _ in range(50)]
        for d in streams:
            d.take(name)
        wait.until(lambda: subscribers(target, name) == 50, 5, "all counted")
        for d in streams:
            d.stream.cancel()
        wait.until(lambda: subscribers(target, name) == 0, 5, "all freed")
