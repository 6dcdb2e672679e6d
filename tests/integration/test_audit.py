"""The audit trail from outside: who did what, over restarts and crashes, and what `audit verify` finds."""
import hashlib
import json
import os
import sqlite3
import stat

import pytest
from harness import leafcast, wait
from harness.target import config


@pytest.fixture
def server(tmp_path, request):
    made = leafcast.Leafcast(tmp_path / "leafcast")
    made.write_config(config(1, os.geteuid(), listen=[{"unix": {"path": made.socket}}]))
    request.addfinalizer(made.end)
    return made.start()


def export(server):
    lines = [json.loads(line) for line in server.cli("audit", "export").stdout.splitlines()]
    return lines[:-1], lines[-1]["head"]


def by_hand(records):
    """The chain as the header of base/audit_chain.h describes it."""
    last = "0" * 64
    for r in records:
        detail = "" if r["detail"] is None else json.dumps(r["detail"], sort_keys=True, separators=(",", ":"))
        text = "\n".join([last, str(r["seq"]), str(r["at_ms"]), r["event"], detail])
        last = hashlib.sha256(text.encode()).hexdigest()
        assert last == r["hash"]
    return last


def test_what_is_recorded(server):
    server.cli("rotate", "envoy-node")
    server.get("envoy-node", server.folder, "key")
    server.cli("reload")
    server.cli("log-level", "info")
    records, head = export(server)
    events = [(r["event"], (r["detail"] or {}).get("by")) for r in records]
    me = "uid %d" % os.geteuid()
    for event in ("secret.rotate_ordered", "secret.read_by_operator", "config.reload_ordered", "log.level_set"):
        assert (event, me) in events
    issued = [r for r in records if r["event"] == "secret.issued" and r["detail"]["entry"] == "envoy-node"]
    assert len(issued) == 2 and all("serial" in r["detail"]["detail"] for r in issued)
    assert by_hand(records) == head["hash"] and head["seq"] == len(records)
    assert "PRIVATE KEY" not in json.dumps(records)
    shown = server.cli("audit", "show", "--last", "1").stdout.splitlines()
    assert len(shown) == 2 and "log.level_set" in shown[1]


def test_the_chain_goes_on_over_crashes(server):
    for _ in range(3):
        server.cli("rotate", "envoy-node")
        server.kill()
        server.start()
        server.cli("audit", "verify")
    records, head = export(server)
    assert by_hand(records) == head["hash"]
    assert [r["event"] for r in records].count("leafcast.started") == 4
    server.wait_log('"audit.head"')


def test_an_exported_file_is_checked(server):
    for _ in range(3):
        server.cli("rotate", "envoy-node")
    text = server.cli("audit", "export").stdout
    file = server.folder / "trail.jsonl"
    lines = text.splitlines(keepends=True)
    file.write_text(text)
    server.cli("audit", "verify", file)
    edits = {
        "cut off": lines[:-1],
        "the newest removed": lines[:-2] + lines[-1:],
        "one removed": lines[:1] + lines[2:],
        "moved": [lines[1], lines[0]] + lines[2:],
        "changed": [lines[0].replace('"seq":1', '"seq":2')] + lines[1:],
        "not JSON": ["x\n"] + lines,
        "something after the head": lines + lines[-1:],
    }
    for what, edited in edits.items():
        file.write_text("".join(edited))
        assert server.cli("audit", "verify", file, code=1).stderr, what


def test_an_edit_of_the_store_shows(server):
    server.cli("rotate", "envoy-node")
    server.stop()
    with sqlite3.connect(server.state / "leafcast.db") as db:
        db.execute("DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)")
    db.close()
    server.start()
    server.wait_log('"audit.broken"')
    assert "record" in server.cli("audit", "verify", code=1).stderr
    server.cli("rotate", "envoy-node")  # certificates go on


def test_wrong_use(server):
    assert "show, verify or export" in server.cli("audit", "x", code=1).stderr
    assert "--last takes" in server.cli("audit", "show", "--last", "x", code=1).stderr
    assert "no file" in server.cli("audit", "export", "f", code=1).stderr
    server.cli("audit", "verify", "/nonexistent", code=1)


def test_a_copy_as_lines(server):
    """audit.file: what the trail says, record by record; renamed away as logrotate does; verified; over a crash."""
    copy = server.folder / "audit.jsonl"
    server.write_config({**config(1, os.geteuid(), listen=[{"unix": {"path": server.socket}}]),
                         "audit": {"file": str(copy)}})
    server.cli("reload")

    def lines(*paths):
        return [json.loads(line) for path in paths if path.exists() for line in path.read_text().splitlines()]

    def whole(*paths):
        try:
            return lines(*paths) == export(server)[0]
        except ValueError:  # in the middle of a write
            return False

    wait.until(lambda: whole(copy), 60, "all that was recorded before")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert "holds together" in server.cli("audit", "verify", "--copy", copy).stdout
    former = server.folder / "audit.jsonl.1"
    copy.rename(former)
    server.cli("rotate", "envoy-node")
    wait.until(lambda: whole(former, copy), 60, "the rest in a new file")
    server.kill()
    copy.write_text(copy.read_text() + '{"at_ms":17')  # the crash came in the middle of a line
    server.start()
    server.cli("rotate", "envoy-node")
    wait.until(lambda: whole(former, copy), 60, "what came after a crash")
    both = former.read_text() + copy.read_text()
    by_hand([json.loads(line) for line in both.splitlines()])
    server.cli("audit", "verify", "--copy", copy)
    server.cli("audit", "verify", "--copy", "/dev/stdin", stdin=both)
    server.cli("audit", "verify", "--copy", "/dev/stdin", stdin=both.replace("envoy-node", "envoy-nose", 1), code=1)
    middle = both.splitlines(keepends=True)
    del middle[len(middle) // 2]
    server.cli("audit", "verify", "--copy", "/dev/stdin", stdin="".join(middle), code=1)
