"""Killed at any moment: at random ones, and at every named point where two effects belong together."""
import os
import re
import sqlite3
import time

import pytest
from harness import paths, wait
from harness.crash import Rig
from test_trust_fleet import STEPS as TRUST

SHORT, LONG = 12, 500
# Where the server dies while it serves and gets orders (base/crash_point.h); the number: at the n-th time.
SERVING = ["issue.key_made", "issue.answered:3", "store.filled:2", "store.committed:2", "publish.handed_over",
           "publish.stored:2", "publish.sent:2", "rotate.ordered", "backup.copied"]
SEALING = ["seal.key_made", "seal.wrapped", "seal.replaced", "seal.step_filled", "seal.step_committed", "seal.settled"]
STARTING = ["migrate.filled", "migrate.committed", "start.key_made", "start.begun", "store.filled", "store.committed",
            "publish.stored", "publish.sent", "start.completed"]


def test_every_point_is_tried():
    """A point that nobody names proves nothing. Those of a change of trust are tried where there are Envoys for it."""
    named = {name for file in paths.ROOT.glob("*/*.c")
             for name in re.findall(r'\bcrash_point\("([^"]+)"\)', file.read_text())}
    assert {p.split(":")[0] for p in SERVING + SEALING + STARTING + TRUST} == named


@pytest.fixture
def rig(folder):
    made = Rig(folder, seed=int(os.environ.get("LEAFCAST_CRASH_SEED", "7")))
    folder.ending(made.server)
    return made


def kill_at_random(rig, lives):
    rig.start()
    for _ in range(lives):
        def end():
            time.sleep(rig.random.uniform(0, 0.6))  # the moment itself is what is drawn: nothing is waited for
            rig.server.process.kill()
        rig.live(end)
        rig.start()
        rig.judge()
    rig.server.stop()


def test_killed_at_random(rig):
    kill_at_random(rig, SHORT)
    assert rig.lives == SHORT + 1 and rig.seen_in_all > 10


@pytest.mark.long
@pytest.mark.first
@pytest.mark.timeout(3000)
def test_killed_500_times(rig):
    kill_at_random(rig, LONG)
    print("%d kills, %d versions seen, %d puts" % (LONG, rig.seen_in_all, rig.puts))
    assert rig.seen_in_all > LONG


def die_at(rig, point, drive):
    """Start with the point armed, give orders (and this one: drive) until the process is gone."""
    rig.server.extra_env["LEAFCAST_CRASH_AT"] = point
    rig.lives += 1
    rig.server.start()

    def end():
        def gone():
            if drive:
                drive()
            return not rig.server.process.running()
        wait.until(gone, 30, "the death at " + point)
    rig.live(end)
    assert rig.server.process.returncode == -9
    rig.start()
    rig.judge()


@pytest.mark.parametrize("points", [SERVING, SEALING], ids=["serving", "sealing"])
def test_killed_where_it_matters(rig, points):
    """At each point in turn, of one state."""
    rig.start()
    rig.judge()
    for point in points:
        rig.server.kill()
        die_at(rig, point, drive=(lambda: rig.order("seal", "rotate")) if points is SEALING else None)
    rig.server.stop()


@pytest.mark.parametrize("point", STARTING)
def test_killed_while_it_starts_for_the_first_time(rig, point):
    rig.server.extra_env["LEAFCAST_CRASH_AT"] = point
    rig.server.spawn()
    assert rig.server.process.wait(20) == -9
    rig.server.close_notify()
    rig.start()
    rig.judge()
    root = rig.root
    rig.server.kill()
    rig.start()
    rig.judge()
    assert rig.root == root
    rig.server.stop()


@pytest.mark.parametrize("point", ["migrate.filled", "migrate.committed"])
def test_killed_while_it_migrates(rig, point):
    """From the version before the audit trail was a chain, with all that it holds."""
    rig.start()
    rig.put()
    rig.judge()
    rig.server.stop()
    with sqlite3.connect(rig.server.state / "leafcast.db") as db:
        db.executescript("ALTER TABLE audit DROP COLUMN hash; DELETE FROM blob WHERE name = 'audit/head';"
                         "PRAGMA user_version=3")
    db.close()
    rig.server.extra_env["LEAFCAST_CRASH_AT"] = point
    rig.server.spawn()
    assert rig.server.process.wait(20) == -9
    rig.server.close_notify()
    rig.start()
    rig.judge()
    rig.server.stop()
