"""One suite for every kind of authority: each case against each of them, or the table says why it cannot be
(driver_table.py). Cancel at every single await point is in the unit tests: test_builtin_issue, test_vault*, test_step,
test_exec."""
import datetime
import os
import pathlib
import shutil
import signal
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from driver_table import AUTHORITIES, CASES, WHY_NOT
from harness import pki, wait
from harness.authorities import KITS
from harness.fleet import Fleet
from harness.leafcast import Leafcast

PATIENCE_S = 60
NAMES = {"dns": ["web.example"], "uri": ["spiffe://td.example/web"]}


def config(server, authority, lifetime="1h", secrets=None):
    return {"log": {"level": "debug", "format": "json"}, "listen": [{"unix": {"path": server.socket}}],
            "authorities": {"corp": authority}, "profiles": {"workload": {"authority": "corp", "lifetime": lifetime}},
            "secrets": secrets or {"web": {"profile": "workload", **NAMES},
                                   "other": {"profile": "workload", "dns": ["other.example"]},
                                   "roots": {"bundle": ["corp"]}},
            "policy": [{"who": {"uid": os.geteuid()}, "may": ["**"]}]}


class Rig:
    """A leafcast with one authority."""

    def __init__(self, folder, kit, authority=None, **options):
        self.folder, self.kit = folder, kit
        self.server = Leafcast(folder / "leafcast")
        self.server.write_config(config(self.server, authority or kit.authority(), **options))
        folder.ending(self.server)

    def start(self):
        self.server.start()
        return self

    def leaf(self, name="web"):
        files = self.server.get(name, self.folder.path, "cert", "key")
        made = x509.load_pem_x509_certificate(open(files["cert"], "rb").read())
        key = serialization.load_pem_private_key(open(files["key"], "rb").read(), None)
        assert made.public_key() == key.public_key()
        return made

    def rotate(self, name="web"):
        """Whether it went well, and the words."""
        done = self.server.cli("rotate", name, code=None, timeout_s=2 * PATIENCE_S)
        return done.returncode == 0, done.stderr

    def rotate_well(self, name="web"):
        before = self.leaf(name)
        well, words = self.rotate(name)
        assert well, words
        after = self.leaf(name)
        assert after.serial_number != before.serial_number and after.public_key() != before.public_key()
        return after

    def rotate_in_the_end(self):
        wait.until(lambda: self.rotate()[0], PATIENCE_S, lambda: "a new leaf:\n" + self.server.process.tail(),
                   poll_s=0.2)

    def rotate_fails(self, *words):
        before = self.leaf()
        well, said = self.rotate()
        assert not well and all(w in said for w in words), (words, said)
        assert self.leaf() == before                    # what there is stays
        return said

    def roots(self):
        text = open(self.server.get("roots", self.folder.path, "bundle")["bundle"], "rb").read()
        return {c.fingerprint(c.signature_hash_algorithm) for c in x509.load_pem_x509_certificates(text)}


class Aside(threading.Thread):
    """A call that blocks, in a thread of its own."""

    def __init__(self, function):
        super().__init__(daemon=True)
        self.function, self.result = function, None
        self.start()

    def run(self):
        self.result = self.function()

    def ended(self):
        self.join(2 * PATIENCE_S)
        assert not self.is_alive()
        return self.result


# --- the cases -----------------------------------------------------------------------------------------------------------
def issue(folder, kit):
    rig = Rig(folder, kit).start()
    got = rig.leaf()
    names = got.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == NAMES["dns"]
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == NAMES["uri"] and len(names) == 2
    assert not any(e.value.ca for e in got.extensions if isinstance(e.value, x509.BasicConstraints))
    before = {n: rig.leaf(n) for n in ("web", "other")}
    assert "sha256" in rig.server.cli("authority", "test", "corp").stdout
    rig.server.stop()
    rig.server.start()                                  # a restart serves what there is
    assert {n: rig.leaf(n) for n in before} == before
    if hasattr(kit, "issued"):
        assert kit.issued() == 3                        # web, other, the trial


def renew(folder, kit):
    secrets = {"web": {"profile": "workload", **NAMES}, "roots": {"bundle": ["corp"]}}
    rig = Rig(folder, kit, lifetime="10s", secrets=secrets).start()
    seen = [rig.leaf()]

    def renewed():
        now = rig.leaf()
        assert now.not_valid_after_utc >= seen[-1].not_valid_after_utc
        if now != seen[-1]:
            seen.append(now)
        return len(seen) == 3
    wait.until(renewed, PATIENCE_S, "two renewals", poll_s=0.1)
    for old, new in zip(seen, seen[1:]):
        assert new.not_valid_before_utc < old.not_valid_after_utc and new.public_key() != old.public_key()
    assert not [e for e in rig.server.events() if e.get("event") == "secret.expired"]


def rekey(folder, kit):
    rig = Rig(folder, kit).start()
    assert len({rig.rotate_well().public_bytes(serialization.Encoding.DER) for _ in range(3)}) == 3
    if hasattr(kit, "issued"):
        assert kit.issued() == 5
    if hasattr(kit, "counted"):                         # renewed under the leaf in use
        assert kit.counted("/1.0/rekey") == 3 and kit.counted("/1.0/sign") == 2


def credentials(folder, kit):
    kit.poll = "1s"
    rig = Rig(folder, kit).start()
    kit.end_credentials()
    test = ("authority", "test", "corp")                # always by a login, never under the leaf in use
    assert rig.server.cli(*test, code=None, timeout_s=PATIENCE_S).returncode
    kit.put_credentials()
    wait.until(lambda: rig.server.cli(*test, code=None, timeout_s=PATIENCE_S).returncode == 0, PATIENCE_S,
               lambda: rig.server.process.tail())
    rig.rotate_in_the_end()


def restart(folder, kit):
    rig = Rig(folder, kit).start()
    before, roots = rig.leaf(), rig.roots()
    away = kit.down()
    if away:
        rig.rotate_fails()
    rig.server.stop()
    rig.server.start()
    assert rig.leaf() == before and rig.roots() == roots
    if away:
        rig.rotate_fails()
    kit.up()
    rig.rotate_in_the_end()
    assert rig.roots() == roots


def pause(folder, kit):
    rig = Rig(folder, kit).start()
    before = rig.leaf()
    if hasattr(kit, "pause"):
        kit.pause()
        asked = kit.asked()
        order = Aside(rig.rotate)
        wait.until(lambda: kit.asked() > asked, PATIENCE_S, "a request to one that stands still")
    else:                                               # a command that stops itself
        kit.hold_next()
        order = Aside(rig.rotate)
        wait.until(kit.held, PATIENCE_S, "a command that stands still")
    assert rig.leaf() == before and rig.server.status()["secrets"]
    kit.resume()
    order.ended()
    rig.rotate_in_the_end()
    assert rig.leaf() != before


def slow(folder, kit):
    kit.slow()
    rig = Rig(folder, kit).start()
    rig.rotate_well()


def half_open(folder, kit):
    rig = Rig(folder, kit).start()
    kit.hold_next()
    order = Aside(rig.rotate)
    wait.until(kit.held, PATIENCE_S, "a connection that fell silent")
    rig.rotate_well("other")
    assert order.is_alive()
    kit.let_go()
    order.ended()
    rig.rotate_in_the_end()


def malformed(folder, kit):
    rig = Rig(folder, kit).start()
    kit.garbage()
    rig.rotate_fails()
    kit.pass_()
    rig.rotate_in_the_end()
    for status, says in [(200, b""), (200, b"{"), (200, b"[]"), (200, b'{"data":{}}'), (200, b'{"data":{"certificate":1}}'),
                         (200, b'{"data":{"certificate":"x"}}'), (301, b"{}"), (404, b"<html>"), (400, b'{"errors":{}}')]:
        if hasattr(kit, "server") and hasattr(kit.server, "says"):
            kit.server.says = (status, says)
            rig.rotate_fails()
            kit.server.says = None
            rig.rotate_in_the_end()


def oversized(folder, kit):
    rig = Rig(folder, kit).start()
    if hasattr(kit, "oversized"):
        kit.oversized()
    else:
        kit.server.says = (200, b'{"data":"' + b"x" * 5000000 + b'"}')
    rig.rotate_fails("bytes")
    if hasattr(kit, "oversized"):
        kit.pass_()
    else:
        kit.server.says = None
    rig.rotate_in_the_end()


def lies(folder, kit):
    """Leaves that the core must not take, each refused in words that say what is wrong with it."""
    rig = Rig(folder, kit).start()
    stranger = pki.authority("Stranger")
    for change, words in (({"names": ["evil.example"]}, "not those that were asked for"),
                          ({"key": pki.new_key().public_key()}, "another public key"),
                          ({"signer": stranger, "shown": kit.server.signer}, "does not lead to one of the")):
        kept = {name: getattr(kit.server, name) for name in change}
        for name, value in change.items():
            setattr(kit.server, name, value)
        assert "rejected answer" in rig.rotate_fails(words)
        for name, value in kept.items():
            setattr(kit.server, name, value)
        rig.rotate_in_the_end()


def root_rotation(folder, kit):
    kit.poll = "1s"
    rig = Rig(folder, kit).start()
    before, (old,) = rig.leaf(), rig.roots()
    if not hasattr(kit, "add_root"):
        rig.server.cli("trust", "rotate", "corp", "--over", "2s", "--yes")
        wait.until(lambda: len(rig.roots()) == 2, PATIENCE_S, "both roots")
    else:
        kit.add_root()
        wait.until(lambda: len(rig.roots()) == 2, PATIENCE_S, "both roots")
        assert rig.leaf() == before
        kit.sign_by_new_root()
        rig.rotate_in_the_end()

    def under_new():
        return signer(rig.leaf()) != signer(before)
    wait.until(under_new, PATIENCE_S, lambda: "a leaf under the new root:\n" + rig.server.process.tail(), poll_s=0.1)
    assert old in rig.roots() and len(rig.roots()) == 2
    rig.server.stop()
    rig.server.start()
    assert under_new() and len(rig.roots()) == 2


def signer(leaf):
    """What tells one issuer from another."""
    ids = [e.value.key_identifier for e in leaf.extensions if isinstance(e.value, x509.AuthorityKeyIdentifier)]
    return leaf.issuer, ids


def revoke(folder, kit):
    rig = Rig(folder, kit).start()
    before = rig.leaf()
    assert not kit.revoked(before.serial_number)
    rig.server.cli("revoke", "web", "--reason", "key-compromise", timeout_s=PATIENCE_S)
    wait.until(lambda: kit.revoked(before.serial_number), PATIENCE_S, lambda: rig.server.process.tail())
    assert rig.leaf().public_key() != before.public_key() and not kit.revoked(rig.leaf().serial_number)


def cancel(folder, kit):
    """A stop ends what is under way, at each message of the start and later: well, and long before any time limit. Two
    messages may arrive as one: then a start needs fewer of them, and is ready."""
    rig, caught = Rig(folder, kit), 0

    def is_ready():
        return any(e.get("event") == "leafcast.ready" for e in rig.server.events())

    for step in range(kit.steps):
        kit.hold_next(step)
        rig.server.spawn()
        wait.until(lambda: kit.held() or is_ready(), PATIENCE_S,
                   lambda: "a message that is not answered:\n" + rig.server.process.tail())
        caught += bool(kit.held())
        rig.server.stop()
        kit.pass_()
        shutil.rmtree(rig.server.state)                 # the next one is a first start too
    assert caught * 2 > kit.steps, caught
    rig.start()
    kit.hold_next()
    order = Aside(rig.rotate)
    wait.until(kit.held, PATIENCE_S, "a leaf that does not come")
    rig.server.stop()
    assert not order.ended()[0]
    kit.pass_()
    rig.start()
    rig.rotate_in_the_end()


def clock_skew(folder, kit):
    """A leaf that began long ago lasts as long as it says; one that begins later is refused, and why."""
    if hasattr(kit, "lag"):
        kit.lag()
    else:
        kit.server.starts_s = -1200
    rig = Rig(folder, kit).start()
    for got in rig.leaf(), rig.rotate_well():
        assert (datetime.datetime.now(datetime.timezone.utc) - got.not_valid_before_utc).total_seconds() >= 1199
    if not hasattr(kit, "lag"):
        kit.server.starts_s = 1200
        assert "the authority's clock or ours is wrong" in rig.rotate_fails("rejected answer")
        kit.server.starts_s = -1
        rig.rotate_in_the_end()


def processes(pid):
    """Of leafcast and of whatever it runs."""
    found = [pid]
    for one in found:
        for task in pathlib.Path("/proc/%d/task" % one).glob("*/children"):
            found += [int(child) for child in task.read_text().split()]
    return found


def secrets(folder, kit):
    """Of the authority, in good and in bad times."""
    authority, hidden = kit.with_secrets()
    rig = Rig(folder, kit, authority=authority)
    rig.server.extra_env.update(getattr(kit, "env", {}))
    rig.start()
    rig.rotate_well()
    if hasattr(kit, "garbage"):
        kit.garbage()
        rig.rotate_fails()
        kit.pass_()
    if hasattr(kit, "end_credentials"):
        kit.end_credentials()
        rig.server.cli("authority", "test", "corp", code=None, timeout_s=PATIENCE_S)
    seen = {"metrics": rig.server.metrics().encode(), "status": rig.server.cli("status", "--json").stdout.encode(),
            "authorities": rig.server.cli("authority", "list", "--json").stdout.encode(),
            "audit": rig.server.cli("audit", "export").stdout.encode()}
    if hasattr(kit, "stall") and not hasattr(kit, "asked"):         # a command shows in the process list while it runs
        kit.stall()
        order = Aside(rig.rotate)
        wait.until(lambda: len(processes(rig.server.process.pid)) > 1, PATIENCE_S, "the command")
    for pid in processes(rig.server.process.pid):
        seen["cmdline of %d" % pid] = pathlib.Path("/proc/%d/cmdline" % pid).read_bytes()
    if hasattr(kit, "stall") and not hasattr(kit, "asked"):
        kit.go_on()
        order.ended()
    rig.server.stop()
    for path in rig.server.folder.rglob("*"):
        if path.is_file():
            seen[str(path)] = path.read_bytes()
    assert any(str(rig.server.state) in name and content for name, content in seen.items())
    assert b"rotation.failed" in seen[str(rig.server.folder / "leafcast.log")] or not hasattr(kit, "garbage")
    for where, content in seen.items():
        for text in hidden:
            assert len(text) >= 4 and text not in content, where


SIDES = ("server-cert", "client-cert")


def fleet(folder, kit, rotations=1):
    """Two Envoys with mutual TLS under traffic: renewals, a new root of the server, and a server that stands still for
    longer than a renewal window; no request fails."""
    kit.poll = "1s"
    made = Fleet(folder, "24s", authority=kit.authority())
    made.start_pairs(["delta"], ["unix"])
    server, stream = made.leafcast, made.pairs[0].stream

    def leaf(name):
        return x509.load_pem_x509_certificate(open(server.get(name, folder.path, "cert")["cert"], "rb").read())

    def versions():
        return {s["name"]: s["version"] for s in server.status()["secrets"] if s["name"] in SIDES}

    def left_s():
        now = datetime.datetime.now(datetime.timezone.utc)
        return min((leaf(name).not_valid_after_utc - now).total_seconds() for name in SIDES)
    made.wait_rotations(rotations, 60 * rotations)
    old = signer(leaf(SIDES[0]))
    kit.add_root()
    wait.until(lambda: open(server.get("mesh-roots", folder.path, "bundle")["bundle"]).read().count("BEGIN CERT") == 2,
               PATIENCE_S, "both roots in the bundle", poll_s=0.1)
    kit.sign_by_new_root()
    wait.until(lambda: all(signer(leaf(name)) != old for name in SIDES), PATIENCE_S, lambda: "both sides under the new root:\n"
               + server.process.tail(), poll_s=0.1)
    for name in SIDES:
        server.cli("rotate", name, timeout_s=PATIENCE_S)
    before = versions()
    kit.stall()
    try:
        wait.until(lambda: left_s() < 6, PATIENCE_S, "the greater part of a life", poll_s=0.1)
        assert versions() == before
    finally:
        kit.go_on()
    wait.until(lambda: all(versions()[name] != before[name] for name in SIDES), PATIENCE_S,
               lambda: server.process.tail(), poll_s=0.1)
    seen = stream.total()
    wait.until(lambda: stream.total() > seen + 20, PATIENCE_S, "traffic under the newest leaves")
    made.traffic.stop()
    assert not made.traffic.failures(), made.traffic.failures()[:5]
    assert not [e for e in server.events() if e.get("event") == "secret.expired"]


def thousand(folder, kit, count):
    """One request a name, and one more for each rotation that is ordered."""
    names = ["n%d" % i for i in range(count)]
    secrets = {n: {"profile": "workload", "dns": [n + ".example"]} for n in names}
    rig = Rig(folder, kit, secrets={**secrets, "roots": {"bundle": ["corp"]}})
    rig.server.spawn()
    rig.server.wait_notify("READY=1", 5 * PATIENCE_S)
    wait.until(lambda: all(s["state"] == "ok" for s in rig.server.status()["secrets"]), 5 * PATIENCE_S, "all of them",
               poll_s=0.5)
    for n in names[:3]:
        assert rig.rotate(n)[0]
    if hasattr(kit, "issued"):
        assert kit.issued() == count + 3
    assert len([e for e in rig.server.events() if e.get("event") == "authority.logged_in"]) <= 1
    assert not [e for e in rig.server.events() if e.get("event") == "rotation.failed"]


# --- the suite -----------------------------------------------------------------------------------------------------------
# A command a name is slow (a Python and an openssl each): the whole thousand is a long form.
COUNTS = {"exec": 60}
CELLS = [(case, name) for case in CASES for name in AUTHORITIES if (case, name) not in WHY_NOT]


def run(folder, case, authority, **more):
    kit = KITS[authority](folder)
    folder.ending(kit)
    globals()[case](folder, kit.start(), **more)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("case, authority", [
    pytest.param(case, name, marks=[pytest.mark.first] if case in ("thousand", "fleet") else []) for case, name in CELLS])
def test_driver(folder, case, authority):
    more = {"count": COUNTS.get(authority, 1000)} if case == "thousand" else {}
    run(folder, case, authority, **more)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_thousand_names_by_a_command(folder):
    run(folder, "thousand", "exec", count=1000)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("authority", ["openbao", "step", "exec"])
def test_ten_renewals(folder, authority):
    run(folder, "fleet", authority, rotations=10)


def test_a_crash_leaves_no_core(folder):
    """leafcast's own limit counts, whatever it is started with."""
    rig = Rig(folder, KITS["builtin"](folder).start())
    rig.server.spawn(prefix=["prlimit", "--core=unlimited"])
    rig.server.wait_notify("READY=1")
    with open("/proc/%d/limits" % rig.server.process.pid) as f:
        (line,) = [line for line in f if line.startswith("Max core file size")]
    assert line.split()[4:6] == ["0", "0"]
    rig.server.process.signal(signal.SIGSEGV)
    assert rig.server.process.wait(PATIENCE_S) == -signal.SIGSEGV
    assert not list(rig.server.folder.glob("core*"))
    rig.server.close_notify()
