"""leafcast's clock alone is set (libfaketime), under real Envoys whose own goes on: no handshake fails."""
import glob
import os

import pytest
from harness import paths, wait
from harness.fleet import Fleet

# Backdated by 6 s, renewed after 6 to 12 s.
LIFETIME_S, WINDOW_S = 60, 12
RENEW = {"from": "10%", "to": "20%"}


def library():
    found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    if not found:
        paths.missing("libfaketime (Debian package faketime)")
    return found[0]


class Clock:
    """The wall clock of a program: what the file says is added, from the next reading on."""

    def __init__(self, path):
        self.path = path
        self.set(0)
        self.env = {"LD_PRELOAD": library(), "FAKETIME_TIMESTAMP_FILE": str(path), "FAKETIME_NO_CACHE": "1",
                    "DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}

    def set(self, seconds):
        new = "%s.new" % self.path
        with open(new, "w") as f:
            f.write("%+d\n" % seconds)
        os.rename(new, self.path)


@pytest.fixture
def clock(folder):
    return Clock(folder / "clock")


@pytest.fixture
def fleet(folder, clock):
    made = Fleet(folder, "%ds" % LIFETIME_S, renew=RENEW, env=clock.env)
    made.start_pairs(["delta"], ["unix"])
    made.wait_rotations(1, 60)
    return made


def rotations(fleet):
    return min(p.rotations() for p in fleet.pairs)


def check(fleet):
    fleet.traffic.stop()
    assert not fleet.traffic.failures(), "\n".join(fleet.traffic.failures()[:20])


@pytest.mark.first
@pytest.mark.timeout(280)
def test_a_clock_set_by_less_than_leaves_are_backdated(fleet, clock):
    """To and fro: leaves are issued under each of these clocks."""
    for seconds in (5, 0, -5, 0):
        clock.set(seconds)
        fleet.wait_rotations(rotations(fleet) + 1, 60)
    assert not [e for e in fleet.leafcast.events() if e.get("event") == "clock.doubted"]
    check(fleet)


@pytest.mark.first
@pytest.mark.timeout(280)
@pytest.mark.parametrize("seconds, why", [(3600, "the clock was set ahead by "),
                                          (-3600, "the clock says ")])
def test_a_clock_set_by_more(fleet, clock, seconds, why):
    """Nothing is issued until it agrees, though all would be due by then; what is held is served, and the log says why."""
    mark = fleet.leafcast.mark()
    clock.set(seconds)
    assert why in fleet.leafcast.wait_log("clock.doubted", 30, mark)
    published = fleet.leafcast.mark()
    seen = sum(p.stream.total() for p in fleet.pairs)
    wait.until(lambda: sum(p.stream.total() for p in fleet.pairs) > seen + 100, 60, "traffic meanwhile")
    issued = [e for e in fleet.leafcast.events()[published:] if e.get("event") == "secret.published"]
    assert not issued, issued
    clock.set(0)
    fleet.leafcast.wait_log("clock.agrees", 30, mark)
    fleet.wait_rotations(rotations(fleet) + 1, 60)
    check(fleet)
