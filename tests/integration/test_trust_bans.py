"""A root that a real authority goes on showing is taken out by command: proxies trust it no more, over restarts, until
the ban is lifted."""
import json
import os

import pytest
from harness import node, wait
from harness.authorities import KITS
from harness.sds_client import SdsClient
from test_drivers import PATIENCE_S, Rig

pytestmark = pytest.mark.timeout(300)


def hex_of(fingerprint):
    return fingerprint.hex()


@pytest.fixture(params=["openbao", "step"])
def rig(folder, request):
    kit = KITS[request.param](folder)
    folder.ending(kit)
    kit.poll = "1s"
    return Rig(folder, kit.start()).start()


def trust(rig, *args, code=0):
    result = rig.server.cli("trust", *args, code=code)
    return result.stdout if code == 0 else result.stderr


def anchors(rig):
    return [line.split()[1] for line in trust(rig, "status", "corp").split("\n\n")[0].splitlines()[1:]]


def events(rig, name):
    return [e for line in rig.server.cli("audit", "export").stdout.splitlines()
            for e in [json.loads(line)] if e.get("event") == name]


def add_root(rig):
    (old,) = rig.roots()
    rig.kit.add_root()
    wait.until(lambda: len(rig.roots()) == 2, PATIENCE_S, "both roots")
    return hex_of(old)


def test_a_root_that_is_still_shown(rig):
    only = hex_of(*rig.roots())
    assert "only anchor" in trust(rig, "remove", "corp", only, "--force", "--yes", code=1)
    old = add_root(rig)
    plan = trust(rig, "remove", "corp", old, "--dry-run")
    assert "though the authority still shows it" in plan and "certificates will FAIL" in plan
    assert "must sign under another root" in plan
    assert "still shows it" in trust(rig, "remove", "corp", old, code=1)
    assert "not confirmed" in trust(rig, "remove", "corp", old, "--force", code=1)
    assert len(rig.roots()) == 2

    with SdsClient("unix:" + rig.server.socket) as client:
        stream = client.delta(node=node.node("edge"))
        stream.request(["roots"])
        stream.ack(stream.receive())
        assert "1 anchors left" in trust(rig, "remove", "corp", old[:16], "--force", "--yes")
        (left,) = stream.receive().resources           # at the proxy: pushed, without asking
        assert left.SerializeToString().count(b"BEGIN CERTIFICATE") == 1
    wait.until(lambda: len(rig.roots()) == 1, PATIENCE_S, "one root")
    assert old not in map(hex_of, rig.roots())
    assert "still shown by the authority" in trust(rig, "status", "corp") and old in trust(rig, "status", "corp")
    (record,) = events(rig, "trust.anchor_banned")
    assert old in json.dumps(record) and "uid %d" % os.geteuid() in json.dumps(record)

    well, words = rig.rotate()                          # it signs under the banned one
    assert not well and "removed by order" in words and "trust restore corp " + old in words
    rig.server.kill()
    rig.server.start()
    wait.until(lambda: "still shown by the authority" in trust(rig, "status", "corp"), PATIENCE_S, "its answer")
    assert anchors(rig) != [] and old not in map(hex_of, rig.roots()) and len(rig.roots()) == 1

    rig.kit.sign_by_new_root()
    rig.rotate_in_the_end()
    assert old not in map(hex_of, rig.roots())
    assert "taken again" in trust(rig, "restore", "corp", old)
    wait.until(lambda: old in map(hex_of, rig.roots()), PATIENCE_S, "it back")
    assert len(rig.roots()) == 2 and "banned" not in trust(rig, "status", "corp") and events(rig, "trust.ban_lifted")
    rig.server.cli("audit", "verify")


def test_a_compromise_of_an_authority_that_makes_its_roots(rig):
    assert "beside the old one" in rig.server.cli("compromise", "--authority", "corp", "--yes", code=1).stderr
    old = add_root(rig)
    before = rig.leaf()
    rig.kit.sign_by_new_root()
    (new,) = {hex_of(r) for r in rig.roots()} - {old}
    plan = rig.server.cli("compromise", "--authority", "corp", "--dry-run").stdout
    assert "stays: " + new in plan and "anchor %s (" % old in plan
    rig.server.cli("compromise", "--authority", "corp", "--yes")
    wait.until(lambda: old in [e for e in trust(rig, "status", "corp").split()] and len(rig.roots()) == 1, 2 * PATIENCE_S,
               lambda: "the end:\n" + trust(rig, "status", "corp"))
    assert {hex_of(r) for r in rig.roots()} == {new}
    assert rig.leaf().serial_number != before.serial_number
    status = trust(rig, "status", "corp")
    assert "compromised" not in status and "still shown by the authority" in status
    assert events(rig, "trust.compromise_ordered") and events(rig, "trust.anchor_banned")
    rig.rotate_in_the_end()
    rig.server.kill()
    rig.server.start()
    assert {hex_of(r) for r in rig.roots()} == {new}
    rig.server.cli("audit", "verify")
