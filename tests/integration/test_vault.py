"""Leaves from a real OpenBao (the API of HashiCorp Vault): logins, their end, rotation of roots, refusals, outages."""
import datetime
import json
import os
import pathlib
import re
import ssl
import urllib.request

import pytest
from cryptography import x509
from harness import pki, wait
from harness.leafcast import Leafcast
from harness.openbao import ROLE, OpenBao

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


def rotate(server, name="web", code=0):
    return server.cli("rotate", name, code=code, timeout_s=40)


def logged(server, event, start=0):
    return [e for e in server.events()[start:] if e.get("event") == event]


# --- logins --------------------------------------------------------------------------------------------------------------
def test_logins_end_and_are_made_anew(folder, bao):
    """The token lives for 2 s and at most 3: renewed, then another login, and again; a revoked one costs one try."""
    auth = bao.approle_login(token_ttl="2s", token_max_ttl="3s")
    server = leafcast(folder, authority(bao, auth)).start()
    server.wait_log("authority.login_renewed", 10)
    for _ in range(2):
        server.wait_log("authority.logged_in", 15, server.mark())
        rotate(server)
    bao.post("auth/approle/role/leafcast", token_policies="leafcast", token_ttl="1h", token_max_ttl="2h")
    server.wait_log(lambda line: "ends_at" in line and before_hours(line), 15)
    accessors = bao.ask("LIST", "auth/token/accessors")["data"]["keys"]
    ours = [a for a in accessors if "approle" in bao.post("auth/token/lookup-accessor", accessor=a)["data"]["path"]]
    for accessor in ours:
        bao.post("auth/token/revoke-accessor", accessor=accessor)
    mark = server.mark()
    rotate(server)
    assert server.wait_log("authority.logged_in", 5, mark)


def before_hours(line):
    """Does this login end in more than a minute?"""
    event = json.loads(line)
    ends, now = (datetime.datetime.fromisoformat(event[k]) for k in ("ends_at", "time"))
    return (ends - now).total_seconds() > 60


def test_a_new_token_in_the_file_is_taken(folder, bao):
    auth = bao.token_login(ttl="20s", renewable=False, no_default_policy=False)
    server = leafcast(folder, authority(bao, auth)).start()
    mark = server.mark()
    bao.put_token()
    server.wait_log("authority.credentials_changed", 15, mark)
    server.wait_log(lambda line: '"authority.logged_in"' in line and before_hours(line), 5, mark)
    rotate(server)


def test_another_client_certificate_is_taken(folder, bao):
    """A token is bound to the certificate that it was given for: another one logs in anew."""
    server = leafcast(folder, authority(bao, bao.certificate_login())).start()
    mark = server.mark()
    bao.put_client("another-host")
    server.wait_log("authority.credentials_changed", 15, mark)
    server.wait_log("authority.logged_in", 5, mark)
    rotate(server)


def test_a_used_up_secret_id_is_named_and_a_new_one_taken(folder, bao):
    auth = bao.approle_login(secret_id_num_uses=1)
    server = leafcast(folder, authority(bao, auth)).start()     # that was the one use
    server.kill()
    server.spawn()
    server.wait_log("the secret_id has expired or was used up: put a new one in its file", 10)
    bao.put_secret_id()
    server.wait_log("authority.logged_in", 30, server.mark())
    wait.until(lambda: rotate(server, code=None).returncode == 0, 10, lambda: server.process.tail())


def wrap(bao):
    """A wrapped secret id of the role: its token."""
    request = urllib.request.Request(bao.address + "/v1/auth/approle/role/leafcast/secret-id", method="POST", data=b"{}",
                                     headers={"X-Vault-Token": bao.token, "X-Vault-Wrap-TTL": "5m"})
    with urllib.request.urlopen(request, timeout=30, context=ssl.create_default_context(cafile=str(bao.ca_file))) as answer:
        return json.loads(answer.read())["wrap_info"]["token"]


def test_a_wrapped_secret_id(folder, bao):
    """Opened once and kept; a token that somebody else used is told, and another one helps."""
    auth = bao.approle_login()
    path = bao.folder / "wrapping"
    del auth["approle"]["secret_id_file"]
    auth["approle"]["wrapping_token_file"] = bao._file("wrapping", wrap(bao))
    server = leafcast(folder, authority(bao, auth)).start()
    token = path.read_text()
    server.stop()
    server.start()
    mark = server.mark()
    rotate(server)
    stolen = wrap(bao)
    bao.ask("POST", "sys/wrapping/unwrap", {}, token=stolen)
    bao._file("wrapping", stolen)
    server.wait_log("if not by this leafcast, somebody else has the secret_id", 60, mark)
    assert version(server)
    bao._file("wrapping", wrap(bao))
    server.wait_log("authority.secret_id_unwrapped", 60, mark)
    wait.until(lambda: rotate(server, code=None).returncode == 0, 60, lambda: server.process.tail())
    server.stop()
    for file in server.folder.rglob("*"):
        if file.is_file():
            assert token.encode() not in file.read_bytes(), file


def test_a_policy_that_lacks_the_right(folder, bao):
    bao.policy("leafcast", {"pki/issuers": ["list"]})
    server = leafcast(folder, authority(bao, bao.approle_login()))
    server.spawn()
    server.wait_log('the policy of this login lacks: path \\"pki/sign/mesh\\" { capabilities = [\\"update\\"] }', 10)
    bao.policy("leafcast", {"pki/sign/mesh": ["update"]})
    server.wait_notify("READY=1", 60)


def test_a_namespace(folder, bao):
    bao.post("sys/namespaces/team")
    inner = bao.within("team")
    inner.with_pki()
    auth = inner.approle_login()
    server = leafcast(folder, authority(bao, auth, namespace="team")).start()
    assert leaf(server, folder).issuer.rfc4514_string() == "CN=Root 1"
    assert len(bao.ask("LIST", "pki/certs")["data"]["keys"]) == 1       # the root alone: nothing was signed outside


# --- roles ---------------------------------------------------------------------------------------------------------------
def test_the_traps_of_roles_are_explained(folder, bao):
    """An authority for each role, all in one server; what is refused is said in words that help."""
    roles = {"rsaonly": {"key_type": "rsa", "key_bits": 2048}, "nouri": {"allowed_uri_sans": ""},
             "strict": {"allow_any_name": False, "allowed_domains": "ok.test", "allow_subdomains": True},
             "wantscn": {"require_cn": True}, "capped": {"max_ttl": "10m", "ttl": "5m"},
             "fields": {"use_csr_sans": False, "use_csr_common_name": False}, "servers": {"client_flag": False}}
    for name, options in roles.items():
        bao.role(name, **options)
    bao.policy("leafcast", {"pki/sign/*": ["update"], "pki/roles/*": ["read"]})
    auth = bao.approle_login()
    server = leafcast(folder, authority(bao, auth))
    made = config(server, authority(bao, auth))
    made["authorities"] = {n: authority(bao, auth, role=n) for n in [*roles, "nosuch"]}
    made["profiles"] = {n: {"authority": n, "lifetime": "1h"} for n in made["authorities"]}
    made["secrets"] = {n: {"profile": n, "dns": ["web.example"], "uri": ["spiffe://td.example/web"]}
                       for n in made["authorities"]}
    server.write_config(made)
    server.spawn()
    expected = {"rsaonly": "set key_type=any on the role", "nouri": "see its allowed_uri_sans",
                "strict": "see its allowed_domains", "wantscn": "set require_cn=false on the role",
                "nosuch": "there is no such role in the mount", "servers": "rejected answer"}
    for name, words in expected.items():
        server.wait_log(lambda line, n=name, w=words: "rotation.failed" in line and '"secret":"%s"' % n in line and
                        w in line, 15)
    for name in ("capped", "fields"):
        wait.until(lambda n=name: secret(server, n).get("state") == "ok", 15, lambda: server.process.tail())
    capped = wait.until(lambda: logged(server, "authority.lifetime_capped"), 10, "the capped lifetime")
    assert len(capped) == 1 and capped[0]["asked_s"] == 3600 and 590 <= capped[0]["got_s"] <= 600, capped
    traps = {e["authority"]: e["traps"] for e in logged(server, "authority.role_traps")}
    assert set(traps) == {"rsaonly", "nouri", "wantscn", "servers"}, traps
    assert "key_type is rsa" in traps["rsaonly"] and "require_cn is true" in traps["wantscn"]
    assert "SPIFFE" in traps["nouri"] and "mutual TLS" in traps["servers"]
    got = leaf(server, folder, "fields").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert got.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://td.example/web"]


def test_a_wrong_mount_and_a_wrong_root_are_named(folder, bao):
    auth = bao.approle_login()
    server = leafcast(folder, authority(bao, auth, mount="pkx"))
    made = config(server, authority(bao, auth, mount="pkx"))
    made["authorities"]["elsewhere"] = authority(bao, auth, ca_file=str(bao.clients_ca()))
    server.write_config(made)
    server.spawn()
    server.wait_log("no PKI engine is mounted at pkx: see the keys mount and namespace", 10)
    server.wait_log("TLS: SSL certificate problem", 10)


# --- roots ---------------------------------------------------------------------------------------------------------------
def bundle(server, folder):
    text = open(server.get("roots", folder.path, "bundle")["bundle"], "rb").read()
    return {c.subject.rfc4514_string() for c in x509.load_pem_x509_certificates(text)}


def test_an_intermediate_whose_root_is_elsewhere(folder, bao):
    """The root never was in the mount: leafcast says so, and takes it from a file."""
    root = pki.authority("Offline Root")
    bao.post("sys/mounts/inner", type="pki", config={"max_lease_ttl": "87600h"})
    request = bao.post("inner/intermediate/generate/internal", common_name="Inner", key_type="ec")["data"]["csr"]
    bao.post("inner/intermediate/set-signed", certificate=pki.sign_ca(request, root))
    bao.post("inner/roles/mesh", **ROLE)
    bao.policy("leafcast", {"inner/sign/mesh": ["update"]})
    auth = bao.approle_login()
    server = leafcast(folder, authority(bao, auth, mount="inner"))
    server.spawn()
    server.wait_log("the mount inner holds no root", 10)
    server.kill()
    given = folder / "root.pem"
    given.write_bytes(root.pem())
    server.write_config(config(server, authority(bao, auth, mount="inner", root_file=str(given))))
    server.start()
    assert bundle(server, folder) == {"CN=Offline Root"}
    assert leaf(server, folder).issuer.rfc4514_string() == "CN=Inner"


# --- trouble -------------------------------------------------------------------------------------------------------------
def test_a_restart_sealed_and_unsealed(folder):
    bao = folder.ending(OpenBao(folder / "bao", persistent=True)).start().with_pki()
    server = leafcast(folder, authority(bao, bao.approle_login())).start()
    held = version(server)
    bao.stop()
    mark = server.mark()
    rotate(server, code=None)
    server.wait_log("rotation.failed", 5, mark)
    bao.start(unseal=False)
    server.wait_log("Vault is sealed", 40, mark)
    assert version(server) == held
    bao.unseal()
    wait.until(lambda: rotate(server, code=None).returncode == 0, 30, lambda: server.process.tail())
    assert version(server) != held
    assert len(logged(server, "authority.logged_in")) == 1      # the token was kept on both sides


@pytest.mark.first
@pytest.mark.timeout(240)
def test_a_cluster_whose_leader_changes(folder):
    """Asked at the standby, which hands on; then that one leads."""
    first = folder.ending(OpenBao(folder / "first", persistent=True)).start().with_pki()
    second = folder.ending(OpenBao(folder / "second", persistent=True)).start(unseal=False).join(first)
    auth = first.approle_login()
    server = leafcast(folder, authority(second, auth)).start()
    rotate(server)
    second.lead_after(first)
    wait.until(lambda: rotate(server, code=None).returncode == 0, 60, lambda: server.process.tail(), poll_s=0.2)
    held = version(server)
    wait.until(lambda: rotate(server, code=None).returncode == 0, 60, lambda: server.process.tail(), poll_s=0.2)
    assert version(server) != held
    assert leaf(server, folder).issuer.rfc4514_string() == "CN=Root 1"


def test_a_quota_is_respected_and_nothing_asked_twice(folder, bao):
    """40 names against 10 requests a second: each is signed once, by one login."""
    names = ["n%d" % i for i in range(40)]
    secrets = {n: {"profile": "workload", "dns": [n + ".example"]} for n in names}
    bao.post("sys/quotas/rate-limit/few", path="pki/sign/mesh", rate=10, interval="1s")
    server = leafcast(folder, authority(bao, bao.approle_login()), secrets=secrets)
    server.spawn()
    server.wait_notify("READY=1", 60)
    wait.until(lambda: all(s["state"] == "ok" for s in server.status()["secrets"]), 40, "all of them")
    failures = logged(server, "rotation.failed")
    assert failures and all("rate limit quota exceeded" in e["error"] for e in failures), failures
    assert all(e["retry_in_ms"] >= 1000 for e in failures)
    assert len(bao.ask("LIST", "pki/certs")["data"]["keys"]) == 1 + len(names)
    assert len(logged(server, "authority.logged_in")) == 1


def test_no_secret_is_anywhere(folder, bao):
    """Each kind of login in one server: nothing of it in logs, process list, environment, metrics, status, state."""
    auths = {kind: getattr(bao, kind + "_login")() for kind in LOGINS}
    server = leafcast(folder, authority(bao, auths["token"]))
    made = config(server, authority(bao, auths["token"]))
    made["authorities"] = {kind: authority(bao, auth) for kind, auth in auths.items()}
    made["profiles"] = {kind: {"authority": kind, "lifetime": "1h"} for kind in auths}
    made["secrets"] = {kind: {"profile": kind, "dns": [kind + ".example"]} for kind in auths}
    server.write_config(made)
    server.start()
    for kind in auths:
        rotate(server, kind)
    bao.policy("leafcast", {"pki/issuers": ["list"]})                                  # refusals are logged too
    rotate(server, "approle", code=None)
    hidden = {name: (bao.folder / name).read_text().strip() for name in ("token", "secret_id", "jwt")}
    hidden["client.key"] = "".join((bao.folder / "client.key").read_text().split("\n")[1:-2])[20:80]
    process = pathlib.Path("/proc/%d" % server.process.pid)
    seen = {"cmdline": (process / "cmdline").read_bytes(), "environ": (process / "environ").read_bytes(),
            "log": (server.folder / "leafcast.log").read_bytes(), "status": server.cli("status", "--json").stdout.encode()}
    seen.update({str(p): p.read_bytes() for p in server.state.rglob("*") if p.is_file()})
    for where, content in seen.items():
        assert content or where.endswith("-wal"), where
        for name, text in hidden.items():
            assert len(text) > 20 and text.encode() not in content, "%s in %s" % (name, where)
        assert b"hvs." not in content and b"PRIVATE KEY" not in content, where
        assert not re.search(rb"\b[sb]\.[A-Za-z0-9]{24}", content), where       # tokens as OpenBao makes them


# --- revocation ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("right", ["pki/revoke", "pki/revoke-with-key"])
def test_a_certificate_is_revoked(folder, bao, right):
    """By the right to revoke, or by the key where that is all the policy allows."""
    bao.policy("leafcast", {"pki/sign/mesh": ["update"], right: ["update"]})
    server = leafcast(folder, authority(bao, bao.approle_login())).start()
    old = leaf(server, folder)
    serial = old.serial_number.to_bytes((old.serial_number.bit_length() + 7) // 8, "big").hex(":")
    server.cli("revoke", "web", timeout_s=60)
    wait.until(lambda: bao.ask("GET", "pki/cert/" + serial)["data"]["revocation_time"] > 0, 30,
               lambda: server.process.tail())
    assert leaf(server, folder).serial_number != old.serial_number
