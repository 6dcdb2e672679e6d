"""Conformance, state of the world (7 to 26)."""
import pytest
from conformance import ads, client, sotw, target  # noqa: F401
from harness.sds_client import SECRET, nack_status
from harness.dialogue import Dialogue
from harness.target import holds

pytestmark = pytest.mark.sanitized


def test_07_initial_request(target, sotw):
    name = target.name()
    leaf = target.put(name)
    secrets = sotw.subscribe(name).hear()
    assert set(secrets) == {name} and holds(secrets[name], leaf)
    assert sotw.last.type_url == SECRET and sotw.last.version_info and sotw.last.nonce


def test_08_nonces_are_new_and_differ_between_streams(target, client, ads):
    name = target.name()
    target.put(name)
    first, second = (Dialogue(client.sotw(ads=ads)).subscribe(name) for _ in range(2))
    for _ in range(3):
        for d in (first, second):
            d.take(name)
        target.put(name)
    nonces = [answer.nonce for d in (first, second) for answer in d.stream.answers]
    assert len(set(nonces)) == len(nonces)


def test_09_ack_is_not_answered(target, sotw):
    name = target.name()
    target.put(name)
    sotw.subscribe(name).take(name)
    sotw.quiet()


def test_10_nack_is_not_answered_with_the_same(target, sotw):
    name = target.name()
    target.put(name)
    sotw.subscribe(name).hear()
    sotw.nack()
    sotw.quiet()
    assert target.nacked(name)


def test_10_nack_of_a_later_version_never_brings_it_back(target, sotw):
    """The last good content may come once more, the rejected one not."""
    name = target.name()
    good = target.put(name)
    sotw.subscribe(name).take(name)
    target.put(name)
    sotw.hear()
    sotw.nack()
    sotw.subscribe("fence-0")
    seen = []
    while "fence-0" not in seen:
        for got, secret in sotw.hear().items():
            seen.append(got)
            assert got == "fence-0" or holds(secret, good)
        sotw.ack()
    assert seen.count(name) <= 1


def test_11_nack_with_the_sent_version(target, sotw):
    name = target.name()
    target.put(name)
    sotw.subscribe(name).hear()
    sotw.nack(version=sotw.last.version_info)
    sotw.quiet()
    assert target.nacked(name)


def test_12_stale_nonce_is_no_ack_of_the_newer(target, sotw):
    name = target.name()
    target.put(name)
    sotw.subscribe(name).take(name)
    first = sotw.last
    second = target.put(name)
    assert holds(sotw.hear()[name], second)
    newer = sotw.last
    sotw.ack(first)
    third = target.put(name)
    sotw.ack(newer)
    assert holds(sotw.take_one(name), third)
    sotw.quiet()


def test_13_stale_nonce_with_new_names_loses_none(target, sotw):
    a, b = target.name(), target.name()
    target.put(a), target.put(b)
    sotw.subscribe(a).take(a)
    first = sotw.last
    target.put(a)
    sotw.hear()
    newer = sotw.last
    sotw.names.append(b)
    sotw.ack(first)
    sotw.ack(newer)
    sotw.take(b)
    sotw.quiet()


def test_14_added_name_is_served_even_if_sent_before(target, sotw):
    a, b = target.name(), target.name()
    leaf = target.put(a)
    target.put(b)
    sotw.subscribe(a).take(a)
    sotw.unsubscribe(a)
    sotw.subscribe(b).take(b)
    sotw.subscribe(a)
    assert holds(sotw.take_one(a), leaf)


def test_15_removed_name_is_not_served_any_more(target, sotw):
    a, b = target.name(), target.name()
    target.put(a), target.put(b)
    sotw.subscribe(a, b).take(a, b)
    sotw.unsubscribe(a)
    sotw.quiet()
    target.put(a)
    sotw.quiet()
    leaf = target.put(b)
    assert holds(sotw.take_one(b), leaf)


def test_16_empty_list_unsubscribes_all(target, sotw):
    name = target.name()
    target.put(name)
    sotw.subscribe(name).take(name)
    sotw.unsubscribe(name)
    sotw.quiet()
    target.put(name)
    sotw.quiet()


@pytest.mark.parametrize("names", [[], ["*"]], ids=["none", "star"])
def test_17_there_is_no_wildcard(target, sotw, names):
    sotw.subscribe(*names)
    target.put(target.name())
    sotw.quiet()


def test_18_change_is_pushed_with_another_version(target, sotw):
    name = target.name()
    target.put(name)
    sotw.subscribe(name).take(name)
    before = sotw.last.version_info
    leaf = target.put(name)
    assert holds(sotw.take_one(name), leaf)
    assert sotw.last.version_info != before


def test_19_no_change_is_not_pushed(target, sotw):
    name = target.name()
    leaf = target.put(name)
    sotw.subscribe(name).take(name)
    target.put(name, leaf)
    sotw.quiet()
    assert sotw.stream.is_open()


def test_20_unknown_name_waits(target, sotw):
    known, unknown = target.name(), target.name()
    target.put(known)
    sotw.subscribe(unknown, known).take(known)
    sotw.quiet()
    leaf = target.put(unknown)
    assert holds(sotw.take_one(unknown), leaf)


def test_21_reconnect_is_a_fresh_subscription(target, client, ads):
    name = target.name()
    leaf = target.put(name)
    first = Dialogue(client.sotw(ads=ads)).subscribe(name)
    first.take(name)
    first.stream.cancel()
    second = Dialogue(client.sotw(ads=ads))
    second.names = [name]
    second.stream.request([name], version=first.last.version_info)
    assert holds(second.take_one(name), leaf)
    second.quiet()


def test_22_error_in_the_first_request_is_no_nack(target, sotw):
    name = target.name()
    leaf = target.put(name)
    sotw.subscribe(name, error=nack_status())
    assert holds(sotw.take_one(name), leaf)
    assert not target.nacked(name)


def test_23_changes_between_two_acks_are_coalesced(target, sotw):
    name = target.name()
    target.put(name)
    sotw.subscribe(name).take(name)
    target.put(name)
    sotw.hear()
    for _ in range(5):
        leaf = target.put(name)
    sotw.ack()
    assert holds(sotw.take_one(name), leaf)
    sotw.quiet()


def test_24_nothing_twice_and_nothing_else(target, sotw):
    a, b, other = target.name(), target.name(), target.name()
    for name in (a, b, other):
        target.put(name)
    sotw.names = [a, b]
    sotw.stream.request([a, b, a, b])
    sotw.take(a, b)
    target.put(other)
    sotw.quiet()


def test_25_identical_repeat_is_answered(target, sotw):
    """Envoy repeats its last request when a second user of a known name comes up on ADS (envoyproxy/envoy#47309)."""
    name = target.name()
    leaf = target.put(name)
    sotw.subscribe(name).take(name)
    sotw.ack()
    assert holds(sotw.take_one(name), leaf)
    sotw.quiet()


def test_26_deleted_secret_is_not_sent(target, sotw):
    name = target.name()
    target.put(name)
    sotw.subscribe(name).take(name)
    target.delete(name)
    sotw.quiet()
    leaf = target.put(name)
    assert holds(sotw.take_one(name), leaf)
