"""The TCP listener: who gets in, as whom, and its own certificate that is renewed in place."""
import os
import socket
import ssl

import grpc
import pytest
from cryptography import x509
from harness import leafcast, pki, ports, wait
from harness.sds_client import SdsClient, secrets_of
from harness.target import ENVOY_URI, config, tcp_credentials

LISTENER_LIFETIME = "15s"


@pytest.fixture(scope="module")
def server(module_folder):
    """Listener certificate of 15 s; a client with a name of its own besides ENVOY_URI."""
    made = leafcast.Leafcast(module_folder / "leafcast")
    made.port = ports.free()
    settings = config(2, os.geteuid(), made.port, [{"unix": {"path": made.socket}}])
    settings["profiles"]["brief"] = {"authority": "mesh", "lifetime": LISTENER_LIFETIME}
    next(x["tcp"] for x in settings["listen"] if "tcp" in x)["certificate"]["profile"] = "brief"
    settings["authorities"]["other"] = {"type": "builtin"}
    settings["profiles"]["foreign"] = {"authority": "other"}
    settings["secrets"]["stranger"] = {"profile": "workload", "uri": ["spiffe://example.org/stranger"]}
    settings["secrets"]["foreign-node"] = {"profile": "foreign", "uri": [ENVOY_URI]}
    settings["secrets"]["per-caller"] = {"profile": "workload", "uri": ["spiffe://example.org/of/{spiffe.path}"]}
    made.write_config(settings)
    module_folder.ending(made).start()
    made.credentials = tcp_credentials(made, made.folder)
    made.roots = (made.folder / "mesh-roots.bundle.pem").read_bytes()
    return made


def client(server, credentials):
    return SdsClient("127.0.0.1:%d" % server.port, credentials, [("grpc.ssl_target_name_override", "sds.example")])


def credentials_of(server, name, folder):
    files = server.get(name, folder, "cert", "key")
    return grpc.ssl_channel_credentials(server.roots, open(files["key"], "rb").read(), open(files["cert"], "rb").read())


def is_refused(server, credentials):
    """No call comes through."""
    with client(server, credentials) as c, pytest.raises(grpc.RpcError) as e:
        c.fetch(["mesh-roots"], timeout_s=5)
    return e.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAUTHENTICATED)


def test_client_with_a_leaf_of_the_authority(server):
    with client(server, server.credentials) as c:
        assert secrets_of(c.fetch(["mesh-roots"]))


def test_client_without_certificate(server):
    assert is_refused(server, grpc.ssl_channel_credentials(server.roots))


def test_client_of_another_authority_of_ours(server, folder):
    """`client_ca` names the authorities whose clients may connect; the same URI under another does not count."""
    assert is_refused(server, credentials_of(server, "foreign-node", folder.path))


def test_client_of_a_foreign_authority(server):
    leaf = pki.make("node", pki.authority(), uri=[ENVOY_URI])
    assert is_refused(server, grpc.ssl_channel_credentials(server.roots, leaf.key_pem(), leaf.chain_pem()))


def test_plaintext_client(server):
    assert is_refused(server, None)


def test_client_without_a_rule_gets_nothing(server, folder):
    with client(server, credentials_of(server, "stranger", folder.path)) as c:
        assert not secrets_of(c.fetch(["mesh-roots"]))
    denial = next(d for d in server.status()["denials"] if "stranger" in d["identity"])
    assert 'uri: "spiffe://example.org/stranger"' in denial["hint"] and "ca: mesh" in denial["hint"]


def test_template_takes_the_proven_uri(server):
    with client(server, server.credentials) as c:
        secret = secrets_of(c.fetch(["per-caller"]))["per-caller"]
    certificate = x509.load_pem_x509_certificate(secret.tls_certificate.certificate_chain.inline_bytes)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [ENVOY_URI.replace("example.org/", "example.org/of/")]


def test_template_without_the_attribute_is_unknown(server):
    """A unix caller has no URI."""
    with SdsClient("unix:" + server.socket) as c:
        assert not secrets_of(c.fetch(["per-caller"]))


def listener_leaf(server):
    """What the listener shows, verified as a client would."""
    context = ssl.create_default_context(cadata=server.roots.decode())
    context.load_cert_chain(server.folder / "node.cert.pem", server.folder / "node.key.pem")
    context.set_alpn_protocols(["h2"])
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
        with context.wrap_socket(raw, server_hostname="sds.example") as s:
            return x509.load_der_x509_certificate(s.getpeercert(True))


def test_listener_certificate_is_renewed_in_place(server):
    with client(server, server.credentials) as c:
        stream = c.delta()
        stream.request(["mesh-roots"])
        stream.receive_secrets()
        first = listener_leaf(server)
        second = wait.until(lambda: (leaf := listener_leaf(server)).serial_number != first.serial_number and leaf, 20,
                            "another certificate", poll_s=0.2)
        assert second.not_valid_after_utc > first.not_valid_after_utc
        assert second.public_key() != first.public_key()
        stream.request(["no-such-name"])
        assert list(stream.receive().removed_resources) == ["no-such-name"]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda v: v.name)
def test_tls_versions(server, version):
    context = ssl.create_default_context(cadata=server.roots.decode())
    context.load_cert_chain(server.folder / "node.cert.pem", server.folder / "node.key.pem")
    context.set_alpn_protocols(["h2"])
    context.minimum_version = context.maximum_version = version
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
        with context.wrap_socket(raw, server_hostname="sds.example") as s:
            assert s.selected_alpn_protocol() == "h2"
