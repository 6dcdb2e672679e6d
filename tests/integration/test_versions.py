"""Earlier versions under real Envoys: rolled back in place, while requests go on and connections stay open."""
import re

import pytest
from harness import wait
from harness.fleet import Fleet


@pytest.fixture(scope="module")
def fleet(module_folder):
    made = Fleet(module_folder, "1h")
    made.start_pairs(["delta"], ["unix"])
    yield made
    made.traffic.stop()


def rows(server, name):
    return [re.split("  +", line) for line in server.cli("versions", name).stdout.splitlines()[1:]]


def test_rollback_under_traffic(fleet):
    server, pair = fleet.leafcast, fleet.pairs[0]
    envoy = pair.server
    wait.until(lambda: pair.stream.leafs["server"], 10, "a request")
    first = next(iter(pair.stream.leafs["server"]))
    server.cli("rotate", "server-cert")
    wait.until(lambda: first not in envoy.serials(), 10, "the second leaf in Envoy")
    listed = rows(server, "server-cert")
    assert [r[-1] for r in listed] == ["earlier", "served"]
    server.cli("rollback", "server-cert")
    wait.until(lambda: first in envoy.serials(), 20, "the first leaf in Envoy again")
    assert [r[-1] for r in rows(server, "server-cert")] == ["earlier", "served, pinned"]
    requests = pair.stream.total()
    wait.until(lambda: pair.stream.total() > requests + 10, 10, "further requests")
    assert "serves now" in server.cli("rollback", "server-cert", listed[0][1], code=1).stderr
    server.cli("unpin", "server-cert")
    server.cli("pin", "server-cert")
    server.cli("rotate", "server-cert")
    wait.until(lambda: first not in envoy.serials(), 10, "a third leaf in Envoy")
    assert [r[-1] for r in rows(server, "server-cert")] == ["earlier", "earlier", "served"]
    assert not fleet.traffic.failures(), "\n".join(fleet.traffic.failures()[:20])
    events = server.cli("audit", "show").stdout
    for event in ("secret.rolled_back", "secret.pinned", "secret.unpinned"):
        assert event in events


def test_refusals(fleet):
    server = fleet.leafcast
    assert "hex digits" in server.cli("rollback", "server-cert", "zz", code=1).stderr
    assert "follows its authorities" in server.cli("rollback", "mesh-roots", code=1).stderr
    for verb in ("versions", "rollback", "pin", "unpin"):
        assert "there is no secret" in server.cli(verb, "nobody", code=1).stderr


def test_rotate_many(fleet):
    """All of an authority, at once and spread: every certificate is another one, and the order ends."""
    server = fleet.leafcast

    def leaves():
        return {s["entry"]: s["serial"] for s in server.status()["secrets"] if s.get("serial")}
    before = leaves()
    server.cli("rotate", "--authority", "mesh", "--over", "2s")
    wait.until(lambda: not server.status()["campaigns"], 20, "the end of the order")
    after = leaves()
    assert before.keys() == after.keys() and all(before[k] != after[k] for k in before)
    assert not fleet.traffic.failures(), "\n".join(fleet.traffic.failures()[:20])
    assert "campaign.finished" in server.cli("audit", "show").stdout
    for wrong in (["--all", "x"], [], ["--authority", "nobody"], ["--all", "--over", "soon"]):
        server.cli("rotate", *wrong, code=1)


def test_revoke(fleet):
    """The embedded authority keeps no list of what it revoked: it is said, and the old key is gone all the same."""
    server = fleet.leafcast
    server.cli("rotate", "server-cert")
    listed = rows(server, "server-cert")
    told = server.cli("revoke", "server-cert", "--reason", "key-compromise").stdout
    assert "cannot revoke" in told
    old = listed[-1][1]
    assert old not in server.cli("versions", "server-cert").stdout
    assert "secret.revoked" in server.cli("audit", "show").stdout
    assert "no reason" in server.cli("revoke", "server-cert", "--reason", "x", code=1).stderr
    assert "is a bundle" in server.cli("revoke", "mesh-roots", code=1).stderr
    assert not fleet.traffic.failures(), "\n".join(fleet.traffic.failures()[:20])
