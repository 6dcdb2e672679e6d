"""What a node NACKed is kept from it: seen by status, over a crash, until `leafcast retry`; and who else is not touched."""
import os

import pytest
import yaml
from harness import envoy, leafcast, pki, wait
from harness.node import node
from harness.sds_client import SdsClient
from harness.target import config

NAME = "envoy-node"
METHODS = ["sotw", "delta"]


@pytest.fixture
def server(folder):
    made = leafcast.Leafcast(folder / "leafcast")
    made.write_config(config(2, os.geteuid(), listen=[{"unix": {"path": made.socket}}]))
    return folder.ending(made).start()


def open_stream(client, method, node_id="n", held=None):
    stream = getattr(client, method)(node=node(node_id))
    if method == "delta":
        stream.request([NAME], initial={NAME: held} if held else {})
    else:
        stream.request([NAME], version=held or "")
    return stream


def version_of(answer):
    return answer.resources[0].version if hasattr(answer.resources[0], "version") else answer.version_info


def receive(stream):
    answer, _ = stream.receive_secrets()
    return answer, version_of(answer)


def quarantine(server, count):
    return wait.until(lambda: (lambda q: q if len(q) == count else None)(server.status()["quarantine"]), 10,
                      "%d in quarantine" % count) if count else server.status()["quarantine"]


def refuse_second(server, client, method):
    """v1 is held, v2 refused; the stream has been healed with v1."""
    stream = open_stream(client, method)
    answer, v1 = receive(stream)
    stream.ack(answer)
    server.cli("rotate", NAME)
    answer, v2 = receive(stream)
    stream.nack(answer, text="no: -----BEGIN PRIVATE KEY-----\nMIGH\n-----END PRIVATE KEY-----",
                **({"version": v1} if method == "sotw" else {}))
    again, version = receive(stream)
    assert version == v1 != v2
    stream.ack(again)
    return stream, v1, v2


@pytest.mark.parametrize("method", METHODS)
def test_kept_over_a_crash_until_retry(server, folder, method):
    leaf, key = pki.make("leaf", pki.authority(), dns=["a.example"]).write(folder.path, "put")
    with SdsClient("unix:" + server.socket) as client:
        _, v1, v2 = refuse_second(server, client, method)
        held = quarantine(server, 1)[0]
        assert (held["node"], held["name"], held["version"], held["held_version"]) == ("n", NAME, v2, v1)
        assert held["code"] == 13 and "no:" in held["message"] and "MIGH" not in held["message"]
        assert held["verdict"] == "undecided" and held["hastens_renewal"] is False
    assert "MIGH" not in "\n".join(server.process.lines.items())
    server.cli("put", "later", "--cert", leaf, "--key", key)            # commits come in order
    server.kill()
    server.start()
    assert quarantine(server, 1)[0]["held_version"] == v1
    with SdsClient("unix:" + server.socket) as client:
        stream = open_stream(client, method, held=v1)
        answer, version = receive(stream)
        assert version == v1                                            # what it holds, not what it refused
        stream.ack(answer)
        fresh = open_stream(client, method)                             # a new process holds nothing
        answer, version = receive(fresh)
        assert version == v2
        fresh.ack(answer)
        other = open_stream(client, method, node_id="m", held=v1)
        answer, version = receive(other)
        assert version == v2
        secret = wait.until(lambda: next((s for s in server.status()["secrets"] if s["name"] == NAME and
                                          s["last_ack_at"]), None), 10, "the ACKs")
        assert secret["acked"] == 0 and secret["held_back"] == 1        # what the node ACKs proves nothing
        other.ack(answer)
        wait.until(lambda: server.status()["quarantine"][0]["verdict"] == "node", 10, "the verdict")
        text = server.cli("status").stdout
        assert "HELD BACK FROM" in text and "leafcast retry" in text
        assert "no version of" in server.cli("retry", NAME, "stranger", code=1).stderr
        assert "1 node" in server.cli("retry", NAME, "n").stdout
        answer, version = receive(stream)
        assert version == v2
        assert quarantine(server, 0) == []
        server.cli("retry", NAME, code=1)


@pytest.mark.parametrize("method", METHODS)
def test_retry_reaches_the_stream_that_refused(server, method):
    with SdsClient("unix:" + server.socket) as client:
        stream, v1, v2 = refuse_second(server, client, method)
        quarantine(server, 1)
        server.cli("retry", NAME)
        answer, version = receive(stream)
        assert version == v2
        stream.nack(answer, **({"version": v1} if method == "sotw" else {}))
        answer, version = receive(stream)
        assert version == v1                                            # healed once more, and no loop
        stream.ack(answer)
        quarantine(server, 1)
        server.cli("rotate", NAME)
        answer, version = receive(stream)
        assert version not in (v1, v2)                                  # nothing came in between
        assert quarantine(server, 0) == []


def test_a_wrong_envoy_is_told_from_a_bad_version(server, folder):
    """A real Envoy that asks for the bundle where it needs a certificate refuses what another one takes."""
    def bootstrap(node_id, *names):
        made = yaml.safe_load(server.cli("envoy", *names).stdout)
        made["node"]["id"] = node_id
        for item in [made["admin"], *made["static_resources"]["listeners"]]:
            item["address"]["socket_address"]["port_value"] = 0
        return made
    good = folder.ending(envoy.Envoy(folder / "good", bootstrap("good", NAME, "mesh-roots"))).start()
    text = yaml.safe_dump(bootstrap("wrong", NAME)).replace("name: " + NAME, "name: mesh-roots")
    wrong = folder.ending(envoy.Envoy(folder / "wrong", text)).start()
    wrong.wait_stat("sds.mesh-roots.update_rejected", 1)
    held = quarantine(server, 1)[0]
    assert (held["name"], held["node"], held["held_version"]) == ("mesh-roots", "wrong", None)
    assert held["code"] == 13 and held["message"]
    wait.until(lambda: quarantine(server, 1)[0]["verdict"] == "node", 10, "the verdict")
    line = server.wait_log(lambda text: '"secret.nacked"' in text and '"wrong"' in text)
    assert '"mesh-roots"' in line and held["version"] in line and '"code":13' in line
    rejected = wrong.stat("sds.mesh-roots.update_rejected")
    before = wait.until(good.serials, 10, "a certificate")
    server.cli("rotate", NAME)                                          # the other one is served on
    wait.until(lambda: good.serials() not in ([], before), 10, "the rotation")
    assert good.rejected() == 0
    assert wrong.stat("sds.mesh-roots.update_rejected") == rejected     # no loop
    assert quarantine(server, 1)[0]["times"] == 1
