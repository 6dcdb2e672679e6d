"""The state as a whole: its seal rotated, copied, put back and listed, with a server that goes on serving."""
import csv
import io
import json
import os
import shutil
import sqlite3
import stat
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from harness import leafcast, pki, wait
from harness.sds_client import SdsClient, secrets_of
from harness.target import ENVOY_URI, config

PUT = ["put-%d" % i for i in range(40)]
CONFIGURED = ["envoy-node", "mesh-roots"]


@pytest.fixture
def server(folder):
    made = leafcast.Leafcast(folder / "leafcast")
    made.write_config(config(1, os.geteuid(), listen=[{"unix": {"path": made.socket}}]))
    return folder.ending(made).start()


@pytest.fixture
def full(server, folder):
    """Some secrets put, beside what the config names."""
    authority = pki.authority()
    for name in PUT:
        leaf = pki.make(name, authority, dns=[name + ".example"])
        chain, key = folder / "chain.pem", folder / "key.pem"
        chain.write_bytes(leaf.chain_pem())
        key.write_bytes(leaf.key_pem())
        server.cli("put", name, "--cert", chain, "--key", key)
    return server


def held(server, names):
    """name -> (version, Secret bytes): what a proxy gets."""
    with SdsClient("unix:" + server.socket) as client:
        return {n: (a.version_info, secrets_of(a)[n].SerializeToString()) for n in names for a in [client.fetch([n])]}


def restart(server):
    server.kill()
    server.start()


def names_in(server):
    return sorted(os.listdir(server.state))


# --- seal rotate -----------------------------------------------------------------------------------------------------
def test_seal_rotate(full, folder):
    before, former = held(full, PUT + CONFIGURED), (full.state / "seal.key").read_bytes()
    assert "records" in full.cli("seal", "rotate").stdout
    assert (full.state / "seal.key").read_bytes() != former
    assert stat.S_IMODE(os.stat(full.state / "seal.key").st_mode) == 0o600
    assert "seal.key.new" not in names_in(full)
    assert held(full, before) == before
    restart(full)
    assert held(full, before) == before
    full.stop()
    (full.state / "seal.key").write_bytes(former)
    full.spawn()
    assert full.process.wait(15) != 0
    full.close_notify()
    assert "the seal key does not open this state" in full.process.tail()


def test_seal_rotate_to_a_key_of_the_operators(full, folder):
    before = held(full, PUT)
    given = folder / "given.key"
    given.write_text(os.urandom(32).hex() + "\n")
    given.chmod(0o600)
    assert "Put the new key in the place of the former" in full.cli("seal", "rotate", "--to", given).stdout
    restart(full)  # with the former one
    assert held(full, PUT) == before
    full.stop()
    shutil.copy(given, full.state / "seal.key")
    mark = 0
    full.start()
    full.wait_log("seal.renewed", start=mark)
    assert held(full, PUT) == before
    restart(full)
    assert held(full, PUT) == before


@pytest.mark.parametrize("content, words", [(b"short", "no seal key"), (b"x" * 64, "no seal key")])
def test_seal_rotate_refuses_what_is_no_key(full, folder, content, words):
    given = folder / "given.key"
    given.write_bytes(content)
    given.chmod(0o600)
    assert words in full.cli("seal", "rotate", "--to", given, code=1).stderr
    given.write_bytes(b"y" * 32)
    given.chmod(0o644)
    assert "open to others" in full.cli("seal", "rotate", "--to", given, code=1).stderr
    assert "leafcast seal rotate" in full.cli("seal", "turn", code=1).stderr


def test_seal_rotate_with_a_credential(folder):
    """Only the unit can replace it."""
    credentials = folder / "credentials"
    credentials.mkdir()
    (credentials / "seal.key").write_text(os.urandom(32).hex())
    (credentials / "seal.key").chmod(0o400)
    server = folder.ending(leafcast.Leafcast(folder / "leafcast", env={"CREDENTIALS_DIRECTORY": str(credentials)}))
    server.start()
    before = held(server, ["default"])
    assert "systemd credential" in server.cli("seal", "rotate", code=1).stderr
    given = folder / "given.key"
    given.write_text(os.urandom(32).hex())
    given.chmod(0o600)
    server.cli("seal", "rotate", "--to", given)
    server.stop()
    (credentials / "seal.key").chmod(0o600)
    shutil.copy(given, credentials / "seal.key")
    server.start()
    server.wait_log("seal.renewed")
    assert held(server, ["default"]) == before


# --- backup and restore ----------------------------------------------------------------------------------------------
def test_backup_and_restore(full, folder):
    before, backup, safe = held(full, PUT + CONFIGURED), folder / "copy.db", folder / "safe.key"
    out = full.cli("backup", backup).stdout
    assert "versions of" in out and "seal key is not in it" in out
    assert stat.S_IMODE(os.stat(backup).st_mode) == 0o600
    assert not [n for n in os.listdir(backup.parent) if n.startswith("copy.db-")]
    assert "backup.tmp" not in names_in(full)
    assert b"PRIVATE KEY" not in backup.read_bytes()
    shutil.copy(full.state / "seal.key", safe)
    in_use = full.cli("restore", backup, "--state", full.state, "--seal-key", safe, code=1)
    assert "is in use by another leafcast" in in_use.stderr
    full.stop()
    occupied = full.cli("restore", backup, "--state", full.state, "--seal-key", safe, code=1)
    assert "is not empty" in occupied.stderr
    shutil.rmtree(full.state)
    assert "seal key of its day" in full.cli("restore", backup, "-c", full.config_file, code=1).stderr
    assert "versions of" in full.cli("restore", backup, "-c", full.config_file, "--seal-key", safe).stdout
    assert all(stat.S_IMODE(os.stat(full.state / n).st_mode) == 0o600 for n in names_in(full))
    full.start()
    assert held(full, before) == before


def test_restore_beside_what_a_crash_left(full, folder):
    """A copy that was being made, a seal key that was to come next: neither keeps an operator from his backup."""
    before, backup = held(full, PUT), folder / "copy.db"
    full.cli("backup", backup)
    full.kill()
    (full.state / "leafcast.db").unlink()
    (full.state / "leafcast.db-wal").unlink(missing_ok=True)
    (full.state / "leafcast.db-shm").unlink(missing_ok=True)
    (full.state / "backup.tmp").write_bytes(b"half of it")
    for name in ("seal.key.new", "seal.key.new.4711.new"):
        (full.state / name).write_text(os.urandom(32).hex())
        (full.state / name).chmod(0o600)
    (full.state / "seal.key.mine").write_text("an operator's")
    refused = full.cli("restore", backup, "-c", full.config_file, code=1)
    assert "is not empty (seal.key.mine)" in refused.stderr
    (full.state / "seal.key.mine").unlink()
    full.cli("restore", backup, "-c", full.config_file)
    full.start()
    assert held(full, PUT) == before
    assert not {"backup.tmp", "seal.key.new"} & set(names_in(full))


def test_backup_overwrites_nothing(server, folder):
    there = folder / "there"
    there.write_text("mine")
    assert "exists; a backup overwrites nothing" in server.cli("backup", there, code=1).stderr
    assert there.read_text() == "mine"
    link = folder / "link"
    link.symlink_to(folder / "nowhere")
    assert server.cli("backup", link, code=1).stderr
    assert not (folder / "nowhere").exists()
    assert "cannot create" in server.cli("backup", folder / "no" / "such", code=1).stderr


def test_backup_while_secrets_change(full, folder):
    """Each copy is a whole state: what it holds of the names that change together is of one moment."""
    stop, errors = threading.Event(), []

    def rotate():
        while not stop.is_set():
            result = full.cli("rotate", "envoy-node", code=None)
            if result.returncode:
                errors.append(result.stderr)
    thread = threading.Thread(target=rotate)
    thread.start()
    try:
        for i in range(5):
            full.cli("backup", folder / ("copy-%d.db" % i))
    finally:
        stop.set()
        thread.join()
    assert not errors
    before = held(full, PUT)
    shutil.copy(full.state / "seal.key", folder / "safe.key")
    full.stop()
    for i in range(5):
        shutil.rmtree(full.state)
        full.cli("restore", folder / ("copy-%d.db" % i), "-c", full.config_file, "--seal-key", folder / "safe.key")
        full.start()
        assert held(full, PUT) == before
        full.stop()


def flipped(content, at):
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1:]


@pytest.mark.parametrize("harm, words", [
    (lambda b: b[:-4096], "is malformed|integrity check|database disk image"),
    (lambda b: b"", "it is empty"),
    (lambda b: b"something else entirely" * 300, "file is not a database"),
    (lambda b: flipped(b, 70), "another program's database"),  # the application id
])
def test_restore_refuses(server, folder, harm, words):
    backup, bad = folder / "copy.db", folder / "bad.db"
    server.cli("backup", backup)
    shutil.copy(server.state / "seal.key", folder / "safe.key")
    server.stop()
    bad.write_bytes(harm(backup.read_bytes()))
    shutil.rmtree(server.state)
    result = server.cli("restore", bad, "-c", server.config_file, "--seal-key", folder / "safe.key", code=1)
    assert any(w in result.stderr for w in words.split("|")), result.stderr
    assert names_in(server) == ["lock"]
    other = folder / "other.key"
    other.write_text(os.urandom(32).hex())
    other.chmod(0o600)
    result = server.cli("restore", backup, "-c", server.config_file, "--seal-key", other, code=1)
    assert "does not open this state" in result.stderr
    assert names_in(server) == ["lock"]
    server.cli("restore", backup, "-c", server.config_file, "--seal-key", folder / "safe.key")


def test_a_damaged_database_is_replaced_by_a_backup(server, folder):
    """What the refusal of the start tells an operator to do."""
    before, backup = held(server, CONFIGURED), folder / "copy.db"
    server.cli("backup", backup)
    server.stop()
    database = server.state / "leafcast.db"
    database.write_bytes(database.read_bytes()[:9000])
    server.spawn()
    assert server.process.wait(15) != 0
    server.close_notify()
    assert any(n.startswith("leafcast.db.damaged-") for n in names_in(server))
    server.cli("restore", backup, "-c", server.config_file)
    server.start()
    assert held(server, before) == before


def test_two_servers_on_one_state(server, folder):
    second = leafcast.Leafcast(folder / "second", env={"STATE_DIRECTORY": str(server.state)})
    second.write_config(config(1, os.geteuid(), listen=[{"unix": {"path": second.socket}}]))
    second.spawn()
    assert second.process.wait(15) != 0
    second.close_notify()
    assert "is in use by another leafcast" in second.process.tail()
    assert held(server, CONFIGURED)


# --- the files of a running server -----------------------------------------------------------------------------------
def test_a_database_that_is_deleted(full, folder):
    """Renewals go on in memory, nothing new is granted, what is held can be saved."""
    before, backup = held(full, PUT), folder / "copy.db"
    (full.state / "leafcast.db").unlink()
    full.cli("rotate", "envoy-node")
    assert full.status()["memory_only"] == 1
    assert next(v for v in inventory(full, "envoy-node") if "served" in v["state"])["state"] == "served, memory only"
    refused = full.cli("put", "another", "--cert", folder / "chain.pem", "--key", folder / "key.pem", code=1)
    assert "was removed or replaced while it is in use" in refused.stderr
    full.cli("backup", backup)
    full.kill()
    full.spawn()
    assert full.process.wait(15) != 0  # never a new root
    full.close_notify()
    assert "no leafcast.db" in full.process.tail()
    for name in names_in(full):
        if name.startswith("leafcast.db-"):
            (full.state / name).unlink()
    full.cli("restore", backup, "-c", full.config_file)
    full.start()
    assert held(full, PUT) == before


def sealed_at(server, name):
    """Where in the file the middle of this secret's sealed key is."""
    db = sqlite3.connect(server.state / "leafcast.db")
    rows = [sealed for entry, sealed in db.execute("SELECT entry, sealed FROM version") if name.encode() in entry]
    db.close()
    return (server.state / "leafcast.db").read_bytes().index(rows[0]) + len(rows[0]) // 2


def test_a_bit_that_flips_in_a_record(full):
    """That record is told and not served; all others are."""
    before = held(full, PUT)
    full.stop()
    database = full.state / "leafcast.db"
    database.write_bytes(flipped(database.read_bytes(), sealed_at(full, "put-17")))
    full.start()
    full.wait_log("store.record_damaged")
    assert {v["name"] for v in inventory(full) if v["state"] == "damaged"} == {"put-17"}
    others = [n for n in PUT if n != "put-17"]
    assert held(full, others) == {n: before[n] for n in others}
    assert "put-17" not in {s["name"] for s in full.status()["secrets"]}


def test_a_dropped_key_is_gone_from_the_files(full):
    """Sealed as it is: what was dropped is in none of them any more, while the server runs."""
    full.stop()
    db = sqlite3.connect(full.state / "leafcast.db")
    sealed = next(sealed for entry, sealed in db.execute("SELECT entry, sealed FROM version") if b"put-17" in entry)
    db.close()
    full.start()

    def there():
        return any(sealed in (full.state / n).read_bytes() for n in names_in(full) if n.startswith("leafcast.db"))
    assert there()
    full.cli("delete", "put-17")
    wait.until(lambda: not there(), 60, "the sealed key to be gone from the files")


def test_a_bit_that_flips_in_a_page(server):
    """A structure that makes no sense: the file is set aside as it was found."""
    server.stop()
    database = server.state / "leafcast.db"
    harmed = flipped(database.read_bytes(), 4096)  # the kind of the second page
    database.write_bytes(harmed)
    server.spawn()
    assert server.process.wait(15) != 0
    server.close_notify()
    aside = [n for n in names_in(server) if n.startswith("leafcast.db.damaged-") and not n.endswith("-wal")]
    assert len(aside) == 1 and (server.state / aside[0]).read_bytes() == harmed
    assert "was set aside, unchanged" in server.process.tail()
    server.spawn()
    assert server.process.wait(15) != 0  # and again: no new root
    server.close_notify()


# --- inventory and retention -----------------------------------------------------------------------------------------
def inventory(server, *names):
    return json.loads(server.cli("inventory", *names, "--json").stdout)["versions"]


def test_inventory(full, folder):
    full.cli("rotate", "envoy-node")
    found = inventory(full, "envoy-node")
    assert [v["state"] for v in found] == ["earlier", "served"]
    leaf = x509.load_pem_x509_certificate(full.cli("get", "envoy-node").stdout.encode())
    now = found[1]
    assert now["sha256"] == leaf.fingerprint(hashes.SHA256()).hex()
    assert int(now["serial"], 16) == leaf.serial_number
    assert now["not_after"].startswith(leaf.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%S"))
    assert now["authority"] == "mesh" and now["profile"] == "workload" and now["kind"] == "tls_certificate"
    assert now["sans"] == ["URI:" + ENVOY_URI]
    assert now["received_at"] and now["stored_at"] and now["damage"] is None
    assert (now["subscribers"], now["holders"], now["last_ack_at"]) == (0, 0, None)
    bundle = inventory(full, "mesh-roots")[0]
    assert bundle["kind"] == "validation_context" and len(bundle["anchors"]) == 1
    everything = inventory(full)
    assert {v["name"] for v in everything} == {*PUT, *CONFIGURED}
    assert [v["entry"] for v in everything] == sorted(v["entry"] for v in everything)
    assert "nothing is stored of a secret nobody" in full.cli("inventory", "nobody", code=1).stderr


def test_inventory_says_who_holds_what(server):
    with SdsClient("unix:" + server.socket) as client:
        stream = client.sotw()
        stream.request(["envoy-node"])
        stream.ack(stream.receive(), ["envoy-node"])
        wait.until(lambda: inventory(server, "envoy-node")[0]["holders"] == 1, 10, "an ACK in the inventory")
        found = inventory(server, "envoy-node")[0]
        assert found["subscribers"] == 1 and found["last_ack_at"]


def test_inventory_as_table_and_csv(full):
    rows = list(csv.DictReader(io.StringIO(full.cli("inventory", "--csv").stdout)))
    assert len(rows) == len(inventory(full))
    assert {r["entry"] for r in rows} == {*PUT, *CONFIGURED}
    one = next(r for r in rows if r["entry"] == "put-7")
    assert one["sans"] == "DNS:put-7.example" and one["state"] == "served" and len(one["sha256"]) == 64
    table = full.cli("inventory", "put-7").stdout.splitlines()
    assert len(table) == 2 and table[0].startswith("SECRET") and "DNS:put-7.example" in table[1]
    assert full.cli("inventory", "--csv", "--json", code=1).stderr


def test_inventory_names_what_is_damaged(server):
    server.stop()
    with sqlite3.connect(server.state / "leafcast.db") as db:
        db.execute("UPDATE version SET profile = 'other' WHERE profile = 'workload'")
    db.close()
    server.start()
    found = inventory(server, "envoy-node")
    assert [v["state"] for v in found] == ["damaged", "served"]  # issued anew; the damaged record stays to be seen
    assert "was changed" in found[0]["damage"]


@pytest.mark.parametrize("kept", [1, 6])
def test_retention(folder, kept):
    server = folder.ending(leafcast.Leafcast(folder / "leafcast"))
    made = config(1, os.geteuid(), listen=[{"unix": {"path": server.socket}}])
    server.write_config({**made, "state": {"retention": {"versions": kept}}})
    server.start()
    for _ in range(8):
        server.cli("rotate", "envoy-node")
    found = inventory(server, "envoy-node")
    assert [v["state"] for v in found] == ["earlier"] * kept + ["served"]
    server.stop()
    server.write_config({**made, "state": {"retention": {"versions": 1}}})
    server.start()
    wait.until(lambda: [v["version"] for v in inventory(server, "envoy-node")] == [v["version"] for v in found[-2:]], 10,
               "what is beyond the limit to be dropped")
