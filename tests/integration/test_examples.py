"""Everything in examples/ works as it stands: each bootstrap with traffic, each config through `leafcast check`."""
import subprocess

import pytest
from harness import examples, paths
from harness.fleet import Fleet

CONFIGS = sorted(p.name for p in (paths.EXAMPLES / "leafcast").glob("*.yaml"))


@pytest.mark.parametrize("transport", ["unix", "tcp"])
@pytest.mark.parametrize("flavour", examples.FLAVOURS)
def test_pair(folder, flavour, transport):
    fleet = Fleet(folder, "1h", tcp=transport == "tcp")
    fleet.start_pairs([flavour], [transport], period_s=0.05)
    pair = fleet.pairs[0]
    fleet.leafcast.cli("rotate", "server-cert")
    fleet.leafcast.cli("rotate", "client-cert")
    fleet.wait_rotations(1, 20)
    fleet.traffic.stop()
    assert not fleet.traffic.failures()
    client, server = (list(pair.stream.leafs[side].values()) for side in ("client", "server"))
    assert all(leaf.uris == ["spiffe://example.org/client"] for leaf in client)
    assert all(leaf.dns == ["server.example"] for leaf in server)


@pytest.mark.parametrize("name", CONFIGS)
def test_config_is_valid(name):
    result = subprocess.run([paths.leafcast(), "check", str(paths.EXAMPLES / "leafcast" / name)], text=True,
                            capture_output=True, timeout=20)
    assert result.returncode == 0, result.stdout + result.stderr
