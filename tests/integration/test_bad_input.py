"""Bad input gets a clear status or the documented silence: never a crash, a hang or another caller's secret."""
import os

import grpc
import pytest
from conformance import METHODS, open_dialogue
from harness import h2, wire
from harness.node import node
from harness.sds_client import METHODS as PATHS
from harness.target import Target, holds

pytestmark = pytest.mark.sanitized
INVALID, EXHAUSTED, INTERNAL, UNIMPLEMENTED = 3, 8, 13, 12
REFUSED = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL, grpc.StatusCode.RESOURCE_EXHAUSTED)


@pytest.fixture(scope="module")
def target(module_folder):
    return Target("leafcast", module_folder, 2, "unix")


@pytest.fixture(autouse=True)
def others_are_served(target):
    """A stream from before the test, and a new one, are served after it; the server is the same process."""
    name, pid = target.name("witness"), target.server.process.pid
    target.put(name)
    with target.client() as client:
        before = open_dialogue(client, "ads-delta").subscribe(name)
        before.take(name)
        yield
        leaf = target.put(name)
        assert holds(before.take_one(name), leaf)
        assert holds(open_dialogue(client, "sds-sotw").subscribe(name).take_one(name), leaf)
    assert target.server.process.running() and target.server.process.pid == pid


@pytest.fixture(params=METHODS)
def method(request):
    return request.param


@pytest.fixture
def raw(target, method):
    """A call whose messages are bytes."""
    with target.client() as client:
        yield open_dialogue(client, method).stream


def kind_of(method):
    return method.split("-")[1]


def path_of(method):
    ads, kind = method.split("-")
    return PATHS[kind, ads == "ads"]


# --- messages --------------------------------------------------------------------------------------------------------
MALFORMED = {
    "length past the end": b"\x12\x7f\x01",
    "endless varint": b"\x0a" + b"\xff" * 11,
    "field number 0": b"\x02\x01a",
    "a group": b"\x13\x14",
    "an end without its group": b"\x14",
    "wire type 6": b"\x16\x01",
    "huge length": b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    "random bytes": bytes(range(255, 0, -1)),
}


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_message(raw, method, content):
    """An unknown group may be skipped as protobuf allows; then the missing node is the fault."""
    raw.send(content)
    code, details = raw.status()
    assert code in REFUSED and details and not raw.answers


def test_malformed_node(raw, method):
    raw.send(wire.request(kind_of(method), ["n"], node=b"\x0a\xff\x01a"))
    assert raw.status()[0] in REFUSED


@pytest.mark.parametrize("depth", [100, 5000])
def test_deeply_nested_metadata(target, raw, method, depth):
    """It is no name of anybody's: served or refused, in one piece."""
    name = target.name()
    target.put(name)
    raw.send(wire.request(kind_of(method), [name], node=wire.nested_metadata(depth)))
    try:
        raw.receive()
    except AssertionError:
        assert raw.status()[0] in REFUSED


def test_node_of_5_mib(raw, method):
    raw.send(wire.request(kind_of(method), ["n"], node=node(padding=5 << 20).SerializeToString()))
    code, details = raw.status()
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED and details


def test_node_of_2_mib_is_served(target, raw, method):
    name = target.name()
    target.put(name)
    raw.send(wire.request(kind_of(method), [name], node=node(padding=2 << 20).SerializeToString()))
    raw.receive()


def test_wrong_type_url(raw, method):
    for type_url in ("Secret", "type.googleapis.com/envoy.api.v2.auth.Secret", "\0", "x" * 100_000):
        raw.send(wire.request(kind_of(method), ["n"], type_url=type_url))
    if method.startswith("sds"):
        code, details = raw.status()
        assert code == grpc.StatusCode.INVALID_ARGUMENT and "type" in details and len(details) < 1000
    else:
        raw.cancel()


# --- names -----------------------------------------------------------------------------------------------------------
NAMES = {
    "NUL after it": b"%s\0",
    "NUL and more": b"%s\0x",
    "broken UTF-8": b"%s\xff",
    "overlong slash": b"%s\xc0\xaf",
    "surrogate": b"%s\xed\xa0\x80",
    "blank after it": b"%s ",
    "too long": b"%s" + b"x" * 1100,
    "64 KiB": b"%s" + b"y" * 65536,
}


@pytest.mark.parametrize("form", NAMES.values(), ids=NAMES.keys())
def test_odd_names_never_mean_another(target, raw, method, form):
    """Silence, `removed`, or a refusal; the secret whose name is inside does not come."""
    name, fence = target.name(), target.name()
    target.put(name), target.put(fence)
    raw.send(wire.request(kind_of(method), [form.replace(b"%s", name.encode()), fence.encode()]))
    seen = set()
    while fence not in seen:
        try:
            _, secrets = raw.receive_secrets()
        except AssertionError:
            assert raw.status()[0] in REFUSED
            break
        seen |= set(secrets)
    assert seen <= {fence}


def test_empty_name(target, raw, method):
    fence = target.name()
    target.put(fence)
    raw.send(wire.request(kind_of(method), ["", fence]))
    seen = set()
    while fence not in seen:
        seen |= set(raw.receive_secrets()[1])
    assert seen == {fence}


def test_ten_thousand_unknown_names(target, raw, method):
    """Either each is said not to exist, or the stream is refused with a reason; memory stays in bounds."""
    base = target.server.rss_kib()
    raw.send(wire.request(kind_of(method), ["none-%d" % i for i in range(10_000)]))
    if kind_of(method) == "sotw":
        name = target.name()
        target.put(name)
        raw.send(wire.request("sotw", [name]))
        try:
            assert set(raw.receive_secrets()[1]) == {name}
        except AssertionError:
            assert raw.status()[0] == grpc.StatusCode.RESOURCE_EXHAUSTED
        return
    removed = set()
    while len(removed) < 10_000:
        try:
            answer = raw.receive()
        except AssertionError:
            code, details = raw.status()
            assert code == grpc.StatusCode.RESOURCE_EXHAUSTED and details
            return
        removed.update(answer.removed_resources)
        raw.ack(answer)
    assert target.server.grown_by_less_than(base, mib=64)


# --- HTTP/2 ----------------------------------------------------------------------------------------------------------
@pytest.fixture
def connection(target):
    made = h2.Connection(target.server.socket)
    yield made
    made.close()


FRAMES = {
    "length of 4 GiB": h2.message(b"abc", length=0xffffffff),
    "compressed, no encoding named": h2.message(b"abc", compressed=1),
    "flag 7": h2.message(b"abc", compressed=7),
    "half a message": h2.message(b"abc", length=100),
    "half a prefix": b"\0\0",
    "no message": b"",
}


@pytest.mark.parametrize("content", FRAMES.values(), ids=FRAMES.keys())
def test_broken_grpc_frame(connection, method, content):
    """The call ends; it is not a success with content."""
    stream = connection.call(path_of(method))
    connection.data(stream, content, end=True)
    status = connection.status(stream)
    assert status in (0, INVALID, EXHAUSTED, INTERNAL, UNIMPLEMENTED) or str(status).startswith("reset"), status
    assert not [f for f in connection.frames if f.type == h2.DATA and f.payload]


def test_unknown_methods(connection):
    for path in ("/envoy.service.secret.v3.SecretDiscoveryService/Nope", "/", "//", "/x/y/z", "/" + "a" * 4000):
        assert connection.status(connection.call(path)) == UNIMPLEMENTED


def test_no_grpc_content(connection):
    """gRPC core takes any content type; the body is no request all the same."""
    stream = connection.call(path_of("sds-sotw"), content_type="text/plain")
    connection.data(stream, b"hello", end=True)
    connection.status(stream)
    assert not [f for f in connection.frames if f.type == h2.DATA and f.payload]


def test_giant_headers(connection):
    stream = connection.call(path_of("sds-sotw"))
    try:
        for i in range(200):
            connection.send(h2.HEADERS, 0, stream + 2, b"\0" + b"\x7f\x81\x7e" + b"a" * 16000)
        assert connection.status(stream) in ("closed", EXHAUSTED)
    except ConnectionError:
        pass


NOISE = {
    "zeros": b"\0" * 4096,
    "random": os.urandom(4096),
    "HTTP/1.1": b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
    "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500,
    "preface, then noise": h2.PREFACE + b"\xff" * 4096,
    "unknown frames": h2.PREFACE + b"\0\0\0\x04\0\0\0\0\0" + b"\0\0\x04\xee\0\0\0\0\0abcd" * 100 + b"\0\0\0",
}


@pytest.mark.parametrize("content", NOISE.values(), ids=NOISE.keys())
def test_noise_instead_of_http2(target, content):
    """Whoever sends it gets nothing but a closed connection, or no answer before he ends it himself."""
    connection = h2.Connection(target.server.socket, preface=False)
    connection.socket.sendall(content)
    connection.socket.shutdown(1)
    received = b""
    try:
        while piece := connection.socket.recv(65536):
            received += piece
    except ConnectionError:
        pass
    connection.close()
    assert b"PRIVATE KEY" not in received


def test_silent_connections_do_not_stand_in_the_way(target):
    connections = [h2.Connection(target.server.socket, preface=False) for _ in range(200)]
    name = target.name()
    leaf = target.put(name)
    with target.client() as client:
        assert holds(open_dialogue(client, "sds-delta").subscribe(name).take_one(name), leaf)
    for c in connections:
        c.close()
