"""Conformance, delta (27 to 43)."""
import pytest
from conformance import ads, client, delta, target  # noqa: F401
from harness.dialogue import Dialogue
from harness.sds_client import SECRET
from harness.target import holds

pytestmark = pytest.mark.sanitized


def hear_removed(delta, *names):
    """Answers until each of names was said to be removed; nothing else came."""
    found = []
    while len(found) < len(names):
        assert not delta.hear()
        delta.ack()
        found += delta.last.removed_resources
    assert sorted(found) == sorted(names)


def test_27_subscribe(target, delta):
    name = target.name()
    leaf = target.put(name)
    secrets = delta.subscribe(name).hear()
    assert set(secrets) == {name} and holds(secrets[name], leaf)
    assert delta.version(name) and delta.last.nonce and delta.last.system_version_info
    assert delta.last.type_url == SECRET


def test_28_subscribe_again_is_answered_again(target, delta):
    name = target.name()
    leaf = target.put(name)
    delta.subscribe(name).take(name)
    delta.subscribe(name)
    assert holds(delta.take_one(name), leaf)
    delta.quiet()


def test_29_unknown_name_is_removed_and_stays_subscribed(target, delta):
    name = target.name()
    delta.subscribe(name)
    hear_removed(delta, name)
    leaf = target.put(name)
    assert holds(delta.take_one(name), leaf)


def test_30_deletion_is_told_once(target, delta):
    a, b = target.name(), target.name()
    target.put(a), target.put(b)
    delta.subscribe(a).take(a)
    target.delete(b)
    delta.quiet()
    target.delete(a)
    hear_removed(delta, a)
    delta.quiet()


def test_31_unsubscribe(target, delta):
    name, never = target.name(), target.name()
    target.put(name)
    delta.subscribe(name).take(name)
    delta.unsubscribe(name, never)
    delta.quiet()
    target.put(name)
    delta.quiet()


def test_32_both_in_one_request_leaves_the_stream_whole(target, delta):
    """unsubscribe is carried out first: the name is subscribed afterwards."""
    name = target.name()
    target.put(name)
    delta.stream.request(subscribe=[name], unsubscribe=[name])
    delta.take(name)
    leaf = target.put(name)
    assert holds(delta.take_one(name), leaf)


def test_33_lists_ride_on_ack_and_nack(target, delta):
    a, b, c = target.name(), target.name(), target.name()
    for name in (a, b, c):
        target.put(name)
    delta.subscribe(a).hear()
    delta.stream.ack(delta.last, subscribe=[b])
    delta.hear()
    delta.stream.nack(delta.last, subscribe=[c], unsubscribe=[a])
    delta.take(c)
    target.put(a)
    delta.quiet()
    assert target.nacked(b) and not target.nacked(a)


def test_33_nack_keeps_the_subscription(target, delta):
    name = target.name()
    target.put(name)
    delta.subscribe(name).hear()
    delta.nack()
    delta.quiet()
    leaf = target.put(name)
    assert holds(delta.take_one(name), leaf)


@pytest.mark.parametrize("nonce", ["stale", "unknown"])
def test_34_lists_with_an_old_nonce_count(target, delta, nonce):
    a, b = target.name(), target.name()
    target.put(a), target.put(b)
    delta.subscribe(a).take(a)
    stale = delta.last.nonce
    target.put(a)
    delta.take(a)
    delta.stream.request(subscribe=[b], nonce=stale if nonce == "stale" else "never-given")
    delta.take(b)
    delta.quiet()


def test_35_empty_nonce_is_no_ack(target, delta):
    a, b = target.name(), target.name()
    target.put(a), target.put(b)
    delta.subscribe(a).hear()
    offer = delta.last
    delta.subscribe(b)
    delta.take(b)
    leaf = target.put(a)
    delta.quiet()
    delta.ack(offer)
    assert holds(delta.take_one(a), leaf)


def test_36_claimed_versions(target, client, ads):
    a, b, gone = target.name(), target.name(), target.name()
    leaf = target.put(a)
    target.put(b)
    first = Dialogue(client.delta(ads=ads)).subscribe(a)
    first.take(a)
    version = first.version(a)
    second = Dialogue(client.delta(ads=ads))
    second.stream.request(subscribe=[a, gone], initial={a: version, b: "1", gone: "1"})
    seen = {}
    while len(seen) < 2:
        seen.update(second.hear())
        seen.update({n: None for n in second.last.removed_resources})
        second.ack()
    assert set(seen) == {a, gone} and holds(seen[a], leaf) and seen[gone] is None
    target.put(b)
    second.quiet()


def test_37_claims_after_the_first_request_are_ignored(target, delta):
    a, b = target.name(), target.name()
    target.put(a)
    leaf = target.put(b)
    delta.subscribe(a).take(a)
    delta.stream.request(subscribe=[b], initial={b: "1", a: "1"})
    assert holds(delta.take_one(b), leaf)
    delta.quiet()


def test_38_nothing_without_names(target, delta):
    delta.stream.request()
    target.put(target.name())
    name = target.name()
    target.put(name)
    delta.subscribe(name)
    while name not in (secrets := delta.hear()):
        assert not secrets and list(delta.last.removed_resources) == ["*"]
        delta.ack()
    assert set(secrets) == {name}


def test_38_star_yields_nothing(target, delta):
    target.put(target.name())
    delta.subscribe("*")
    hear_removed(delta, "*")
    target.put(target.name())
    delta.quiet()


def test_39_only_what_changed(target, delta):
    names = [target.name() for _ in range(4)]
    for name in names:
        target.put(name)
    delta.subscribe(*names).take(*names)
    target.put(names[2])
    delta.take(names[2])
    delta.quiet()


def test_40_version_follows_content(target, client, ads):
    name = target.name()
    leaf = target.put(name)
    versions = []
    for content in (leaf, None, leaf):
        if content is None:
            target.put(name)
        else:
            target.put(name, content)
        d = Dialogue(client.delta(ads=ads)).subscribe(name)
        d.take(name)
        versions.append(d.version(name))
    assert versions[0] == versions[2] != versions[1]


def test_41_nacked_version_does_not_come_again(target, delta):
    name = target.name()
    good = target.put(name)
    delta.subscribe(name).take(name)
    bad = target.put(name)
    assert holds(delta.hear()[name], bad)
    delta.nack()
    delta.stream.request(subscribe=["no-such-41"])
    seen, fenced = [], False
    while not fenced:
        seen += delta.hear().values()
        fenced = "no-such-41" in delta.last.removed_resources
        delta.ack()
    assert len(seen) <= 1 and all(holds(s, good) for s in seen)
    newer = target.put(name)
    assert holds(delta.take_one(name), newer)


def test_42_plain_resources(target, delta):
    name = target.name()
    target.put(name)
    delta.subscribe(name).hear()
    resource = delta.last.resources[0]
    assert not resource.HasField("resource_name") and not resource.aliases
    assert not resource.HasField("ttl") and not resource.HasField("cache_control")


def test_43_one_resource_a_response(target, delta):
    names = [target.name() for _ in range(5)]
    for name in names:
        target.put(name)
    delta.subscribe(*names).take(*names)
    assert all(len(a.resources) + len(a.removed_resources) == 1 for a in delta.stream.answers)
