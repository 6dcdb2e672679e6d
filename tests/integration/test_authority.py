"""Authorities as an operator sees them; a root that changes, and an authority that fails, under real Envoys."""
import json
import os
import signal

import pytest
from harness import leafcast, pki, wait
from harness.fleet import Fleet
from harness.openbao import OpenBao
from harness.target import config

LIFETIME_S = 20


@pytest.fixture(scope="module")
def server(module_folder):
    made = leafcast.Leafcast(module_folder / "leafcast")
    settings = config(1, os.geteuid(), listen=[{"unix": {"path": made.socket}}])
    settings["authorities"]["idle"] = {"type": "builtin"}
    made.write_config(settings)
    return module_folder.ending(made).start()


def test_list(server):
    listed = {a["name"]: a for a in json.loads(server.cli("authority", "list", "--json").stdout)["authorities"]}
    assert set(listed) == {"mesh", "idle"}
    mesh = listed["mesh"]
    assert mesh["ready"] and mesh["breaker"] == "closed" and mesh["last_failure"] is None and mesh["waiting_for"] == []
    root = next(s for s in server.status()["secrets"] if s["name"] == "mesh-roots")["anchors"]
    assert [a["sha256"] for a in mesh["anchors"]] == root
    text = server.cli("authority", "list").stdout
    assert "mesh" in text and "closed" in text and root[0] in text


def test_a_dry_issuance(server):
    before = {s["entry"]: s.get("version") for s in server.status()["secrets"]}
    made = json.loads(server.cli("authority", "test", "mesh", "--secret", "envoy-node", "--json").stdout)
    assert made["passed"] and made["entry"] == "envoy-node" and made["profile"] == "workload"
    assert all(made[step] >= 0 for step in ("wait_ms", "key_ms", "answer_ms", "check_ms"))
    assert len(made["certificate"]["sans"]) == 1 and made["certificate"]["sans"][0].endswith("spiffe://example.org/envoy")
    assert "PRIVATE" not in json.dumps(made)
    text = server.cli("authority", "test", "mesh").stdout
    assert "the authority's answer" in text and "sha256" in text
    assert {s["entry"]: s.get("version") for s in server.status()["secrets"]} == before


@pytest.mark.parametrize("args, why", [
    (["test", "nobody"], "no authority nobody"),
    (["test", "idle"], "nothing to ask it for"),
    (["test", "mesh", "--secret", "other"], "other"),
    (["test"], "try: leafcast authority"),
    (["list", "mesh"], "try: leafcast authority"),
])
def test_what_cannot_be_asked(server, args, why):
    assert why in server.cli("authority", *args, code=1).stderr


def given(folder, name):
    """A CA of the operator's own, as files that the config names."""
    made = pki.authority(name)
    (folder / "ca.pem").write_bytes(made.pem())
    (folder / "ca.key").write_bytes(made.key_pem())
    (folder / "ca.key").chmod(0o600)
    return made


def roots_of(fleet):
    listed = json.loads(fleet.leafcast.cli("authority", "list", "--json").stdout)["authorities"]
    return [a for a in listed if a["name"] == "mesh"][0]["anchors"]


def check(fleet):
    fleet.traffic.stop()
    assert not fleet.traffic.failures(), "\n".join(fleet.traffic.failures()[:20])
    for pair in fleet.pairs:
        assert all(count > 50 for count in pair.stream.requests.values()), (pair.name, pair.stream.requests)
    assert not [e for e in fleet.leafcast.events() if e.get("event") == "trust.passed_over"]


def issuers(fleet):
    """Who signed the newest leaf in use of each side."""
    return {max(leafs.values(), key=lambda leaf: leaf.first).issuer
            for pair in fleet.pairs for leafs in pair.stream.leafs.values()}


@pytest.mark.first
@pytest.mark.timeout(240)
def test_a_root_changes_under_traffic(folder):
    """The CA's files are exchanged while leafcast is down: both roots are in the bundle first, then leafs under the new
    one, and nobody fails a handshake."""
    (folder / "ca").mkdir()
    given(folder / "ca", "First")
    fleet = Fleet(folder, "%ds" % LIFETIME_S, authority={
        "type": "builtin", "certificate_file": str(folder / "ca" / "ca.pem"), "key_file": str(folder / "ca" / "ca.key")})
    fleet.start_pairs(["delta"], ["unix"])
    fleet.wait_rotations(1, 60)
    fleet.leafcast.kill()
    given(folder / "ca", "Second")
    fleet.leafcast.start()
    fleet.wait_connected()
    wait.until(lambda: len(roots_of(fleet)) == 2, 20, lambda: "two roots: %s" % roots_of(fleet))
    assert issuers(fleet) == {"CN=First"}
    wait.until(lambda: issuers(fleet) == {"CN=Second"}, 60, lambda: "leafs under the new root: %s" % issuers(fleet))
    fleet.wait_rotations(min(p.rotations() for p in fleet.pairs) + 1, 60)
    served = [s for s in fleet.leafcast.status()["secrets"] if s["name"] == "mesh-roots"][0]["anchors"]
    assert len(served) == 2
    check(fleet)


def breaker(fleet):
    listed = json.loads(fleet.leafcast.cli("authority", "list", "--json").stdout)["authorities"]
    return [a for a in listed if a["name"] == "mesh"][0]["breaker"]


@pytest.mark.first
@pytest.mark.timeout(300)
def test_an_authority_stands_still_under_traffic(folder):
    """The first of two authorities (a real OpenBao) hangs: leafs of the second take over before any ends, and every
    Envoy trusts them; when the first answers again, each secret returns to it at its own renewal."""
    bao = OpenBao(folder / "bao")
    folder.ending(bao).start().with_pki()
    fleet = Fleet(folder, "%ds" % LIFETIME_S, spare={"type": "builtin", "common_name": "Spare"}, authority={
        "type": "vault", "address": bao.address, "ca_file": str(bao.ca_file), "role": "mesh", "auth": bao.token_login()})
    fleet.start_pairs(["delta"], ["unix"])
    fleet.wait_rotations(1, 60)
    assert issuers(fleet) == {"CN=Root 1"}
    bao.signal(signal.SIGSTOP)
    try:
        wait.until(lambda: all("Spare" in i for i in issuers(fleet)), 60, lambda: "the spare: %s" % issuers(fleet))
        fleet.wait_rotations(min(p.rotations() for p in fleet.pairs) + 1, 60)
    finally:
        bao.signal(signal.SIGCONT)
    wait.until(lambda: issuers(fleet) == {"CN=Root 1"}, 120, lambda: "the first again: %s" % issuers(fleet))
    wait.until(lambda: breaker(fleet) == "closed", 10, "the breaker closed")
    events = [e["event"] for e in fleet.leafcast.events() if "event" in e]
    assert "secret.expired" not in events
    check(fleet)
