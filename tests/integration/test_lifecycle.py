"""Start, stop, reload, restart, and what must never happen in between."""
import os
import re
import signal
import socket

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from harness import leafcast, paths, pki, ports, wait
from harness.sds_client import SdsClient, secrets_of
from harness.target import config

NAMES = ["default", "ROOTCA"]


@pytest.fixture
def server(folder):
    """No config at all."""
    return folder.ending(leafcast.Leafcast(folder / "leafcast"))


@pytest.fixture
def configured(folder):
    made = leafcast.Leafcast(folder / "leafcast")
    made.write_config(plain(made))
    return folder.ending(made)


def plain(server, **changes):
    return {**config(1, os.geteuid(), listen=[{"unix": {"path": server.socket}}]), **changes}


def fetch(server, names=NAMES):
    """name -> (version, Secret)."""
    with SdsClient("unix:" + server.socket) as client:
        return {n: (a.version_info, secrets_of(a)[n]) for n in names for a in [client.fetch([n])]}


def refused(server, *texts, timeout_s=15):
    """It does not start; says why on stderr. The exit code."""
    server.spawn()
    code = server.process.wait(timeout_s)
    server.close_notify()
    assert code > 0, server.process.tail()
    for text in texts:
        assert text in server.process.tail(), server.process.tail()
    return code


# --- starting --------------------------------------------------------------------------------------------------------
def test_without_a_config(server):
    server.start()
    got = fetch(server)
    assert got["default"][1].tls_certificate.private_key.inline_bytes
    assert got["ROOTCA"][1].validation_context.trusted_ca.inline_bytes
    assert os.stat(server.socket).st_mode & 0o777 == 0o600 or os.stat(server.socket).st_mode & 0o007 == 0
    assert os.stat(server.admin).st_mode & 0o777 == 0o600
    assert os.stat(server.state).st_mode & 0o777 == 0o700
    assert all(os.stat(server.state / f).st_mode & 0o077 == 0 for f in os.listdir(server.state))


def test_start_says_whether_the_ca_was_created(server):
    server.start()
    created = next(e for e in server.events() if "created" in e["event"])
    server.stop()
    server.start()
    loaded = server.wait_log(lambda line: '"authority.' in line and "loaded" in line)   # it is served before that
    fingerprint = re.search(r"[0-9a-f]{64}", str(created)).group(0)
    assert fingerprint in str(loaded)
    assert server.status()["authorities"][0]["root_sha256"] == fingerprint


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_restart_keeps_versions(server, end):
    server.start()
    before = fetch(server)
    getattr(server, end)()
    server.start()
    assert fetch(server) == before


def test_put_secrets_outlive_a_crash(configured, folder):
    cert, key = pki.make("leaf", pki.authority(), dns=["a.example"]).write(folder.path, "put")
    configured.start()
    configured.cli("put", "mine", "--cert", cert, "--key", key)
    before = fetch(configured, ["mine"])
    configured.kill()
    configured.start()
    assert fetch(configured, ["mine"]) == before


def test_state_with_seal_key_but_no_database_is_refused(server):
    server.start()
    server.stop()
    databases = [f for f in os.listdir(server.state) if f.startswith("leafcast.db")]
    assert databases and "seal.key" in os.listdir(server.state)
    key = (server.state / "seal.key").read_bytes()
    for f in databases:
        os.unlink(server.state / f)
    refused(server, "refused, because a first start would make a new root")
    assert sorted(os.listdir(server.state)) == ["lock", "seal.key"] and (server.state / "seal.key").read_bytes() == key
    os.unlink(server.state / "lock")                                # also where only the key is left
    refused(server, "seal key")
    assert not [f for f in os.listdir(server.state) if f.startswith("leafcast.db")]


def test_another_seal_key_is_refused(server):
    server.start()
    server.stop()
    key = (server.state / "seal.key")
    was = key.read_bytes()
    key.write_bytes(bytes(b ^ 1 if chr(b) in "0246" else b for b in was) if was.isascii() else os.urandom(len(was)))
    refused(server, "seal")
    key.write_bytes(was)
    server.start()


def test_corrupt_database_is_never_overwritten(server):
    server.start()
    server.stop()
    database = next(server.state / f for f in os.listdir(server.state) if f.endswith((".db", ".sqlite", ".sqlite3")))
    content = os.urandom(8192)
    database.write_bytes(content)
    refused(server)
    kept = [p for p in server.state.iterdir() if p.is_file() and p.read_bytes() == content]
    assert kept


def test_folder_that_others_can_write_is_refused(server):
    server.run.chmod(0o777)
    refused(server, str(server.run))
    server.run.chmod(0o755)


def test_sticky_parent_is_fine(folder):
    sticky = folder / "sticky"
    sticky.mkdir()
    sticky.chmod(0o1777)
    folder.ending(leafcast.Leafcast(sticky / "leafcast")).start()


# --- one server a socket ---------------------------------------------------------------------------------------------
def test_second_server_does_not_steal_the_socket(server, folder):
    """It shares the runtime folder, with a state folder of its own."""
    server.start()
    before = fetch(server)
    second = folder.ending(leafcast.Leafcast(folder / "second", env={"RUNTIME_DIRECTORY": str(server.run)}))
    refused(second, "sock")
    assert fetch(server) == before
    server.stop()
    assert not os.path.exists(server.socket) or not accepts(server.socket)


def accepts(path):
    with socket.socket(socket.AF_UNIX) as s:
        return s.connect_ex(path) == 0


def test_second_server_does_not_share_the_state(server, folder):
    server.start()
    second = folder.ending(leafcast.Leafcast(folder / "second", env={"STATE_DIRECTORY": str(server.state)}))
    refused(second, str(server.state))
    assert fetch(server)


def test_second_server_does_not_share_the_port(folder):
    port = ports.free()
    servers = []
    for name in ("first", "second"):
        made = folder.ending(leafcast.Leafcast(folder / name))
        made.write_config(config(2, os.geteuid(), port, [{"unix": {"path": made.socket}}]))
        servers.append(made)
    servers[0].start()
    refused(servers[1], str(port))
    assert fetch(servers[0], ["mesh-roots"])


def test_stale_socket_is_replaced(server):
    server.start()
    server.kill()
    assert os.path.exists(server.socket)
    server.start()
    assert fetch(server)


# --- ending ----------------------------------------------------------------------------------------------------------
def test_sigterm_drains(configured):
    """Health turns, streams end with a retriable status within the grace, nobody new gets in, exit 0."""
    configured.write_config(plain(configured, drain={"grace": "2s"}))
    configured.start()
    with SdsClient("unix:" + configured.socket) as client:
        watch = health_pb2_grpc.HealthStub(client.channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        streams = [client.delta(ads=i % 2 == 1) for i in range(20)]
        for s in streams:
            s.request(["mesh-roots"])
            s.receive_secrets()
        configured.process.signal(signal.SIGTERM)
        configured.wait_notify("STOPPING=1")
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        for s in streams:
            assert s.status(10)[0] == grpc.StatusCode.UNAVAILABLE
    configured.assert_clean(configured.process.wait(10))
    assert not accepts(configured.socket)


def test_sigterm_without_callers_is_quick(configured):
    configured.write_config(plain(configured, drain={"grace": "60s"}))
    configured.start()
    configured.process.signal(signal.SIGTERM)
    configured.assert_clean(configured.process.wait(5))


def test_second_sigterm_exits_now(configured):
    configured.write_config(plain(configured, drain={"grace": "60s"}))
    configured.start()
    with SdsClient("unix:" + configured.socket) as client:
        stream = client.delta()
        stream.request(["mesh-roots"])
        stream.receive_secrets()
        configured.process.signal(signal.SIGTERM)
        configured.wait_notify("STOPPING=1")
        configured.process.signal(signal.SIGTERM)
        configured.process.wait(3)


def test_sigint_is_like_sigterm(server):
    server.start()
    server.process.signal(signal.SIGINT)
    server.assert_clean(server.process.wait(10))


def test_nothing_is_left_after_many_callers(configured):
    configured.start()
    fetch(configured, ["mesh-roots"])
    base = configured.descriptors()
    for _ in range(5):
        clients = [SdsClient("unix:" + configured.socket) for _ in range(20)]
        for c in clients:
            c.fetch(["mesh-roots"])
        for c in clients:
            c.close()
    wait.until(lambda: configured.descriptors() <= base + 1, 10,
               lambda: "descriptors back at %d, are %d" % (base, configured.descriptors()))


# --- reloading -------------------------------------------------------------------------------------------------------
def test_sighup_takes_a_new_config(configured):
    configured.start()
    assert "new-roots" not in str(configured.status())
    with SdsClient("unix:" + configured.socket) as client:
        stream = client.delta()
        stream.request(["new-roots"])
        absent = stream.receive()
        assert list(absent.removed_resources) == ["new-roots"]
        stream.ack(absent)
        changed = plain(configured)
        changed["secrets"]["new-roots"] = {"bundle": ["mesh"]}
        configured.write_config(changed)
        start = configured.mark()
        configured.reload()
        configured.wait_log("config.reloaded", start=start)
        _, secrets = stream.receive_secrets()
        assert set(secrets) == {"new-roots"}


BAD = {
    "unknown key": lambda c: {**c, "sekrets": {}},
    "dangling reference": lambda c: {**c, "secrets": {**c["secrets"], "x": {"profile": "nope"}}},
    "workers cannot change": lambda c: {**c, "workers": 3},
    "state cannot change": lambda c: {**c, "state": {"path": "/nonexistent/elsewhere"}},
    "no YAML": lambda c: "listen: [",
}


@pytest.mark.parametrize("change", BAD.values(), ids=BAD.keys())
def test_sighup_refuses_a_bad_config_whole(configured, change):
    configured.start()
    before = fetch(configured, ["mesh-roots"])
    good = plain(configured)
    good["secrets"]["would-be-new"] = {"bundle": ["mesh"]}
    configured.write_config(change(good))
    start = configured.mark()
    configured.reload()
    configured.wait_log(lambda line: "config" in line and ("refused" in line or "not_" in line), start=start)
    answer = configured.cli("reload", code=None)
    assert answer.returncode != 0 and answer.stderr
    assert fetch(configured, ["mesh-roots"]) == before
    assert "would-be-new" not in str(configured.status())


def test_policy_taken_away_by_reload(configured):
    """Open streams hear of nothing further; new ones get nothing."""
    configured.start()
    with SdsClient("unix:" + configured.socket) as client:
        stream = client.delta()
        stream.request(["mesh-roots"])
        stream.receive_secrets()
        configured.write_config(plain(configured, policy=[{"who": {"uid": os.geteuid()}, "may": ["nothing"]}]))
        configured.cli("reload")
        other = client.delta()
        other.request(["mesh-roots"])
        assert list(other.receive().removed_resources) == ["mesh-roots"]


# --- systemd ---------------------------------------------------------------------------------------------------------
def test_socket_activation(configured, folder):
    """systemd holds the socket: it is there before leafcast and is not ours to make or remove."""
    activate = paths.tool("systemd-socket-activate")
    path = str(folder / "activated.sock")
    env = [arg for k, v in configured.env().items() for arg in ("-E", "%s=%s" % (k, v))]
    configured.write_config(plain(configured, listen=[{"unix": {"path": path}}]))
    env += ["-E", "NOTIFY_SOCKET=%s" % (configured.folder / "notify.sock")]
    configured.spawn(prefix=[activate, "-l", path, *env])
    wait.until(lambda: os.path.exists(path), 10, "the socket")
    with SdsClient("unix:" + path) as client:
        assert secrets_of(client.fetch(["mesh-roots"]))
    configured.wait_notify("READY=1")
    assert os.path.exists(path)


def test_notify_tells_ready_and_stopping(server):
    server.spawn()
    server.wait_notify("READY=1")
    server.process.signal(signal.SIGTERM)
    server.wait_notify("STOPPING=1")
    server.assert_clean(server.process.wait(10))


def test_hostile_environment_is_cleared(server):
    server.extra_env = {"GRPC_TRACE": "all", "GRPC_VERBOSITY": "DEBUG", "SSLKEYLOGFILE": str(server.folder / "keys"),
                        "http_proxy": "http://127.0.0.1:1", "OPENSSL_CONF": "/nonexistent"}
    server.start()
    assert fetch(server)
    lines = "\n".join(server.process.lines.items())
    assert "PRIVATE KEY" not in lines and "chttp2" not in lines
    assert not (server.folder / "keys").exists()
