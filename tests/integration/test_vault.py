"""Leaves from a real OpenBao (the API of HashiCorp Vault): logins, their end, rotation of roots, refusals, outages."""
import os

import pytest
from cryptography import x509
from harness import wait
from harness.fleet import Fleet
from harness.leafcast import Leafcast
from harness.openbao import OpenBao

LOGINS = ("token", "approle", "certificate", "jwt")


@pytest.fixture
def bao(folder):
    return folder.ending(OpenBao(folder / "bao")).start().with_pki()


def authority(bao, auth, **options):
    return {"type": "vault", "address": bao.address, "ca_file": str(bao.ca_file), "role": "mesh", "poll": "1s",
            "auth": auth, **options}


def config(server, authority_, lifetime="1h", secrets=None, **profile):
    return {"log": {"level": "debug", "format": "json"},
            "listen": [{"unix": {"path": server.socket}}],
            "authorities": {"corp": authority_},
            "profiles": {"workload": {"authority": "corp", "lifetime": lifetime, **profile}},
            "secrets": secrets or {"web": {"profile": "workload", "dns": ["web.example"],
                                           "uri": ["spiffe://td.example/web"]},
                                   "roots": {"bundle": ["corp"]}},
            "policy": [{"who": {"uid": os.geteuid()}, "may": ["**"]}]}


def leafcast(folder, authority_, **options):
    server = Leafcast(folder / "leafcast")
    server.write_config(config(server, authority_, **options))
    return folder.ending(server)


def secret(server, name="web"):
    return next((s for s in server.status()["secrets"] if s["name"] == name), {})


def version(server, name="web"):
    return secret(server, name).get("version")


def leaf(server, folder, name="web"):
    return x509.load_pem_x509_certificate(open(server.get(name, folder.path, "cert", "key")["cert"], "rb").read())


@pytest.mark.parametrize("login", LOGINS)
def test_a_leaf_by_each_login(folder, bao, login):
    server = leafcast(folder, authority(bao, getattr(bao, login + "_login")())).start()
    got = leaf(server, folder)
    names = got.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["web.example"]
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://td.example/web"]
    assert got.issuer.rfc4514_string() == "CN=Root 1"
    server.cli("rotate", "web")
    assert leaf(server, folder).serial_number != got.serial_number
