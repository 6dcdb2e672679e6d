"""What monitoring sees: /metrics by promtool, /healthz, /readyz, on the telemetry listener and the admin socket."""
import http.client
import os
import re
import socket
import subprocess

import pytest
from harness import leafcast, paths, ports, wait
from harness.leafcast import UnixConnection
from harness.sds_client import SdsClient
from harness.target import config


@pytest.fixture(scope="module")
def server(module_folder):
    made = leafcast.Leafcast(module_folder / "leafcast")
    made.telemetry = ports.free()
    made.write_config(config(2, os.geteuid(), listen=[{"unix": {"path": made.socket}},
                                                      {"telemetry": {"address": "127.0.0.1:%d" % made.telemetry}}]))
    return module_folder.ending(made).start()


def ask(connection, path, method="GET", headers=None):
    try:
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer.headers
    finally:
        connection.close()


@pytest.fixture(params=["telemetry", "admin"])
def connect(request, server):
    if request.param == "telemetry":
        return lambda: http.client.HTTPConnection("127.0.0.1", server.telemetry, timeout=10)
    return lambda: UnixConnection(server.admin)


def values(text):
    """(name, labels text) -> value."""
    found = {}
    for line in text.splitlines():
        match = re.fullmatch(r"([a-z_0-9]+)(\{.*\})? (\S+)", line)
        if match and not line.startswith("#"):
            found[match[1], match[2] or ""] = float(match[3])
    return found


def total(text, name, label=""):
    return sum(v for (n, labels), v in values(text).items() if n == name and label in labels)


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health(connect, path):
    assert ask(connect(), path)[0] == 200


def test_promtool_has_nothing_to_say(connect):
    status, text, headers = ask(connect(), "/metrics")
    assert status == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4")
    result = subprocess.run([paths.tool("promtool"), "check", "metrics"], input=text, text=True, capture_output=True,
                            timeout=30)
    assert result.returncode == 0 and not result.stderr + result.stdout, result.stderr + result.stdout


def test_openmetrics_when_asked_for(connect):
    _, text, headers = ask(connect(), "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert headers["Content-Type"].startswith("application/openmetrics-text") and text.endswith("# EOF\n")


def test_telemetry_is_read_only(server):
    def connect():
        return http.client.HTTPConnection("127.0.0.1", server.telemetry, timeout=10)
    for path in ("/v1/status", "/v1/get", "/v1/put", "/v1/rotate"):
        assert ask(connect(), path)[0] in (404, 405)
        assert ask(connect(), path, "POST")[0] in (404, 405)


def test_counts_follow_what_happens(server):
    def metrics():
        return ask(UnixConnection(server.admin), "/metrics")[1]
    before = metrics()
    with SdsClient("unix:" + server.socket) as client:
        stream = client.delta()
        stream.request(["mesh-roots"])
        answer, _ = stream.receive_secrets()
        stream.ack(answer)
        server.cli("rotate", "envoy-node")
        stream.request(["forbidden"])
        stream.receive()
        stream.request(subscribe=["mesh-roots"])
        stream.nack(stream.receive())

        def grown(name, by=1, label=""):
            return total(now, name, label) - total(before, name, label) >= by
        nacks = total(before, "leafcast_nacks_total")
        wait.until(lambda: total(metrics(), "leafcast_nacks_total") > nacks, 10, "a NACK")
        now = metrics()
        for name in ("leafcast_pushes_total", "leafcast_acks_total", "leafcast_nacks_total", "leafcast_issuances_total",
                     "leafcast_denials_total", "leafcast_push_to_ack_seconds_count"):
            assert grown(name), "%s: %s -> %s" % (name, total(before, name), total(now, name))
        assert total(now, "leafcast_streams") >= 1
        for name in ("leafcast_secret_not_after_timestamp_seconds", "leafcast_secret_renew_at_timestamp_seconds"):
            assert total(now, name, "envoy-node") > 1e9


def test_metrics_hold_no_secret(server):
    text = ask(UnixConnection(server.admin), "/metrics")[1]
    assert "BEGIN" not in text and "PRIVATE" not in text


def test_telemetry_takes_no_large_body(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.telemetry, timeout=10)
    connection.request("GET", "/metrics", body=b"x" * 100000)
    assert connection.getresponse().status == 429
    connection.close()
    assert ask(http.client.HTTPConnection("127.0.0.1", server.telemetry, timeout=10), "/healthz")[0] == 200
