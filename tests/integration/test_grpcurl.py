"""The real grpcurl on the unix socket: reflection, decoded secrets, health."""
import json
import os
import subprocess

import pytest
from harness import leafcast, paths
from harness.target import config

SERVICES = ["envoy.service.secret.v3.SecretDiscoveryService", "envoy.service.discovery.v3.AggregatedDiscoveryService",
            "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"]
SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
STREAM = SERVICES[0] + "/StreamSecrets"


@pytest.fixture(scope="module")
def server(module_folder):
    made = leafcast.Leafcast(module_folder / "leafcast")
    made.write_config(config(2, os.geteuid(), listen=[{"unix": {"path": made.socket}}]))
    return module_folder.ending(made).start()


def grpcurl(server, *args, data=None, code=0):
    options = ["-plaintext", "-unix", "-max-time", "20", *(["-d", json.dumps(data)] if data is not None else [])]
    result = subprocess.run([paths.tool("grpcurl"), *options, server.socket, *args], text=True, capture_output=True,
                            timeout=30)
    assert result.returncode == code, result.stdout + result.stderr
    return result.stdout


def test_list(server):
    assert set(SERVICES) <= set(grpcurl(server, "list").split())


@pytest.mark.parametrize("symbol", SERVICES + [
    "envoy.service.discovery.v3.DiscoveryRequest", "envoy.service.discovery.v3.DeltaDiscoveryResponse",
    "envoy.extensions.transport_sockets.tls.v3.Secret", "envoy.config.core.v3.Node",
    "envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig"])
def test_describe(server, symbol):
    assert symbol.rsplit(".", 1)[1] in grpcurl(server, "describe", symbol)


def test_stream_secrets_shows_decoded_secrets(server):
    """grpcurl closes right after its request: each name gets its first answer all the same."""
    request = {"node": {"id": "grpcurl"}, "resourceNames": ["mesh-roots", "envoy-node"], "typeUrl": SECRET}
    text = grpcurl(server, STREAM, data=request)
    assert '"name": "mesh-roots"' in text and '"name": "envoy-node"' in text
    assert '"trustedCa"' in text and '"certificateChain"' in text and '"@type": "%s"' % SECRET in text


def test_delta_and_ads_and_fetch(server):
    delta = {"node": {"id": "grpcurl"}, "resourceNamesSubscribe": ["mesh-roots", "no-such"], "typeUrl": SECRET}
    text = grpcurl(server, SERVICES[0] + "/DeltaSecrets", data=delta)
    assert '"trustedCa"' in text and '"no-such"' in text
    assert '"trustedCa"' in grpcurl(server, SERVICES[1] + "/DeltaAggregatedResources", data=delta)
    sotw = {"node": {"id": "grpcurl"}, "resourceNames": ["mesh-roots"], "typeUrl": SECRET}
    for method in (SERVICES[1] + "/StreamAggregatedResources", SERVICES[0] + "/FetchSecrets"):
        assert '"trustedCa"' in grpcurl(server, method, data=sotw)


def test_no_node(server):
    grpcurl(server, STREAM, data={"resourceNames": ["mesh-roots"]}, code=64 + 3)


def test_unknown_name_ends_in_silence(server):
    assert grpcurl(server, STREAM, data={"node": {"id": "grpcurl"}, "resourceNames": ["no-such"]}).strip() == ""


@pytest.mark.parametrize("service", ["", *SERVICES[:2]])
def test_health_check(server, service):
    assert '"SERVING"' in grpcurl(server, "grpc.health.v1.Health/Check", data={"service": service})


def test_health_of_an_unknown_service(server):
    grpcurl(server, "grpc.health.v1.Health/Check", data={"service": "nope"}, code=64 + 5)


def test_health_list(server):
    statuses = json.loads(grpcurl(server, "grpc.health.v1.Health/List", data={}))["statuses"]
    assert {"", *SERVICES[:2]} <= set(statuses)
    assert all(s["status"] == "SERVING" for s in statuses.values())


def test_spiffe_validator_is_known(server):
    """Reflection can decode what a validation context may hold later."""
    text = grpcurl(server, "describe", "envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig")
    assert "trust_domains" in text and "trust_bundles" in text
