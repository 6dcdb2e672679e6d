"""Changes of trust and bad material under real Envoys with mutual TLS and traffic: nodes that do not answer, or are
away, a change that is paused, killed at each of its steps, a fleet of twenty, a version that no client accepts."""
import json
import re
import signal
import socket
import ssl
import time

import pytest
from harness import examples, wait
from harness.envoy import Envoy
from harness.fleet import Fleet

STEPS = ["trust.ordered", "trust.root_made", "trust.reissue_begun", "issue.key_made", "publish.stored:2",
         "trust.end_handed_over", "trust.ended"]


def status(server):
    """The table of trust status, its first words and its last: [{"sha256": ..., "state": ..., "order": ...}]."""
    lines = server.cli("trust", "status", "mesh").stdout.split("\n\n")[0].splitlines()[1:]
    cells = [re.split(r" {2,}", line.strip()) for line in lines]
    return [{"sha256": c[1], "state": c[3], "order": c[6] if len(c) > 6 else "-"} for c in cells]


def anchors(server):
    return [a["sha256"] for a in status(server)]


def quiet(fleet):
    assert not fleet.traffic.failures(), "\n".join(fleet.traffic.failures()[:20])
    return True


def ended(fleet):
    quiet(fleet)
    return all(a["order"] == "-" for a in status(fleet.leafcast)) and not fleet.leafcast.status()["campaigns"]


def more_traffic(fleet):
    """What is seen from now on is under what is served now."""
    seen = {p.name: p.stream.requests["fresh"] for p in fleet.pairs}
    wait.until(lambda: quiet(fleet) and all(p.stream.requests["fresh"] > seen[p.name] + 3 for p in fleet.pairs), 60,
               "further requests")


def serials(fleet):
    return {(p.name, side): frozenset(envoy.serials()) for p in fleet.pairs for side, (envoy, _) in p.sides().items()}


@pytest.fixture
def start(folder):
    made = []

    def begin(lifetime, flavours, transports, **options):
        fleet = Fleet(folder, lifetime, 2, tcp="tcp" in transports)
        made.append(fleet)
        fleet.start_pairs(flavours, transports, **options)
        return fleet
    yield begin
    for fleet in made:
        fleet.traffic.stop()


def bystander(fleet, node_id):
    """An Envoy without traffic that asks for the roots."""
    place = examples.Place(socket=fleet.leafcast.socket)
    home = fleet.folder / node_id
    bootstrap, files = examples.envoy("server", "delta", place, home, {10443: 0, 8080: fleet.backend.port})
    bootstrap["node"]["id"] = node_id
    return fleet.folder.ending(Envoy(home, bootstrap, files)).start()


@pytest.mark.timeout(150)
def test_one_that_never_answers_and_one_that_is_away(start):
    fleet = start("1h", ["delta"], ["unix"])
    server = fleet.leafcast
    silent, away = bystander(fleet, "silent-1"), bystander(fleet, "away-1")
    before, (old,) = serials(fleet), anchors(server)
    away.end()
    wait.until(lambda: server.status()["streams"] == fleet.pairs[0].streams() + 2, 30, "the absence of one node")
    silent.process.signal(signal.SIGSTOP)
    try:
        server.cli("trust", "rotate", "mesh", "--over", "0s", "--yes")
        wait.until(lambda: any(s["held_for"] for s in server.status()["secrets"]), 60, "a certificate that waits")
        shown = server.cli("trust", "status", "mesh").stdout
        assert re.search(r"silent-1 .* silent ", shown) and re.search(r"away-1 .* away ", shown)
        assert re.search(r"server .* holds ", shown)
        assert serials(fleet) == before                 # nobody was given what the two cannot verify
        assert "waits for no node nobody" in server.cli("trust", "proceed", "mesh", "nobody", code=1).stderr
        assert 'node "silent-1"' in server.cli("trust", "rotate", "mesh", "--proceed", "silent-1").stdout
        shown = server.cli("trust", "status", "mesh").stdout
        assert "passed over by uid 0" in shown and re.search(r"away-1 .* away ", shown)
        assert {a["state"] for a in status(server)} == {"leaving", "waiting"}
        assert 'node "away-1"' in server.cli("trust", "proceed", "mesh", "away-1").stdout
        wait.until(lambda: ended(fleet), 60, lambda: "the end of the rotation: %s" % status(server))
        more_traffic(fleet)
        assert all(after != before[key] for key, after in serials(fleet).items())
        assert "silent-1" in server.cli("trust", "status", "mesh").stdout
    finally:
        silent.process.signal(signal.SIGCONT)
    trail = server.cli("audit", "export").stdout
    assert trail.count("trust.proceed_ordered") == 2 and "silent-1" in trail and "away-1" in trail
    assert old in anchors(server)                       # it leaves by itself, a certificate's life later
    quiet(fleet)


@pytest.mark.timeout(200)
def test_paused_and_resumed_over_a_restart(start):
    fleet = start("1h", ["delta"], ["unix"])
    server = fleet.leafcast
    before = serials(fleet)
    server.cli("trust", "rotate", "mesh", "--over", "1h", "--yes")
    server.cli("trust", "pause", "mesh")
    server.kill()
    server.start()
    assert {a["order"] for a in status(server)} == {"rotating, paused"}
    assert "leafcast trust resume mesh" in server.cli("trust", "status").stdout
    fleet.wait_connected(90)
    more_traffic(fleet)
    assert serials(fleet) == before
    server.cli("trust", "resume", "mesh")
    server.cli("rotate", "--authority", "mesh", "--over", "0s")
    wait.until(lambda: ended(fleet), 120, lambda: "the end of the rotation: %s" % status(server), poll_s=0.2)
    more_traffic(fleet)
    assert all(after != before[key] for key, after in serials(fleet).items())
    trail = server.cli("audit", "export").stdout
    assert trail.count("trust.paused") == 1 and trail.count("trust.resumed") == 1


@pytest.mark.timeout(120)
def test_a_bad_version_that_was_put_is_rolled_back(folder):
    """The right pair with the client's name: no client accepts it. Fresh connections fail until the rollback, open ones
    never."""
    fleet = Fleet(folder, "1h")
    server = fleet.leafcast
    good, bad = (server.get(name, folder.path, "cert", "key") for name in ("server-cert", "client-cert"))
    config = json.loads(server.config_file.read_text())
    del config["secrets"]["server-cert"]
    server.write_config(config)
    server.cli("reload")
    server.cli("put", "server-cert", "--cert", good["cert"], "--key", good["key"])
    fleet.start_pairs(["delta"], ["unix"])
    try:
        stream, envoy = fleet.pairs[0].stream, fleet.pairs[0].server
        first = envoy.serials()
        quiet(fleet)
        server.cli("put", "server-cert", "--cert", bad["cert"], "--key", bad["key"])
        wait.until(lambda: stream.failures, 30, "a client that refuses it")
        assert envoy.serials() != first
        begun = time.monotonic()
        server.cli("rollback", "server-cert")
        wait.until(lambda: envoy.serials() == first, 60, "the earlier version in Envoy", poll_s=0.02)
        print("served again after %.3f s" % (time.monotonic() - begun))
        failed, fresh = len(stream.failures), stream.requests["fresh"]
        wait.until(lambda: stream.requests["fresh"] > fresh + 5, 60, "new connections again")
        # one may have been under way, refused before and told after
        assert len(stream.failures) <= failed + 1, stream.failures[failed:]
        kept = dict(stream.requests)
        wait.until(lambda: all(stream.requests[k] > kept[k] + 5 for k in ("kept", "open")), 60, "open connections")
        assert all(" fresh: " in f for f in stream.failures), stream.failures
        assert "secret.rolled_back" in server.cli("audit", "show").stdout
    finally:
        fleet.traffic.stop()


def handshakes(port, pair, ca):
    """Does the server on this port take this client certificate? TLS 1.3 tells it with the first byte that is read."""
    context = ssl.create_default_context(cafile=ca)
    context.check_hostname = False
    context.load_cert_chain(pair["cert"], pair["key"])
    try:
        with socket.create_connection(("127.0.0.1", port), 10) as raw, context.wrap_socket(raw) as tls:
            tls.settimeout(10)
            tls.sendall(b"GET / HTTP/1.1\r\nhost: pair.example\r\nconnection: close\r\n\r\n")
            return tls.recv(1) != b""
    except (ssl.SSLError, ConnectionError):             # an alert, or the end of the connection before it was read
        return False


def roots_of(fleet):
    """Serials of what clients and servers verify each other by."""
    held = [c for p in fleet.pairs for envoy, _ in p.sides().values()
            for c in json.loads(envoy.ask("/certs")[1])["certificates"]]
    return {root["serial_number"] for c in held for root in c.get("ca_cert", [])}


def files(server, folder):
    folder.mkdir(exist_ok=True)
    return {**server.get("client-cert", folder, "cert", "key"), **server.get("mesh-roots", folder, "bundle")}


@pytest.mark.long
@pytest.mark.timeout(900)
def test_twenty_are_given_new_keys_after_a_compromise(start, folder):
    flavours = ["delta", "ads", "sotw", "ads-sotw"]
    fleet = start("1h", flavours + flavours + flavours[:2], ["unix"], period_s=1)
    server = fleet.leafcast
    assert len(fleet.pairs) == 10
    before, (old,), roots = serials(fleet), anchors(server), roots_of(fleet)
    stolen = files(server, folder / "old")
    plan = server.cli("compromise", "--authority", "mesh", "--dry-run").stdout
    assert re.search(r"it touches \d+ nodes", plan) and anchors(server) == [old]
    ports = [p.server.listener_port("ingress") for p in fleet.pairs]
    assert all(handshakes(port, stolen, stolen["bundle"]) for port in ports)
    begun = time.monotonic()
    server.cli("compromise", "--authority", "mesh", "--yes")
    wait.until(lambda: ended(fleet) and len(anchors(server)) == 1, 300, lambda: "the end: %s" % status(server),
               poll_s=1)
    print("twenty Envoys under the new root after %.1f s" % (time.monotonic() - begun))
    assert old not in anchors(server)
    wait.until(lambda: all(s["acked"] == s["subscribers"] for s in server.status()["secrets"]), 60,
               "every secret ACKed")
    assert all(not after & before[key] for key, after in serials(fleet).items())
    fresh = files(server, folder / "new")
    for port in ports:
        assert not handshakes(port, stolen, fresh["bundle"]) and handshakes(port, fresh, fresh["bundle"])
    assert len(roots) == len(roots_of(fleet)) == 1 and roots_of(fleet) != roots
    more_traffic(fleet)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("verb", [["trust", "rotate", "mesh", "--over", "1s", "--yes"],
                                  ["compromise", "--authority", "mesh", "--yes"]], ids=["rotate", "compromise"])
def test_killed_in_each_step(start, verb):
    fleet = start("1h", ["delta"], ["unix"])
    server = fleet.leafcast
    for step in STEPS:
        before = serials(fleet)
        server.stop()
        server.extra_env["LEAFCAST_CRASH_AT"] = step
        server.start()
        fleet.wait_connected(90)
        server.cli(*verb, code=None, timeout_s=60)
        wait.until(lambda: not server.process.running(), 150, "its end at %s" % step)
        server.close_notify()
        del server.extra_env["LEAFCAST_CRASH_AT"]
        server.start()
        wait.until(lambda: ended(fleet), 200, lambda: "the end after %s: %s" % (step, status(server)), poll_s=0.5)
        more_traffic(fleet)
        assert all(after != before[key] for key, after in serials(fleet).items()), step
        if verb[0] == "trust":
            server.cli("trust", "remove", "mesh")
        wait.until(lambda: len(anchors(server)) == 1, 60, "one anchor")
        server.cli("audit", "verify")
