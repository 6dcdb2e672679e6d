"""A disk that is full, cannot be written, or is damaged, from the outside: a real file system, real Envoys."""
import errno
import os
import socket
import subprocess
import threading

import pytest
from harness import leafcast, paths, pki, wait
from harness.fleet import Fleet
from harness.sds_client import SdsClient, secrets_of
from harness.target import config

NAMES = ["envoy-node", "mesh-roots"]
CAP_SYS_ADMIN, CAP_LINUX_IMMUTABLE = 21, 9


def may(capability):
    with open("/proc/self/status") as f:
        return int(next(x for x in f if x.startswith("CapEff:")).split()[1], 16) >> capability & 1


def run(capability, *argv):
    """A tool of the superuser's: where the machine forbids it, there is nothing to be tested; all else is a failure."""
    if not may(capability):
        pytest.skip("%s is not allowed here" % argv[0])
    result = subprocess.run([paths.tool(argv[0]), *map(str, argv[1:])], capture_output=True, text=True)
    if result.returncode:
        paths.missing("%s (%s)" % (" ".join(map(str, argv)), result.stderr.strip()))


class Disk:
    """A file system of a few MiB at path."""

    def __init__(self, path, mib):
        self.path = path
        path.mkdir(parents=True)
        run(CAP_SYS_ADMIN, "mount", "-t", "tmpfs", "-o", "size=%dm,mode=0700" % mib, "tmpfs", path)

    def end(self):
        subprocess.run(["umount", "-l", self.path], check=True)

    def fill(self):
        """To the last byte."""
        with open(self.path / "filler", "ab", buffering=0) as f:
            try:
                while True:
                    f.write(b"x" * 4096)
            except OSError as e:
                assert e.errno == errno.ENOSPC

    def empty(self):
        (self.path / "filler").unlink()


@pytest.fixture
def disk(folder):
    return folder.ending(Disk(folder / "leafcast" / "state", 8))


def start(folder, **more):
    made = leafcast.Leafcast(folder / "leafcast")
    made.write_config({**config(1, os.geteuid(), listen=[{"unix": {"path": made.socket}}]), **more})
    return folder.ending(made).start()


def held(server, names=NAMES):
    with SdsClient("unix:" + server.socket) as client:
        return {n: (a.version_info, secrets_of(a)[n].SerializeToString()) for n in names for a in [client.fetch([n])]}


def pem(folder):
    leaf = pki.make("other", pki.authority(), dns=["other.example"])
    chain, key = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(leaf.chain_pem())
    key.write_bytes(leaf.key_pem())
    return ["--cert", chain, "--key", key]


def healthz(server):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        s.connect(server.admin)
        s.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: s.recv(4096), b"")).decode()
    assert answer.startswith("HTTP/1.1 200 "), answer
    return answer.partition("\r\n\r\n")[2]


def until_in_memory(server, make_sure):
    """Renewals until one could not be stored."""
    def once():
        make_sure()
        server.cli("rotate", "envoy-node")
        return healthz(server).startswith("ok; versions served from memory alone")
    wait.until(once, 60, lambda: "a version in memory alone:\n" + server.process.tail())


def until_refused(server, disk, *order):
    """What it says. The log gives back a few blocks at times: one order may find room yet."""
    def once():
        disk.fill()
        result = server.cli(*order, code=None)
        return result.returncode and result.stderr
    return wait.until(once, 60, lambda: "%s to be refused:\n%s" % (order[0], server.process.tail()))


def until_caught_up(server, mark):
    wait.until(lambda: server.status()["memory_only"] == 0, 60, lambda: "what is in memory stored:\n" + server.process.tail())
    server.wait_log("store.caught_up", start=mark)


# --- a full disk -----------------------------------------------------------------------------------------------------
def test_a_full_disk(folder, disk):
    """Renewals go on in memory and say so, new grants stop; with room again everything is stored, and there after a kill."""
    server = start(folder)
    mark, root = server.mark(), held(server)["mesh-roots"]
    until_in_memory(server, disk.fill)
    assert "disk is full" in server.wait_log("store.unwritable", start=mark)
    for order in (["put", "other", *pem(folder)], ["reload"]):
        assert "disk is full" in until_refused(server, disk, *order)
    newest = held(server)
    assert newest["mesh-roots"] == root
    disk.empty()
    until_caught_up(server, mark)
    wait.until(lambda: healthz(server) == "ok\n", 60, lambda: healthz(server))
    server.cli("put", "other", *pem(folder))
    assert server.cli("audit", "verify").returncode == 0
    server.kill()
    server.start()
    assert held(server) == newest
    assert not [e for e in server.events() if e.get("event") == "store.record_damaged"]


def test_a_first_start_on_a_full_disk(folder, disk):
    disk.fill()
    server = leafcast.Leafcast(folder / "leafcast")
    server.write_config(config(1, os.geteuid(), listen=[{"unix": {"path": server.socket}}]))
    folder.ending(server).spawn()
    assert server.process.wait(30) != 0
    server.close_notify()
    assert "No space left on device" in server.process.tail() or "disk is full" in server.process.tail()
    disk.empty()
    server.start()
    assert held(server)


@pytest.mark.first
@pytest.mark.timeout(280)
def test_envoys_outlive_a_full_disk(folder, disk):
    """Full for longer than a leaf lives, then killed with the disk free again: no request fails."""
    fleet = Fleet(folder, "12s")
    fleet.start_pairs(["delta"], ["unix"])
    server, stop = fleet.leafcast, threading.Event()
    mark = server.mark()

    def fill():
        while not stop.wait(0.02):
            disk.fill()
    filler = threading.Thread(target=fill)
    filler.start()
    try:
        wait.until(lambda: server.status()["memory_only"] > 0, 60, lambda: server.process.tail())
        fleet.wait_rotations(min(p.rotations() for p in fleet.pairs) + 3, 120)  # none comes before half of a life
        wait.until(lambda: server.status()["memory_only"] > 0, 60, lambda: server.process.tail())
    finally:
        stop.set()
        filler.join()
    disk.empty()
    until_caught_up(server, mark)
    server.kill()
    server.start()
    fleet.wait_connected()
    fleet.wait_rotations(min(p.rotations() for p in fleet.pairs) + 1, 60)
    fleet.traffic.stop()
    assert not fleet.traffic.failures(), "\n".join(fleet.traffic.failures()[:20])


# --- what cannot be written ------------------------------------------------------------------------------------------
def set_immutable(server, on):
    for name in ("leafcast.db", "leafcast.db-wal"):
        run(CAP_LINUX_IMMUTABLE, "chattr", "+i" if on else "-i", server.state / name)


def test_files_that_cannot_be_written(folder):
    """Every write fails with an error of the file system (chattr +i), and then none does: as with a full disk."""
    server = start(folder)
    mark = server.mark()
    set_immutable(server, True)
    try:
        until_in_memory(server, lambda: None)
        assert server.cli("put", "other", *pem(folder), code=1).stderr
        newest = held(server)
    finally:
        set_immutable(server, False)
    until_caught_up(server, mark)
    server.kill()
    server.start()
    assert held(server) == newest


def test_a_read_only_mount(folder, disk):
    """Nothing is begun on one, and nothing lost by it."""
    server = start(folder)
    before = held(server)
    server.stop()
    files = {n: (server.state / n).read_bytes() for n in os.listdir(server.state)}
    run(CAP_SYS_ADMIN, "mount", "-o", "remount,ro", disk.path)
    server.spawn()
    assert server.process.wait(30) != 0
    server.close_notify()
    assert "Read-only file system" in server.process.tail(), server.process.tail()
    assert files == {n: (server.state / n).read_bytes() for n in os.listdir(server.state)}
    run(CAP_SYS_ADMIN, "mount", "-o", "remount,rw", disk.path)
    server.start()
    assert held(server) == before


# --- files that go, or are damaged -----------------------------------------------------------------------------------
def test_a_log_that_is_deleted(folder):
    """What is committed after that would be gone with the process: nothing is; what is held can be copied."""
    server = start(folder)
    (server.state / "leafcast.db-wal").unlink()
    server.cli("rotate", "envoy-node")
    assert server.status()["memory_only"] == 1
    refused = server.cli("put", "other", *pem(folder), code=1)
    assert "leafcast.db-wal was removed or replaced while it is in use" in refused.stderr
    server.cli("backup", folder / "copy.db")


def test_a_seal_key_that_is_deleted(folder):
    """The server goes on; a start is refused until it is put back, and makes no other one."""
    server = start(folder)
    key = server.state / "seal.key"
    content = key.read_bytes()
    key.unlink()
    server.cli("rotate", "envoy-node")
    newest = held(server)
    server.kill()
    server.spawn()
    assert server.process.wait(30) != 0
    server.close_notify()
    assert "its seal key is not there; put it back" in server.process.tail()
    assert not key.exists()
    key.write_bytes(content)
    key.chmod(0o600)
    server.start()
    assert held(server) == newest


@pytest.mark.parametrize("harm", [
    lambda log: log[:-1000],                                             # the last frame is torn
    lambda log: log[:-3000] + bytes(b ^ 0xFF for b in log[-3000:-2900]) + log[-2900:],
    lambda log: log[:32 + 24] + os.urandom(len(log) - 56),               # from the first page on
    lambda log: b"",
], ids=["torn", "flipped", "garbage", "empty"])
def test_a_damaged_log(folder, harm):
    """A whole state comes back, of an earlier moment: the root that it had, and of each leaf a version that was served
    once, or, from a moment before the first, a new one."""
    server = start(folder)
    seen = {n: {v} for n, v in held(server).items()}
    for _ in range(3):
        server.cli("rotate", "envoy-node")
        for name, version in held(server).items():
            seen[name].add(version)
    server.kill()
    log = server.state / "leafcast.db-wal"
    log.write_bytes(harm(log.read_bytes()))
    server.spawn()
    # What was committed first may be in the log alone: then there is no complete state, and no new root for it.
    ended = wait.until(lambda: server.process.returncode is not None or
                       any("leafcast.ready" in x for x in server.process.lines.items()) and "ready", 30, "a start")
    if ended == "ready":
        now = held(server)
        assert now["mesh-roots"] in seen["mesh-roots"]
        anew = [e["version"] for e in server.events() if e.get("event") == "secret.published"]
        assert now["envoy-node"] in seen["envoy-node"] or now["envoy-node"][0] in anew
        assert not [e for e in server.events() if e.get("event") == "store.record_damaged"]
    else:
        server.close_notify()
        assert "was set aside, unchanged" in server.process.tail(), server.process.tail()
        aside = [n for n in os.listdir(server.state) if n.startswith("leafcast.db.damaged-")]
        assert aside, os.listdir(server.state)
