"""Leaves by a command: the example over `openssl ca`, up to a real Envoy; and what an operator sees when it fails."""
import datetime
import os
import subprocess
import time

import pytest
from harness import paths, wait
from harness.fleet import Fleet
from harness.leafcast import Leafcast

COMMAND = str(paths.EXAMPLES / "exec/exec-openssl-ca")


@pytest.fixture
def corp(folder):
    """The folder of a CA that the example made."""
    made = folder / "ca"
    subprocess.run([COMMAND, str(made), "init"], check=True, capture_output=True, timeout=30)
    return made


def authority(corp, **options):
    return {"type": "exec", "command": [COMMAND, str(corp)], "revoke": True, **options}


def leafcast(folder, authority_):
    server = Leafcast(folder / "leafcast")
    server.write_config({
        "log": {"level": "debug", "format": "json"}, "listen": [{"unix": {"path": server.socket}}],
        "authorities": {"corp": authority_},
        "profiles": {"workload": {"authority": "corp", "lifetime": "1h"}},
        "secrets": {"web": {"profile": "workload", "dns": ["web.example"], "uri": ["spiffe://td.example/web"]},
                    "roots": {"bundle": ["corp"]}},
        "policy": [{"who": {"uid": os.geteuid()}, "may": ["**"]}]})
    return folder.ending(server)


def test_the_log_says_why(folder, corp):
    """The command's own last words, without what is secret in them."""
    broken = folder / "broken"
    broken.write_text("#!/bin/sh\necho 'password=hunter2' >&2\necho 'the backend is down' >&2\nexit 1\n")
    broken.chmod(0o755)
    server = leafcast(folder, {"type": "exec", "command": [str(broken)]}).spawn()
    line = server.wait_log("authority.not_ready")
    assert "ended with 1" in line and "the backend is down" in line and "hunter2" not in line, line
    # It recovers by itself: the same path, a command that works.
    replacement = folder / "replacement"
    replacement.write_text("#!/bin/sh\nexec %s %s\n" % (COMMAND, corp))
    replacement.chmod(0o755)
    replacement.rename(broken)
    wait.until(lambda: server.cli("status", "--json", code=None).returncode == 0 and
               any(s["name"] == "web" and s.get("version") for s in server.status()["secrets"]), 20, "a leaf")
    server.stop()


def left_s(server):
    """How long the leaf of either side is good for at least."""
    ends = min(s["not_after"] for s in server.status()["secrets"] if s["name"] in ("server-cert", "client-cert"))
    return datetime.datetime.fromisoformat(ends).timestamp() - time.time()


@pytest.mark.first
@pytest.mark.timeout(280)
def test_envoys_outlive_an_outage_and_a_restart_in_it(folder, corp):
    """The authority is away for longer than the renewal window; leafcast is killed and started again meanwhile."""
    away, command = folder / "away", folder / "command"
    command.write_text("#!/bin/sh\ntest ! -e %s || exit 1\nexec %s %s\n" % (away, COMMAND, corp))
    command.chmod(0o755)
    # Of 60 s renewed after 6 to 12 s: a window of 6 s, and 48 s of life for an outage.
    fleet = Fleet(folder, "60s", authority={"type": "exec", "command": [str(command)], "trust_interval": "1s"},
                  renew={"from": "10%", "to": "20%"})
    fleet.start_pairs(["delta"], ["unix"])
    fleet.wait_rotations(1, 60)
    server = fleet.leafcast
    away.touch()
    mark = server.mark()
    for name in ("server-cert", "client-cert"):
        server.wait_log(lambda line: '"rotation.failed"' in line and name in line, 60, mark)
    wait.until(lambda: left_s(server) < 40, 60, "an outage longer than the window")
    server.kill()
    server.start()
    fleet.wait_connected()
    for name in ("server-cert", "client-cert"):
        server.wait_log(lambda line: '"rotation.failed"' in line and name in line, 60)
    away.unlink()
    fleet.wait_rotations(min(p.rotations() for p in fleet.pairs) + 1, 60)
    fleet.traffic.stop()
    assert not fleet.traffic.failures(), fleet.traffic.failures()[:5]
