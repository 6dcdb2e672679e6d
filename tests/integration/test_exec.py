"""Leaves by a command: the example over `openssl ca`, up to a real Envoy; and what an operator sees when it fails."""
import os
import subprocess

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


def test_two_envoys_rotate(folder, corp):
    fleet = Fleet(folder, "15s", authority=authority(corp, trust_interval="1s"))
    fleet.start_pairs(["delta"], ["unix"])
    fleet.wait_rotations(2, 40)
    fleet.traffic.stop()
    assert not fleet.traffic.failures(), fleet.traffic.failures()[:5]
