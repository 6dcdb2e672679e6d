"""A disk that is full when an operator orders something, and in the middle of it: nothing is half done, the command
says where it stands, and it goes on. The state folder is a small file system of its own."""
import os
import subprocess
import threading

import pytest
from harness import node, wait
from harness.leafcast import Leafcast
from harness.sds_client import SdsClient

pytestmark = pytest.mark.root
SIZE = 8 << 20


class SmallDisk:
    """A tmpfs of a few MiB. From fill() on another takes every page that becomes free, until free()."""

    def __init__(self, path):
        self.path, self.ballast = path, path / "ballast"
        self._filling = threading.Event()
        self._thread = None
        path.mkdir(mode=0o700)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%d,mode=0700" % SIZE, "leafcast-test", path], check=True)

    def _fill(self):
        with open(self.ballast, "ab", buffering=0) as f:
            for step in (65536, 4096, 1):
                try:
                    while True:
                        f.write(b"x" * step)
                except OSError:
                    continue

    def _keep_full(self):
        while not self._filling.wait(0.002):            # a pace: what it does is to be there
            self._fill()

    def fill(self):
        self._fill()
        self._filling.clear()
        self._thread = threading.Thread(target=self._keep_full, daemon=True)
        self._thread.start()

    def free(self):
        self._filling.set()
        self._thread.join()
        self.ballast.unlink()

    def end(self):
        if self._thread and self._thread.is_alive():
            self.free()
        subprocess.run(["umount", self.path], check=True)


@pytest.fixture
def disk(folder):
    (folder / "leafcast").mkdir()
    made = folder.ending(SmallDisk(folder / "leafcast" / "state"))
    server = Leafcast(folder / "leafcast")
    server.write_config({
        "log": {"level": "debug", "format": "json"}, "listen": [{"unix": {"path": server.socket}}],
        "authorities": {"mesh": {"type": "builtin"}},
        "profiles": {"workload": {"authority": "mesh", "lifetime": "1h"}},
        "secrets": {"web": {"profile": "workload", "dns": ["web.example"]},
                    "other": {"profile": "workload", "dns": ["other.example"]}, "roots": {"bundle": ["mesh"]}},
        "policy": [{"who": {"uid": os.geteuid()}, "may": ["**"]}]})
    folder.ending(server).start()
    made.server = server
    return made


@pytest.fixture
def pair(disk, folder):
    """--cert and --key of a pair that can be put."""
    files = disk.server.get("other", folder.path, "cert", "key")
    return ["--cert", files["cert"], "--key", files["key"]]


@pytest.fixture
def proxy(disk):
    """A stream that holds web and roots, and answers what follows when it is told to."""
    with SdsClient("unix:" + disk.server.socket) as client:
        stream = client.delta(node=node.node("slow-1"))
        stream.request(["web", "roots"])
        for _ in ("web", "roots"):
            stream.ack(stream.receive())
        yield stream


def served(server):
    """What is served by name: a change of anything shows."""
    return {s["entry"]: s["version"] for s in server.status()["secrets"] if s["version"]}


def versions(server, name):
    return [line.split()[1] for line in server.cli("versions", name).stdout.splitlines()[1:]]


def anchors(server):
    return [line.split()[1] for line in server.cli("trust", "status", "mesh").stdout.split("\n\n")[0].splitlines()[1:]]


def order(server):
    """What is under way for the roots of mesh."""
    text = server.cli("trust", "status", "mesh").stdout.split("\n\n")[0]
    return {line.split()[-1] for line in text.splitlines()[1:]}


def exhaust(disk):
    """Full to the last page of the log: not even the smallest order can be stored, alone or with others."""
    disk.fill()
    in_a_row = 0
    for verb in ("pin", "unpin") * 500:
        result = disk.server.cli(verb, "web", code=None)
        assert result.returncode == 0 or "full" in result.stderr, result.stderr
        in_a_row = in_a_row + 1 if result.returncode else 0
        if in_a_row == 6:
            return
    raise AssertionError("it can still be written")


def refused(server, *args, **kwargs):
    """It says why, and that it can be tried again."""
    text = server.cli(*args, code=1, **kwargs).stderr
    assert "full" in text, text
    return text


def state(server):
    return served(server), anchors(server), versions(server, "web"), server.status()["campaigns"], order(server)


def test_orders_are_refused_whole(disk, pair):
    server = disk.server
    server.cli("put", "brought", *pair)
    server.cli("rotate", "web")
    exhaust(disk)
    before = state(server)
    for refusal in (["put", "new", *pair], ["delete", "brought"], ["pin", "web"], ["unpin", "web"],
                    ["rotate", "--all", "--over", "0s"], ["rotate", "--authority", "mesh"],
                    ["revoke", "web", "--reason", "key-compromise"], ["trust", "rotate", "mesh", "--yes"],
                    ["trust", "pause", "mesh"], ["compromise", "--authority", "mesh", "--yes"],
                    ["compromise", "web", "--yes"]):
        refused(server, *refusal)
        assert state(server) == before, refusal
    disk.free()
    server.kill()
    server.start()
    assert state(server) == before
    for again in (["rotate", "--all", "--over", "0s"], ["revoke", "web"], ["pin", "other"], ["delete", "brought"],
                  ["put", "new", *pair]):
        server.cli(*again)
    server.cli("audit", "verify")


def test_what_replaces_a_certificate_is_served_from_memory(disk):
    """Expiry harms more than a missing row; it is said, and stored as soon as it can be."""
    server = disk.server
    server.cli("rotate", "web")
    first = versions(server, "web")[0]
    exhaust(disk)
    assert "served from memory" in server.cli("rotate", "other").stdout
    assert "served from memory" in server.cli("rollback", "web").stdout
    assert server.status()["memory_only"] == 2
    now = served(server)
    assert now["web"] == first
    disk.free()
    wait.until(lambda: not server.status()["memory_only"], 60, "everything stored")
    server.kill()
    server.start()
    assert served(server) == now
    server.cli("audit", "verify")


def test_full_in_the_middle_of_a_revocation(disk, proxy):
    server = disk.server
    old = served(server)["web"]
    told = {}
    ordered = threading.Thread(target=lambda: told.update(
        result=server.cli("revoke", "web", "--reason", "superseded", code=None, timeout_s=90)))
    ordered.start()
    pushed = proxy.receive()                            # the new one; the authority waits for this ACK
    exhaust(disk)
    proxy.ack(pushed)
    ordered.join()
    assert told["result"].returncode == 1
    assert "not destroyed yet" in told["result"].stderr and "tried again" in told["result"].stderr
    assert served(server)["web"] != old
    disk.free()
    wait.until(lambda: old not in versions(server, "web"), 60, "the end of the old key")
    wait.until(lambda: "secret.revoked" in server.cli("audit", "show").stdout, 60, "the record of it")
    server.kill()
    server.start()
    assert versions(server, "web") == [served(server)["web"]]


@pytest.mark.timeout(200)
@pytest.mark.parametrize("verb", [["compromise", "--authority", "mesh", "--yes"],
                                  ["trust", "rotate", "mesh", "--over", "0s", "--yes"]], ids=["compromise", "rotate"])
def test_full_in_the_middle_of_a_new_root(disk, proxy, verb):
    server = disk.server
    before = served(server)
    (old,) = anchors(server)
    server.cli(*verb)
    both = proxy.receive()                              # not ACKed yet: the certificates wait for it
    exhaust(disk)
    proxy.ack(both)
    proxy.ack(proxy.receive())                          # the certificate under the new root, from memory
    wait.until(lambda: all(before[n] != v for n, v in served(server).items()), 60, "new ones of all")
    disk.free()
    wait.until(lambda: order(server) == {"-"}, 100, "the end of the order")
    assert (old in anchors(server)) == (verb[0] == "trust")
    wait.until(lambda: not server.status()["memory_only"], 60, "everything stored")
    if verb[0] == "trust":
        server.cli("trust", "remove", "mesh")
    after = state(server)
    assert all(before[name] != after[0][name] for name in before) and old not in after[1]
    server.kill()
    server.start()
    assert state(server) == after
    server.cli("audit", "verify")
