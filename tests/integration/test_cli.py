"""The command line: what goes in, what comes out, exit codes; and `leafcast envoy` prints a bootstrap that works."""
import json
import os
import subprocess

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from harness import envoy, leafcast, paths, pki, wait
from harness.sds_client import SdsClient, secrets_of
from harness.target import config

VERBS = ["serve", "check", "status", "rotate", "retry", "put", "get", "delete", "envoy", "seal", "backup", "restore", "inventory"]


@pytest.fixture(scope="module")
def server(module_folder):
    made = leafcast.Leafcast(module_folder / "leafcast")
    made.write_config(config(2, os.geteuid(), listen=[{"unix": {"path": made.socket}}]))
    return module_folder.ending(made).start()


@pytest.fixture(scope="module")
def authority():
    return pki.authority()


@pytest.fixture
def leaf(authority):
    middle = pki.make("Middle", authority, ca=True)
    return pki.make("leaf", middle, dns=["leaf.example"])


def served(server, name):
    with SdsClient("unix:" + server.socket) as client:
        return secrets_of(client.fetch([name])).get(name)


def write(folder, name, content):
    path = folder / name
    path.write_bytes(content)
    return path


def is_leaf(secret, leaf):
    """Normalised: leaf first, its issuers, no root, PKCS#8."""
    tls = secret.tls_certificate
    return tls.certificate_chain.inline_bytes == leaf.chain_pem() and tls.private_key.inline_bytes == leaf.key_pem()


# --- put -------------------------------------------------------------------------------------------------------------
def certificate(folder, content):
    return ["--cert", write(folder, "certificate", content)]


def key(folder, content):
    return ["--key", write(folder, "key", content)]


def password(folder, content):
    return ["--password-file", write(folder, "password", content)]


def form_pem(folder, leaf):
    return certificate(folder, leaf.chain_pem()) + key(folder, leaf.key_pem())


def form_one_file(folder, leaf):
    both = leaf.key_pem() + leaf.chain_pem()
    return certificate(folder, both) + key(folder, both)


def form_disorder(folder, leaf):
    """Root first, leaf last."""
    chain = b"".join(c.pem() for c in reversed(leaf.issuers)) + leaf.pem()
    return certificate(folder, chain) + key(folder, leaf.key_pem())


def form_sec1(folder, leaf):
    return certificate(folder, leaf.chain_pem()) + key(
        folder, leaf.key_pem(form=serialization.PrivateFormat.TraditionalOpenSSL))


def form_crlf(folder, leaf):
    chain, private = (x.replace(b"\n", b"\r\n") for x in (leaf.chain_pem(), leaf.key_pem()))
    return certificate(folder, b"some text\r\n" + chain) + key(folder, private)


def form_encrypted(folder, leaf):
    return (certificate(folder, leaf.chain_pem()) + key(folder, leaf.key_pem(b"open sesame")) +
            password(folder, b"open sesame\n"))


def form_p12(folder, leaf):
    return certificate(folder, leaf.p12(b"open sesame")) + password(folder, b"open sesame\n")


FORMS = [form_pem, form_one_file, form_disorder, form_sec1, form_crlf, form_encrypted, form_p12]


@pytest.mark.parametrize("form", FORMS, ids=lambda f: f.__name__.removeprefix("form_"))
def test_put_takes_every_form(server, folder, leaf, form):
    name = "put-" + form.__name__
    server.cli("put", name, *form(folder.path, leaf))
    assert is_leaf(served(server, name), leaf)


def test_put_der(server, folder, authority):
    leaf = pki.make("leaf", authority, dns=["leaf.example"])
    server.cli("put", "der", *certificate(folder, leaf.der()), *key(folder, leaf.key_der()))
    assert is_leaf(served(server, "der"), leaf)


@pytest.mark.parametrize("kind", ["P-384", "RSA-2048", "RSA-4096"])
def test_put_key_types(server, folder, authority, kind):
    leaf = pki.make("leaf", authority, dns=["leaf.example"], key=pki.new_key(kind))
    server.cli("put", "key-" + kind, *form_pem(folder.path, leaf))
    assert is_leaf(served(server, "key-" + kind), leaf)


def test_put_self_signed_leaf_is_kept(server, folder):
    leaf = pki.make("alone", dns=["alone.example"])
    server.cli("put", "alone", *form_pem(folder.path, leaf))
    assert served(server, "alone").tls_certificate.certificate_chain.inline_bytes == leaf.pem()


def test_put_bundle_is_sorted_and_without_doubles(server, folder):
    some = [pki.authority("CA %d" % i) for i in range(3)]
    for name, order in (("bundle-a", some + some[:1]), ("bundle-b", some[::-1])):
        server.cli("put", name, "--bundle", write(folder, "b", b"".join(c.pem() for c in order)))
    a, b = (served(server, n).validation_context.trusted_ca.inline_bytes for n in ("bundle-a", "bundle-b"))
    assert a == b and a.count(b"BEGIN CERTIFICATE") == 3


def refused(server, *args, stdin=""):
    """A non-zero exit, the reason on stderr, nothing on stdout."""
    result = server.cli(*args, code=None, stdin=stdin)
    assert result.returncode != 0 and result.stderr.strip() and not result.stdout, result
    assert "-----BEGIN" not in result.stderr
    return result.stderr


BAD = {
    "another key": lambda f, l: [*certificate(f, l.chain_pem()), *key(f, pki.make("x").key_pem())],
    "no key": lambda f, l: certificate(f, l.chain_pem()),
    "no certificate": lambda f, l: key(f, l.key_pem()),
    "broken certificate": lambda f, l: [*certificate(f, l.pem()[:300] + l.pem()[320:]), *key(f, l.key_pem())],
    "empty file": lambda f, l: [*certificate(f, b""), *key(f, l.key_pem())],
    "wrong password": lambda f, l: [*certificate(f, l.p12(b"right")), *password(f, b"wrong")],
    "password is missing": lambda f, l: [*certificate(f, l.pem()), *key(f, l.key_pem(b"locked"))],
    "RSA 1024": lambda f, l: form_pem(f, pki.make("weak", dns=["w.example"], key=pki.new_key("RSA-1024"))),
    "too large": lambda f, l: ["--bundle", write(f, "b", pki.authority().pem() * 3000)],
    "a leaf as bundle": lambda f, l: ["--bundle", write(f, "b", l.pem())],
    "a key as bundle": lambda f, l: ["--bundle", write(f, "b", l.key_pem())],
    "missing file": lambda f, l: ["--bundle", f / "nowhere"],
    "both kinds": lambda f, l: [*form_pem(f, l), "--bundle", write(f, "b", l.issuers[-1].pem())],
}


@pytest.mark.parametrize("make", BAD.values(), ids=BAD.keys())
def test_put_refuses(server, folder, leaf, make):
    refused(server, "put", "refused", *make(folder.path, leaf))
    assert served(server, "refused") is None


def test_put_of_a_configured_name_is_refused(server, folder, leaf):
    assert "config" in refused(server, "put", "mesh-roots", "--bundle", write(folder, "b", leaf.issuers[-1].pem()))


def test_kind_may_change_after_delete_alone(server, folder, leaf):
    bundle = ["--bundle", write(folder, "b", leaf.issuers[-1].pem())]
    server.cli("put", "kind", *form_pem(folder.path, leaf))
    assert "kind" in refused(server, "put", "kind", *bundle)
    server.cli("delete", "kind")
    server.cli("put", "kind", *bundle)
    assert served(server, "kind").HasField("validation_context")


def test_expired_is_kept_loudly(server, folder, authority):
    start = server.mark()
    leaf = pki.make("old", authority, dns=["old.example"], start_s=-7200, end_s=-3600)
    server.cli("put", "old", *form_pem(folder.path, leaf))
    server.wait_log("expired", start=start)
    assert next(s for s in server.status()["secrets"] if s["name"] == "old")["state"] == "expired"


# --- get, delete, rotate ---------------------------------------------------------------------------------------------
def test_get_writes_private_files(server, folder, leaf):
    server.cli("put", "get", *form_pem(folder.path, leaf))
    files = server.get("get", folder.path, "cert", "key")
    assert open(files["cert"], "rb").read() == leaf.chain_pem() and open(files["key"], "rb").read() == leaf.key_pem()
    assert all(os.stat(p).st_mode & 0o777 == 0o600 for p in files.values())
    printed = server.cli("get", "get").stdout
    assert "BEGIN CERTIFICATE" in printed and "PRIVATE" not in printed


def test_get_replaces_files_of_any_mode(server, folder, leaf):
    server.cli("put", "get", *form_pem(folder.path, leaf))
    open_file = write(folder, "key.pem", b"old")
    open_file.chmod(0o644)
    server.cli("get", "get", "--key", open_file)
    assert os.stat(open_file).st_mode & 0o777 == 0o600


@pytest.mark.parametrize("verb", ["get", "delete", "rotate"])
def test_unknown_name(server, verb):
    assert "no-such-name" in refused(server, verb, "no-such-name")


def test_delete_of_a_configured_name_is_refused(server):
    refused(server, "delete", "mesh-roots")
    assert served(server, "mesh-roots")


def test_rotate_gives_a_new_leaf_at_once(server):
    before = served(server, "envoy-node")
    server.cli("rotate", "envoy-node")
    after = served(server, "envoy-node")
    assert before.tls_certificate.private_key != after.tls_certificate.private_key
    assert before.tls_certificate.certificate_chain != after.tls_certificate.certificate_chain


# --- arguments -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("verb", VERBS)
def test_help(server, verb):
    text = server.cli(verb, "--help").stdout
    assert verb in text and "usage" in text.lower()


def test_version_and_help(server):
    assert any(c.isdigit() for c in server.cli("--version").stdout)
    text = server.cli("--help").stdout
    assert all(verb in text for verb in VERBS)


@pytest.mark.parametrize("args", [["nope"], ["put"], ["status", "--nope"], ["rotate", "a", "b"], []], ids=str)
def test_wrong_usage(server, args):
    result = server.cli(*args, code=None)
    assert result.returncode != 0 and result.stderr


def test_options_stand_anywhere(server, folder, leaf):
    pair = form_pem(folder.path, leaf)
    server.cli("put", *pair[:2], "order", *pair[2:])
    server.cli("delete", "--admin", server.admin, "order", env={"LEAFCAST_ADMIN": "/nonexistent"})
    server.cli("put", *pair, "--", "--odd name")
    assert served(server, "--odd name")


def test_no_server(server):
    assert "/nonexistent" in refused(server, "status", "--admin", "/nonexistent/admin.sock")


@pytest.mark.parametrize("name", ["", "x" * 1025, "\udcff"], ids=["empty", "1025 bytes", "no UTF-8"])
def test_no_name(server, name):
    refused(server, "rotate", name)


def test_names_are_escaped_on_a_terminal(server, folder, leaf):
    name = "evil\x1b[31m\nname"
    server.cli("put", *form_pem(folder.path, leaf), "--", name)
    text = server.cli("status").stdout
    assert "\x1b" not in text and "evil\\x1b[31m\\nname" in text
    assert name in {s["name"] for s in server.status()["secrets"]}
    assert served(server, name)


# --- status, envoy, check --------------------------------------------------------------------------------------------
def test_status_tells_what_is_there(server):
    with SdsClient("unix:" + server.socket) as client:
        stream = client.delta()
        stream.request(["envoy-node"])
        answer, _ = stream.receive_secrets()
        stream.ack(answer)
        secret = wait.until(lambda: next((s for s in server.status()["secrets"] if s["name"] == "envoy-node" and
                                          s["subscribers"] == 1 and s["last_ack_at"]), None), 10, "the ACK in status")
        assert secret["version"] == answer.resources[0].version and secret["acked"] == 1
        assert secret["renew_at"] < secret["not_after"]
        text = server.cli("status").stdout
        assert "envoy-node" in text and "mesh-roots" in text
        server.cli("rotate", "envoy-node")
        answer, _ = stream.receive_secrets()
        stream.nack(answer, text="cannot load -----BEGIN PRIVATE KEY-----\nMIGH\n-----END PRIVATE KEY-----")
        secret = wait.until(lambda: next((s for s in server.status()["secrets"] if s["name"] == "envoy-node" and
                                          s["last_nack"]), None), 10, "the NACK in status")
        assert "cannot" in secret["last_nack"] and "MIGH" not in secret["last_nack"]
    assert "MIGH" not in "\n".join(server.process.lines.items())


@pytest.mark.parametrize("method", ["sotw", "delta"])
def test_status_tells_for_whom_a_name_is_missing(server, method):
    """SotW is silent about it, and so is Envoy."""
    name = "missing-" + method
    with SdsClient("unix:" + server.socket) as client:
        stream = getattr(client, method)()
        stream.request([name])
        found = wait.until(lambda: next((s for s in server.status()["secrets"] if s["name"] == name), None), 10,
                           "the name in status")
        assert found["state"] == "unknown" and found["kind"] is None
        asker = found["asked_by"][0]
        assert (asker["identity"], asker["node"], asker["method"]) == ("uid %d" % os.geteuid(), "test-node", method)
        assert asker["since"]
        text = server.cli("status").stdout
        assert name + " is asked for by 1 streams" in text and "node test-node (%s)" % method in text
    wait.until(lambda: not [s for s in server.status()["secrets"] if s["name"] == name], 10, "nothing left of it")


def test_envoy_prints_a_bootstrap_that_boots(folder):
    made = folder.ending(leafcast.Leafcast(folder / "leafcast")).start()
    text = made.cli("envoy", "default", "ROOTCA").stdout
    checked = envoy.Envoy.validate(folder.path, text)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    bootstrap = yaml.safe_load(text)
    assert made.socket in text and "combined_validation_context" in text and "DELTA_GRPC" in text
    for item in [bootstrap["admin"], *bootstrap["static_resources"]["listeners"]]:
        item["address"]["socket_address"]["port_value"] = 0
    running = folder.ending(envoy.Envoy(folder / "envoy", bootstrap)).start()
    assert wait.until(running.serials, 10, "a certificate")
    assert running.stat("sds.ROOTCA.update_success") >= 1


def test_envoy_knows_the_socket_of_the_config(folder):
    """Asked from a shell that knows the admin socket alone."""
    path = str(folder / "elsewhere.sock")
    made = folder.ending(leafcast.Leafcast(folder / "leafcast", config={"listen": [{"unix": {"path": path}}]})).start()
    nowhere = {"RUNTIME_DIRECTORY": str(folder / "none")}
    assert 'pipe: {path: "%s"}' % path in made.cli("envoy", "default", env=nowhere).stdout
    made.stop()
    text = made.cli("envoy", "default", env=nowhere).stdout
    assert 'pipe: {path: "%s/none/sds.sock"}' % folder.path in text


def check(folder, text):
    path = folder / "config.yaml"
    path.write_text(text)
    return subprocess.run([paths.leafcast(), "check", str(path)], text=True, capture_output=True, timeout=20)


def test_check_accepts(folder):
    result = check(folder, (paths.EXAMPLES / "leafcast/minimal.yaml").read_text())
    assert result.returncode == 0, result.stdout + result.stderr


WRONG = {
    "unknown key": ("workres: 2\n", "workers"),
    "wrong type": ("workers: many\n", "workers"),
    "out of range": ("workers: 100000\n", "workers"),
    "duplicate key": ("workers: 1\nworkers: 2\n", "workers"),
    "alias": ("workers: &a 1\ndrain: *a\n", "alias"),
    "unknown authority": ("profiles: {p: {authority: nope}}\n", "nope"),
    "unknown type": ("authorities: {a: {type: nowhere}}\n", "builtin"),
    "bad lifetime": ("authorities: {a: {type: builtin}}\nprofiles: {p: {authority: a, lifetime: 5s}}\n", "10s"),
    "bad template": ("authorities: {a: {type: builtin}}\nprofiles: {p: {authority: a, dns: [\"{pid}.x\"]}}\n", "uid"),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG.keys())
def test_check_refuses_with_place_and_reason(folder, case):
    text, word = case
    result = check(folder, "listen:\n  - unix: {path: /run/x/sds.sock}\n" + text)
    assert result.returncode != 0
    assert word in result.stderr and "config.yaml:" in result.stderr, result.stderr


def test_check_tells_all_errors_at_once(folder):
    result = check(folder, "workres: 2\nlogg: {}\nlisten:\n  - unix: {paht: /x}\n")
    assert result.stderr.count("config.yaml:") >= 3, result.stderr


def test_json_status_is_json(server):
    assert json.loads(server.cli("status", "--json").stdout)["secrets"]
