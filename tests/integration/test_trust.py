"""Trust changes under real Envoys with mutual TLS: a new root, and a compromised one, with no failed handshake."""
import json
import os

import pytest
from harness import wait
from harness.fleet import Fleet


def anchors(server):
    return [line.split() for line in server.cli("trust", "status", "mesh").stdout.split("\n\n")[0].splitlines()[1:]]


def states(server):
    return sorted(state for row in anchors(server) for state in row if state in ("trusted", "leaving", "waiting"))


def serials(fleet):
    return {(p.name, side): frozenset(envoy.serials()) for p in fleet.pairs
            for side, (envoy, _) in p.sides().items()}


def settled(fleet):
    assert not fleet.traffic.failures(), "\n".join(fleet.traffic.failures()[:20])
    return not fleet.leafcast.status()["campaigns"] and "rotating" not in str(anchors(fleet.leafcast)) and \
        "compromised" not in str(anchors(fleet.leafcast))


@pytest.fixture
def fleet(folder):
    made = Fleet(folder, "1h", 2, tcp=True)
    made.start_pairs(["delta", "ads-sotw"], ["unix", "tcp"])
    yield made
    made.traffic.stop()
    assert not made.traffic.failures(), "\n".join(made.traffic.failures()[:20])


@pytest.mark.timeout(120)
def test_a_new_root_under_traffic(fleet):
    server = fleet.leafcast
    before = serials(fleet)
    (old,) = anchors(server)
    plan = server.cli("trust", "rotate", "mesh", "--dry-run").stdout
    assert "makes a new root" in plan and anchors(server) == [old]
    assert "not confirmed" in server.cli("trust", "rotate", "mesh", code=1).stderr
    server.cli("trust", "rotate", "mesh", "--over", "3s", "--yes")
    assert len(anchors(server)) == 2
    server.kill()                                       # in the middle: it goes on
    server.start()
    wait.until(lambda: settled(fleet), 100, lambda: "the end of the rotation: %s" % anchors(server), poll_s=0.2)
    assert states(server) == ["leaving", "trusted"]
    assert all(after != before[key] for key, after in serials(fleet).items())
    server.cli("trust", "remove", "mesh")
    wait.until(lambda: len(anchors(server)) == 1, 20, "one anchor")
    assert old[1] not in str(anchors(server))
    wait.until(lambda: all(s["acked"] == s["subscribers"] for s in server.status()["secrets"]), 20,
               "every secret ACKed")


@pytest.mark.timeout(120)
def test_a_compromised_root(fleet):
    server = fleet.leafcast
    (old,) = anchors(server)
    before = serials(fleet)
    server.cli("compromise", "--authority", "mesh", "--yes")
    wait.until(lambda: settled(fleet) and len(anchors(server)) == 1, 100,
               lambda: "the end: %s" % anchors(server), poll_s=0.2)
    assert old[1] not in str(anchors(server))
    assert all(after != before[key] for key, after in serials(fleet).items())
    bundle = server.get("mesh-roots", server.folder, "bundle")["bundle"]
    with open(bundle) as f:
        assert f.read().count("BEGIN CERTIFICATE") == 1
    events = [json.loads(line).get("event") for line in server.cli("audit", "export").stdout.splitlines()]
    for event in ("trust.compromise_ordered", "trust.reissue", "trust.anchors_removed", "trust.rotated"):
        assert event in events
    server.cli("audit", "verify")
    with open(os.path.join(server.folder, "leafcast.log"), errors="replace") as f:
        assert "PRIVATE KEY" not in f.read()


@pytest.mark.timeout(120)
def test_a_compromise_takes_over_a_rotation(fleet):
    server = fleet.leafcast
    (old,) = anchors(server)
    before = serials(fleet)
    server.cli("trust", "rotate", "mesh", "--over", "1h", "--yes")
    assert "rotating" in str(anchors(server))
    assert "already" in server.cli("trust", "rotate", "mesh", "--yes", code=1).stderr
    assert "is taken over" in server.cli("compromise", "--authority", "mesh", "--dry-run").stdout
    server.cli("compromise", "--authority", "mesh", "--yes")
    wait.until(lambda: settled(fleet) and len(anchors(server)) == 1, 100,
               lambda: "the end: %s" % anchors(server), poll_s=0.2)
    assert old[1] not in str(anchors(server))
    assert all(after != before[key] for key, after in serials(fleet).items())


def test_refusals(folder):
    fleet = Fleet(folder, "1h")
    server = fleet.leafcast
    for args, words in ((["rotate", "nobody", "--yes"], "no anchor"), (["remove", "mesh"], "shows every anchor"),
                        (["proceed", "mesh", "n"], "waiting for anybody"), (["proceed", "mesh"], "name the NODE"),
                        (["rotate", "mesh", "--proceed-all"], "waiting for anybody"), (["x"], "status, rotate"),
                        (["proceed", "mesh", "n", "--proceed-all"], "name the NODE"),
                        (["resume", "mesh"], "is not paused"), (["pause", "nobody"], "no authority nobody"),
                        (["pause"], "takes an authority"), (["pause", "mesh", "x"], "takes one authority"),
                        (["rotate"], "takes an authority"), (["rotate", "mesh", "--over", "x"], "duration")):
        assert words in server.cli("trust", *args, code=1).stderr
    server.cli("trust", "pause", "mesh")
    assert "paused already" in server.cli("trust", "pause", "mesh", code=1).stderr
    assert "leafcast trust resume mesh" in server.cli("trust", "rotate", "mesh", "--yes", code=1).stderr
    server.cli("trust", "resume", "mesh")
    assert "nothing of it breaks" in server.cli("trust", "remove", "mesh", "--dry-run").stdout
    assert "not confirmed" in server.cli("trust", "remove", "mesh", "--force", code=1).stderr
    assert "NAME of a secret" in server.cli("compromise", code=1).stderr
