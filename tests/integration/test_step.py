"""Leaves from a real step-ca: provisioners, rekey, rotation of its root, refusals, outages."""
import os

import pytest
from cryptography import x509
from harness import stepca, wait
from harness.leafcast import Leafcast
from harness.stepca import JWK_ID, JWK_NAME, X5C_NAME, StepCA


@pytest.fixture
def ca(folder):
    return folder.ending(StepCA(folder / "ca")).start()


def authority(ca, **options):
    made = {"type": "step", "address": ca.address, "root_file": str(ca.root_file), "provisioner": JWK_NAME,
            "key_file": str(ca.jwk_file()), "poll": "1s", **options}
    return {key: value for key, value in made.items() if value is not None}


def x5c(ca, **options):
    certificate, key = ca.machine_files()
    return authority(ca, provisioner=X5C_NAME, certificate_file=str(certificate), key_file=str(key), **options)


def leafcast(folder, authority_, lifetime="1h", **secret):
    server = Leafcast(folder / "leafcast")
    server.write_config({
        "log": {"level": "debug", "format": "json"}, "listen": [{"unix": {"path": server.socket}}],
        "authorities": {"corp": authority_},
        "profiles": {"workload": {"authority": "corp", "lifetime": lifetime}},
        "secrets": {"web": {"profile": "workload", "dns": ["web.example"], "uri": ["spiffe://td.example/web"],
                            **secret},
                    "roots": {"bundle": ["corp"]}},
        "policy": [{"who": {"uid": os.geteuid()}, "may": ["**"]}]})
    return folder.ending(server)


def leaf(server, folder):
    return x509.load_pem_x509_certificate(open(server.get("web", folder.path, "cert", "key")["cert"], "rb").read())


def error(server):
    return next((s for s in server.status()["secrets"] if s["name"] == "web"), {}).get("last_error") or ""


@pytest.mark.parametrize("kind", ["jwk", "fingerprint", "pem", "encrypted-pem", "encrypted-jwk", "x5c"])
def test_a_leaf_by_each_provisioner(folder, kind):
    key = stepca.made_by_step() if kind == "encrypted-jwk" else None
    ca = folder.ending(StepCA(folder / "ca", key)).start()
    password = folder / "password"
    options = {"jwk": lambda: authority(ca),
               "fingerprint": lambda: authority(ca, root_file=None, root_sha256=ca.root_sha256),
               "pem": lambda: authority(ca, key_file=str(ca.pem_file()), key_id=JWK_ID),
               "encrypted-pem": lambda: authority(ca, key_file=str(ca.pem_file(stepca.PASSWORD)), key_id=JWK_ID,
                                                  key_password_file=str(password)),
               "encrypted-jwk": lambda: authority(ca, key_file=str(ca.jwe_file()), key_id=JWK_ID,
                                                  key_password_file=str(password)),
               "x5c": lambda: x5c(ca)}[kind]
    password.write_bytes(stepca.PASSWORD + b"\n")
    password.chmod(0o600)
    server = leafcast(folder, options()).start()
    got = leaf(server, folder)
    names = got.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["web.example"]
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://td.example/web"]
    assert got.issuer.rfc4514_string() == "CN=Issuing 1"
    server.cli("rotate", "web")
    again = leaf(server, folder)
    assert again.serial_number != got.serial_number and again.public_key() != got.public_key()


@pytest.mark.parametrize("options, words", [
    ({"provisioner": "nobody"}, "401"), ({"key_id": "nobody"}, "401"),
])
def test_what_it_refuses_is_explained(folder, ca, options, words):
    server = leafcast(folder, authority(ca, **options))
    server.spawn()
    wait.until(lambda: words in error(server) if os.path.exists(server.admin) else False, 15,
               lambda: server.process.tail())
    assert "provisioner's name" in error(server)


def test_a_lifetime_beyond_its_limits(folder, ca):
    server = leafcast(folder, authority(ca), lifetime="50h")
    server.spawn()
    wait.until(lambda: "maxTLSCertDuration" in error(server) if os.path.exists(server.admin) else False, 15,
               lambda: server.process.tail())


def test_a_stranger_with_the_address(folder, ca):
    server = leafcast(folder, authority(ca, root_file=None, root_sha256="0" * 64))
    server.spawn()
    server.wait_log('"authority.not_ready"')
    assert not ca.process.lines.items() or all("/1.0/sign" not in line for line in ca.process.lines.items())
