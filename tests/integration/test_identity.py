"""Two users on one socket: each gets its own `default`, neither the other's; a denial says what would allow it."""
import json
import subprocess
import sys

import pytest
from cryptography import x509
from harness import examples, paths, users, wait
from harness.envoy import Envoy
from harness.leafcast import Leafcast

URI = "spiffe://example.org/uid/%d"


@pytest.fixture
def server(folder):
    made = Leafcast(folder / "leafcast")
    made.write_config({
        "log": {"level": "debug", "format": "json"},
        "listen": [{"unix": {"path": made.socket, "mode": "0666"}}],
        "authorities": {"mesh": {"type": "builtin"}},
        "profiles": {"workload": {"authority": "mesh", "uri": ["spiffe://example.org/uid/{uid}"]}},
        "secrets": {"default": {"profile": "workload"}, "mesh-roots": {"bundle": ["mesh"]},
                    "only-first": {"profile": "workload"}},
        "policy": [{"who": {"uid": users.FIRST}, "may": ["default", "mesh-roots", "only-first"]},
                   {"who": {"uid": users.SECOND}, "may": ["default", "mesh-roots"]}]})
    return folder.ending(made).start()


def envoy_of(folder, server, user, name="default"):
    home = folder / ("envoy-%d" % user)
    made, files = examples.envoy("server", "delta", examples.Place(socket=server.socket), home, {10443: 0, 8080: 1})
    made["node"]["id"] = "same-node"
    return folder.ending(Envoy(home, examples.rename_secrets(made, {"server-cert": name}), files, user=user)).spawn()


def uris(envoy):
    return [san["uri"] for c in envoy.certificates() for san in c.get("subject_alt_names", []) if "uri" in san]


@pytest.mark.root
def test_two_envoys_get_two_defaults(folder, server):
    """They even claim the same node id."""
    envoys = {user: envoy_of(folder, server, user) for user in (users.FIRST, users.SECOND)}
    for user, envoy in envoys.items():
        envoy.wait_admin().wait_live()
        wait.until(lambda: uris(envoy), 10, "a certificate")
        assert uris(envoy) == [URI % user]
    server.cli("rotate", "default")
    for user, envoy in envoys.items():
        envoy.wait_stat("sds.default.update_success", 2)
        assert uris(envoy) == [URI % user]
    serials = [tuple(e.serials()) for e in envoys.values()]
    assert serials[0] != serials[1]
    entries = {s["entry"] for s in server.status()["secrets"] if s["name"] == "default"}
    assert len(entries) == 2


# The interpreter may stand where the other user cannot reach it, so it starts as we are and becomes him.
FETCH = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
from harness.node import node
from harness.sds_client import SdsClient, secrets_of
user = int(sys.argv[5])
os.setgroups([]), os.setgid(user), os.setuid(user)
with SdsClient("unix:" + sys.argv[2]) as client:
    answer = client.fetch(json.loads(sys.argv[4]), node=node(sys.argv[3]), timeout_s=10)
    secrets = secrets_of(answer)
    print(json.dumps({n: s.tls_certificate.certificate_chain.inline_bytes.decode() for n, s in secrets.items()}))
"""


def fetch_as(server, user, *names, node_id="test"):
    """What FetchSecrets gives to this user: name -> chain."""
    result = subprocess.run(
        [sys.executable, "-c", FETCH, str(paths.ROOT / "tests/integration"), server.socket, node_id, json.dumps(names),
         str(user)], text=True, capture_output=True, timeout=30, env={"GRPC_VERBOSITY": "NONE"})
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def uri_of(pem):
    certificate = x509.load_pem_x509_certificate(pem.encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.UniformResourceIdentifier)


@pytest.mark.root
def test_no_name_reaches_the_other(server):
    """Neither by the other's entry, nor by his node id."""
    for user, other in ((users.FIRST, users.SECOND), (users.SECOND, users.FIRST)):
        entries = {s["entry"] for s in server.status()["secrets"]}
        got = fetch_as(server, user, "default", *entries, node_id=str(other))
        assert uri_of(got["default"]) == [URI % user]
        assert all(uri_of(pem) == [URI % user] for pem in got.values() if pem)


@pytest.mark.root
def test_denial_names_the_rule_that_would_allow_it(server):
    start = server.mark()
    assert fetch_as(server, users.SECOND, "only-first") == {}
    hint = "{who: {uid: %d}, may: [only-first]}" % users.SECOND
    line = server.wait_log(lambda x: '"policy.denied"' in x and "only-first" in x, start=start)
    assert hint in json.loads(line)["hint"]
    denial = next(d for d in server.status()["denials"] if d["name"] == "only-first")
    assert hint in denial["hint"] and denial["count"] >= 1 and str(users.SECOND) in denial["identity"]
    assert hint in server.cli("status").stdout


@pytest.mark.root
def test_a_user_without_a_rule_gets_nothing(server):
    assert fetch_as(server, 61999, "default", "mesh-roots", "only-first") == {}
    names = {d["name"] for d in server.status()["denials"] if "61999" in d["identity"]}
    assert names == {"default", "mesh-roots", "only-first"}


@pytest.mark.root
def test_admin_socket_is_for_the_owner_alone(server):
    result = server.cli("status", user=users.FIRST, code=None)
    assert result.returncode != 0 and result.stderr and not result.stdout
