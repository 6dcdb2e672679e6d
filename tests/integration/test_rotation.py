"""Real Envoys with mutual TLS between them rotate in place: no failed request, no leaf too old, no needless rebuild."""
import pytest
from harness import examples, wait
from harness.fleet import Fleet

LIFETIME_S = 15
ROTATIONS = 10


def versions(server):
    return {s["entry"]: s["version"] for s in server.status()["secrets"] if s["state"] == "ok"}


def steady(envoy, scope):
    """(serials, context updates) of one moment."""
    while True:
        before, updates, after = envoy.serials(), envoy.context_updates(scope), envoy.serials()
        if before == after:
            return before, updates


def serial_of(pair, side):
    """The serial that this side's Envoy uses now, and how often its context was made anew until then."""
    envoy, scope = pair.sides()[side]
    serials, updates = steady(envoy, scope)
    mine = [s for s in serials if s in pair.stream.leafs[side]]
    assert len(mine) == 1, "%s %s shows %s" % (pair.name, side, serials)
    return mine[0], updates


def newer(pair, side, serial):
    """How many leafs of this side came after the one with this serial."""
    leafs = sorted(pair.stream.leafs[side].values(), key=lambda leaf: leaf.not_after)
    return len(leafs) - 1 - [leaf.serial for leaf in leafs].index(serial)


def each_side(fleet):
    return [(pair, side) for pair in fleet.pairs for side in ("server", "client")]


def rotate_and_settle(fleet):
    """New leafs everywhere, so that no renewal is due in the next half life."""
    before = {(pair, side): set(pair.stream.leafs[side]) for pair, side in each_side(fleet)}
    for name in ("server-cert", "client-cert"):
        fleet.leafcast.cli("rotate", name)
    wait.until(lambda: all(set(pair.stream.leafs[side]) - before[pair, side] for pair, side in each_side(fleet)), 10,
               "the ordered rotation in every Envoy")


def crash_and_compare(fleet):
    """kill -9 and start again: the same versions, every stream back, no context made anew."""
    rotate_and_settle(fleet)
    held = versions(fleet.leafcast)
    before = {(pair, side): serial_of(pair, side) for pair, side in each_side(fleet)}
    fleet.leafcast.kill()
    fleet.leafcast.start()
    assert versions(fleet.leafcast) == held
    fleet.wait_connected()
    for pair, side in each_side(fleet):
        serial, updates = serial_of(pair, side)
        was_serial, was_updates = before[pair, side]
        assert updates - was_updates == (serial != was_serial), "%s %s: rebuilt without need" % (pair.name, side)


def check_all(fleet, since):
    fleet.traffic.stop()
    assert not fleet.traffic.failures(), "\n".join(fleet.traffic.failures()[:20])
    for pair, side in each_side(fleet):
        for leaf in pair.stream.leafs[side].values():
            # A printed notAfter has lost its fraction of a second, so the life is up to one second shorter than asked.
            left = leaf.not_after - leaf.last
            assert left >= 0.2 * (LIFETIME_S - 1), "%s %s: %.1f s left" % (pair.name, side, left)
        serial, updates = since[pair, side]
        envoy, scope = pair.sides()[side]
        assert envoy.context_updates(scope) - updates == newer(pair, side, serial), (pair.name, side)
        assert envoy.rejected() == 0
    for pair in fleet.pairs:
        assert all(count > 50 for count in pair.stream.requests.values()), (pair.name, pair.stream.requests)


@pytest.mark.first
@pytest.mark.timeout(420)
@pytest.mark.parametrize("workers", [1, 4])
def test_ten_rotations_under_traffic(folder, workers):
    fleet = Fleet(folder, "%ds" % LIFETIME_S, workers, tcp=True)
    fleet.start_pairs(examples.FLAVOURS, ("unix", "tcp"))
    since = {(pair, side): serial_of(pair, side) for pair, side in each_side(fleet)}
    fleet.wait_rotations(ROTATIONS // 2, 120)
    crash_and_compare(fleet)
    fleet.wait_rotations(ROTATIONS, 120)
    check_all(fleet, since)


@pytest.mark.first
@pytest.mark.sanitized
@pytest.mark.timeout(180)
@pytest.mark.parametrize("flavour", ["delta", "ads"])
def test_a_few_rotations(folder, flavour):
    fleet = Fleet(folder, "%ds" % LIFETIME_S, 2, tcp=True)
    fleet.start_pairs([flavour], ["unix" if flavour == "delta" else "tcp"])
    since = {(pair, side): serial_of(pair, side) for pair, side in each_side(fleet)}
    fleet.wait_rotations(2, 60)
    crash_and_compare(fleet)
    check_all(fleet, since)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_hundred_rotations(folder):
    fleet = Fleet(folder, "%ds" % LIFETIME_S, 4, tcp=True)
    fleet.start_pairs(examples.FLAVOURS, ("unix", "tcp"))
    since = {(pair, side): serial_of(pair, side) for pair, side in each_side(fleet)}
    for until in (25, 50, 75):
        fleet.wait_rotations(until, 600)
        crash_and_compare(fleet)
    fleet.wait_rotations(100, 600)
    check_all(fleet, since)
