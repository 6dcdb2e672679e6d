"""The limits of the config on a whole server: who reaches one hears its key, the log has a line and the metrics count;
nobody else notices."""
import json
import os
import pathlib
import socket
import subprocess
import sys

import grpc
import pytest
from conformance import open_dialogue
from harness import h2, pki, wait, wire
from harness.leafcast import UnixConnection
from harness.node import node
from harness.sds_client import METHODS as PATHS
from harness.target import Target, chain, holds

pytestmark = pytest.mark.sanitized
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
CONNECTIONS = 16
SLOW_READERS = 20
FLOOD = pathlib.Path(h2.__file__).with_name("flood.py")


def start(folder, workers=1, transport="unix", **limits):
    return Target("leafcast", folder, workers, transport, limits=limits)


def counted(target, limit):
    connection = UnixConnection(target.server.admin)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    finally:
        connection.close()
    return float(text.split('leafcast_limit_reached_total{limit="%s"} ' % limit)[1].split()[0])


def assert_said(target, limit):
    line = target.server.wait_log(lambda text: '"limit.reached"' in text and '"%s"' % limit in text)
    assert json.loads(line)["who"].startswith("uid ")
    assert counted(target, limit) > 0


@pytest.mark.parametrize("method", ["sds-sotw", "ads-delta"])
@pytest.mark.parametrize("limit, value, names, padding", [
    ("names_per_stream", 3, 4, 0), ("names_per_request", 3, 4, 0), ("message_bytes", 1 << 16, 1, 80000)])
def test_a_stream_that_asks_too_much(folder, method, limit, value, names, padding):
    target = start(folder, **{limit: value})
    name = target.name()
    leaf = target.put(name)
    with target.client() as client:
        good = open_dialogue(client, method).subscribe(name)
        assert holds(good.take_one(name), leaf)
        bad = open_dialogue(client, method, node(padding=padding)).subscribe(*["n%d" % i for i in range(names)])
        code, details = bad.stream.status()
        assert code == EXHAUSTED and "limits." + limit in details
        assert_said(target, limit)
        leaf = target.put(name)
        assert holds(good.take_one(name), leaf)


def test_connections_of_a_uid(folder):
    target = start(folder, connections_per_identity=CONNECTIONS)
    raws = [target.raw() for _ in range(CONNECTIONS)]
    for raw in raws:
        raw.ping()
        assert raw.until(lambda f: f.type == h2.PING and f.flags & h2.ACK)
    with socket.socket(socket.AF_UNIX) as one_more:
        one_more.settimeout(10)
        one_more.connect(target.server.socket)
        assert one_more.recv(1) == b""
    target.server.wait_log("accept.refused")
    wait.until(lambda: counted(target, "connections_per_identity") > 0, 20, "counted")
    for raw in raws:
        raw.close()


@pytest.mark.parametrize("workers", [1, 4])
def test_new_names_leave_nothing_behind(folder, workers):
    target = start(folder, workers, new_names_per_connection=10)
    known = target.name()
    leaf = target.put(known)
    with target.client() as client:
        names = ["invented-%d" % i for i in range(40)]
        dialogue = open_dialogue(client, "sds-delta").subscribe(*names, known)
        removed, got = set(), {}
        while len(removed) < len(names) or not got:
            answer = dialogue.stream.receive()
            removed |= set(answer.removed_resources)
            got.update({r.name: r for r in answer.resources})
            dialogue.ack(answer)
        assert removed == set(names) and set(got) == {known}
        assert_said(target, "new_names_per_connection")
        remembered = [s for s in target.server.status()["secrets"] if s["name"].startswith("invented-")]
        assert len(remembered) <= 10
        assert holds(open_dialogue(client, "sds-sotw").subscribe(known).take_one(known), leaf)


@pytest.mark.parametrize("workers, transport", [(1, "unix"), (4, "tcp")])
def test_connection_age(folder, workers, transport):
    """Streams end, one after the other, and are at home again on another connection."""
    target = start(folder, workers, transport, connection_age="2s", connection_age_grace="1s")
    name = target.name()
    leaf = target.put(name)
    with target.client() as client:
        old = [open_dialogue(client, "sds-sotw").subscribe(name) for _ in range(10)]
        for dialogue in old:
            assert holds(dialogue.take_one(name), leaf)
        for dialogue in old:
            code, details = dialogue.stream.status()
            assert code == grpc.StatusCode.UNAVAILABLE and "connection_age" in details
        assert holds(open_dialogue(client, "sds-sotw").subscribe(name).take_one(name), leaf)
    assert target.server.wait_log("connection.aged")


@pytest.mark.parametrize("workers, transport", [(1, "unix"), (1, "tcp")])
def test_connection_idle(folder, workers, transport):
    """Who has no call is hung up on, politely; who has one stays."""
    target = start(folder, workers, transport, connection_idle="1s")
    name = target.name()
    leaf = target.put(name)
    with target.client() as client:
        good = open_dialogue(client, "sds-sotw").subscribe(name)
        assert holds(good.take_one(name), leaf)
        idle = target.raw()
        assert idle.until(lambda frame: frame.type == h2.GOAWAY, 60)
        assert idle.until(lambda frame: False, 60) is None
        leaf = target.put(name)
        assert holds(good.take_one(name), leaf)


def test_slow_readers_delay_nobody(folder):
    """Their windows are closed; beside them each new version is at the others at once, on the same worker."""
    target = start(folder)
    name = target.name()
    target.put(name)
    slow = [target.raw(window=0) for _ in range(SLOW_READERS)]
    for raw in slow:
        stream = raw.call(PATHS["sotw", False])
        raw.data(stream, h2.message(wire.request("sotw", [name])))
    wait.until(lambda: target.subscribers(name) == SLOW_READERS, 10, "all subscribed")
    with target.client() as client:
        fast = open_dialogue(client, "sds-sotw").subscribe(name)
        fast.take_one(name)
        for _ in range(20):
            leaf = target.put(name, pki.make("leaf", target.authority, dns=["leaf.example"]))
            assert chain(fast.take_one(name)) == leaf.chain_pem()
    for raw in slow:
        raw.close()


@pytest.mark.parametrize("transport, workers", [("unix", 1), ("unix", 2), ("tcp", 1)])
def test_streams_opened_and_reset(folder, transport, workers):
    """CVE-2023-44487: the flooder is hung up on (and, where the acceptor has its uid, kept out); who was there before
    hears of each new version."""
    target = start(folder, workers, transport)
    name = target.name()
    leaf = target.put(name)
    where = [target.server.socket] if transport == "unix" else [target.address.rsplit(":", 1)[1], target.server.folder]
    with target.client() as client:
        good = open_dialogue(client, "sds-sotw").subscribe(name)
        assert holds(good.take_one(name), leaf)
        flood = subprocess.Popen([sys.executable, FLOOD, *where])
        try:
            assert flood.wait(120) == 0
        finally:
            flood.kill()
            flood.wait()
        leaf = target.put(name)
        assert holds(good.take_one(name), leaf)
    wait.until(lambda: counted(target, "flood") > 0, 20, "counted")
    if transport == "unix":
        line = json.loads(target.server.wait_log("accept.kept_out"))
        assert line["uid"] == os.geteuid() and line["seconds"] > 0


def is_hung_up_on(raw):
    """Opens streams and resets them, one at a time, until the server ends the connection."""
    try:
        for _ in range(1000):
            raw.send(h2.RST_STREAM, 0, raw.call(PATHS["sotw", False]), b"\0\0\0\x08")
            raw.ping()
            if raw.until(lambda f: f.type == h2.PING and f.flags & h2.ACK) is None:
                return True
    except h2.ENDED:
        return True
    return False


def test_streams_opened_and_reset_over_tcp(folder):
    """At a pace that lets the worker see them: the connection is reset, the one beside it lives."""
    target = start(folder, transport="tcp", resets_per_second=1)
    name = target.name()
    leaf = target.put(name)
    with target.client() as client:
        good = open_dialogue(client, "sds-sotw").subscribe(name)
        assert holds(good.take_one(name), leaf)
        for _ in range(2):  # its identity's bucket is empty the second time
            bad = target.raw()
            assert is_hung_up_on(bad)
            bad.close()
        leaf = target.put(name)
        assert holds(good.take_one(name), leaf)
    assert counted(target, "resets_per_second") > 0
    wait.until(lambda: counted(target, "flood") == 2, 20, "both are counted")
