"""Conformance, all four methods, ADS and FetchSecrets (1 to 6, 44 to 58; 49 to 53 are in test_transport.py too)."""
import grpc
import pytest
from conformance import client, dialogue, method, open_dialogue, target  # noqa: F401
from harness.node import node
from harness.sds_client import SECRET, secrets_of
from harness.target import FORBIDDEN, holds

pytestmark = pytest.mark.sanitized
CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"


def test_01_node_is_kept_for_the_stream(target, dialogue):
    """Later requests do without; another node.id later changes nothing."""
    a, b, c = target.name(), target.name(), target.name()
    for name in (a, b, c):
        target.put(name)
    dialogue.subscribe(a).take(a)
    dialogue.subscribe(b, node=None).take(b)
    dialogue.subscribe(c, node=node("somebody-else")).take(c)


def test_02_stream_without_node_is_refused(target, dialogue):
    name = target.name()
    target.put(name)
    dialogue.subscribe(name, node=None)
    code, details = dialogue.stream.status()
    assert code == grpc.StatusCode.INVALID_ARGUMENT and "node" in details
    assert not dialogue.stream.answers


def test_02_a_sibling_with_node_does_not_help(target, client, method):
    name = target.name()
    target.put(name)
    open_dialogue(client, method).subscribe(name).take(name)
    other = open_dialogue(client, method).subscribe(name, node=None)
    assert other.stream.status()[0] == grpc.StatusCode.INVALID_ARGUMENT


def test_03_empty_type_url(target, dialogue, method):
    name = target.name()
    target.put(name)
    dialogue.subscribe(name, type_url="")
    if method.startswith("sds"):
        dialogue.take(name)
        assert dialogue.last.type_url == SECRET
    else:
        assert dialogue.stream.status()[0] == grpc.StatusCode.INVALID_ARGUMENT


def test_03_another_type(target, dialogue, method):
    """On SDS a fault; on ADS it stays unanswered and disturbs nothing."""
    name = target.name()
    target.put(name)
    dialogue.subscribe("some-cluster", type_url=CLUSTER)
    if method.startswith("sds"):
        assert dialogue.stream.status()[0] == grpc.StatusCode.INVALID_ARGUMENT
        return
    dialogue.names = []
    dialogue.subscribe(name).take(name)
    dialogue.quiet()


def test_04_giant_node(target, dialogue):
    """1 MiB, 1,000 extensions, fields and enum values that nobody knows."""
    name = target.name()
    leaf = target.put(name)
    giant = node(extensions=1000, padding=1 << 20)
    giant.MergeFromString(bytes([0xfa, 0x3f, 3]) + b"abc" + bytes([0xf0, 0x3f, 0x7f]))
    dialogue.stream.node = giant
    assert holds(dialogue.subscribe(name).take_one(name), leaf)


def test_05_several_streams_for_one_name(target, client, method):
    name = target.name()
    target.put(name)
    streams = [open_dialogue(client, method).subscribe(name) for _ in range(8)]
    for d in streams:
        d.take(name)
    leaf = target.put(name)
    assert all(holds(d.take_one(name), leaf) for d in streams)


@pytest.mark.parametrize("stem", [
    "a/b:c|d", "spiffe://td.example/ns/x", "kubernetes://web", "grüße-日本-🔑", " blank ",
    "xdstp://auth/envoy.Secret/a?b=c&d=e", "line\nbreak", "-dash", "x" * 1000])
def test_06_names_round_trip(target, dialogue, stem):
    name = target.name(stem)
    leaf = target.put(name)
    assert holds(dialogue.subscribe(name).take_one(name), leaf)


def test_44_certificate_is_well_formed(target, dialogue):
    name, bundle = target.name(), target.name()
    target.put(name)
    target.put_bundle(bundle, target.authority)
    secrets = dialogue.subscribe(name, bundle).take(name, bundle)
    tls = secrets[name].tls_certificate
    assert tls.certificate_chain.inline_bytes and tls.private_key.inline_bytes
    for field in ("password", "ocsp_staple", "pkcs12", "private_key_provider", "watched_directory"):
        assert not tls.HasField(field)
    context = secrets[bundle].validation_context
    assert context.trusted_ca.inline_bytes == target.authority.pem()
    assert len(context.ListFields()) == 1


def test_45_kind_is_fixed(target, client, dialogue):
    if target.kind == "model":
        return
    name = target.name()
    leaf = target.put(name)
    dialogue.subscribe(name).take(name)
    bundle = target.folder / "kind.pem"
    bundle.write_bytes(target.authority.pem())
    assert "kind" in target.server.cli("put", "--bundle", bundle, "--", name, code=None).stderr
    dialogue.quiet()
    assert holds(secrets_of(client.fetch([name]))[name], leaf)


def test_46_no_ttl(target, dialogue):
    """SotW could only carry one in a wrapper, which hear() does not take for a Secret."""
    name = target.name()
    target.put(name)
    assert dialogue.subscribe(name).hear()
    if not dialogue.sotw:
        assert not dialogue.last.resources[0].HasField("ttl")


def test_47_control_plane_is_named(target, client, method):
    name = target.name()
    target.put(name)
    seen = set()
    for _ in range(3):
        d = open_dialogue(client, method).subscribe(name)
        d.take(name)
        seen.add(d.last.control_plane.identifier)
    assert len(seen) == 1 and seen != {""}


def test_48_denied_is_like_unknown(target, dialogue):
    if target.kind == "leafcast":
        target.put(FORBIDDEN)
    known = target.name()
    target.put(known)
    dialogue.subscribe(FORBIDDEN, known)
    secrets, removed = {}, []
    while known not in secrets or not dialogue.sotw and not removed:
        secrets.update(dialogue.hear())
        removed += [] if dialogue.sotw else dialogue.last.removed_resources
        dialogue.ack()
    assert set(secrets) == {known} and removed == ([] if dialogue.sotw else [FORBIDDEN])
    dialogue.quiet()


def test_52_half_close_still_answers(target, dialogue):
    names = [target.name() for _ in range(40)]
    for name in names:
        target.put(name)
    dialogue.subscribe(*names)
    dialogue.stream.half_close()
    got = set()
    while got != set(names):
        got |= set(dialogue.hear())
    assert dialogue.stream.status()[0] == grpc.StatusCode.OK


def test_52_half_close_with_an_unknown_name_ends(target, dialogue):
    name, unknown = target.name(), target.name()
    target.put(name)
    dialogue.subscribe(unknown, name)
    dialogue.stream.half_close()
    assert dialogue.stream.status(15)[0] == grpc.StatusCode.OK
    got = set()
    for answer in dialogue.stream.answers:
        got |= {r.name for r in answer.resources} if not dialogue.sotw else {name} if answer.resources else set()
    assert got == {name}


@pytest.mark.parametrize("method", ["ads-sotw", "ads-delta"], indirect=True)
def test_54_other_types_do_not_mix_in(target, dialogue, method):
    name = target.name()
    target.put(name)
    dialogue.subscribe(name).take(name)
    nonces = {dialogue.last.nonce}
    dialogue.stream.request(["c"], type_url=CLUSTER, **({"nonce": dialogue.last.nonce} if dialogue.sotw else {}))
    leaf = target.put(name)
    assert holds(dialogue.take_one(name), leaf)
    assert dialogue.last.nonce not in nonces
    dialogue.quiet()


@pytest.mark.parametrize("method", ["ads-sotw", "ads-delta"], indirect=True)
def test_55_unsubscribe_to_empty_and_again(target, dialogue, method):
    name = target.name()
    leaf = target.put(name)
    for _ in range(3):
        assert holds(dialogue.subscribe(name).take_one(name), leaf)
        dialogue.unsubscribe(*dialogue.names)
    dialogue.quiet()
    target.put(name)
    dialogue.quiet()


@pytest.mark.parametrize("method", ["ads-sotw", "ads-delta"], indirect=True)
def test_56_nothing_before_the_first_request_for_secrets(target, dialogue, method):
    name = target.name()
    target.put(name)
    dialogue.stream.request([], type_url=CLUSTER)
    target.put(name)
    dialogue.subscribe(name, node=None).take(name)
    assert len(dialogue.stream.answers) == 1


def test_57_fetch(target, client):
    a, b, unknown = target.name(), target.name(), target.name()
    leafs = {a: target.put(a), b: target.put(b)}
    answer = client.fetch([a, unknown, b, a], timeout_s=5)
    secrets = secrets_of(answer)
    assert set(secrets) == {a, b} and all(holds(secrets[n], leafs[n]) for n in leafs)
    assert answer.type_url == SECRET and answer.version_info and answer.control_plane.identifier
    assert not client.fetch([], timeout_s=5).resources and not client.fetch([unknown], timeout_s=5).resources


def test_57_fetch_of_one_name_has_its_version(target, client):
    name = target.name()
    target.put(name)
    stream = open_dialogue(client, "sds-delta").subscribe(name)
    stream.take(name)
    assert client.fetch([name]).version_info == stream.version(name)


def test_58_malformed_message_ends_its_call_alone(target, client, dialogue, method):
    name = target.name()
    target.put(name)
    dialogue.subscribe(name).take(name)
    bad = open_dialogue(client, method)
    bad.stream.send(b"\x0a\xff\xff\xff\xff\x0f")
    code, _ = bad.stream.status()
    assert code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL)
    leaf = target.put(name)
    assert holds(dialogue.take_one(name), leaf)
