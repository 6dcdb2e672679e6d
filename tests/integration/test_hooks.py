"""Commands after a rotation, after a failure and near the end of a life, run by a real server."""
import json
import os
import pathlib
import subprocess

from cryptography import x509
from harness import paths, wait
from harness.leafcast import Leafcast

PATIENCE_S = 60
WRITE_FILES = str(paths.EXAMPLES / "hooks/write-files")


def script(folder, name, body):
    path = pathlib.Path(folder.path) / name
    path.write_text("#!/bin/sh\n" + body)
    path.chmod(0o755)
    return str(path)


def leafcast(folder, hooks, secrets=None, **more):
    server = Leafcast(folder / "leafcast")
    server.extra_env = {"LEAFCAST_ADMIN": server.admin,
                        "PATH": "%s:%s" % (pathlib.Path(server.binary).parent, os.environ["PATH"])}
    config = {
        "log": {"level": "info", "format": "json"}, "listen": [{"unix": {"path": server.socket}}],
        "authorities": {"lab": {"type": "builtin"}},
        "profiles": {"workload": {"authority": "lab", "lifetime": "1h", "dns": ["web.example"]}},
        "secrets": secrets or {"web": {"profile": "workload"}},
        "policy": [{"who": {"uid": os.geteuid()}, "may": ["**"]}], "hooks": hooks, **more}
    server.write_config(config)
    server.config = config
    return folder.ending(server)


def records(server, event):
    shown = server.cli("audit", "export").stdout
    return [r for r in map(json.loads, shown.splitlines()) if r.get("event") == event]


def ran(server, hook):
    return [e for e in server.events() if e["event"] in ("hook.ran", "hook.failed") and e["hook"] == hook]


def test_the_example_writes_files(folder):
    files, said = pathlib.Path(folder.path) / "files", pathlib.Path(folder.path) / "said"
    files.mkdir()
    server = leafcast(folder, {"files": {
        "command": [WRITE_FILES, str(files), "cp", str(files / "current/cert.pem"), str(said)],
        "events": ["rotated"], "environment": ["LEAFCAST_ADMIN"]}}).start()

    def written():
        try:
            return x509.load_pem_x509_certificate(said.read_bytes()).serial_number
        except (OSError, ValueError):
            return None

    def served():
        return x509.load_pem_x509_certificate(server.cli("get", "web").stdout.encode()).serial_number

    wait.until(lambda: written() == served(), PATIENCE_S, "the first pair in files")
    first = written()
    server.cli("rotate", "web")
    assert served() != first
    wait.until(lambda: written() == served(), PATIENCE_S, "the second pair in files")
    key = files / "current/key.pem"
    assert "PRIVATE KEY" in key.read_text() and key.stat().st_mode & 0o777 == 0o600
    wait.until(lambda: len(list(files.glob("pair-*"))) == 1, PATIENCE_S, "the former pair's end")
    wait.until(lambda: len(records(server, "hook.ran")) == 2, PATIENCE_S, "two records")
    assert all("PRIVATE" not in line for line in server.process.lines.items())
    server.cli("audit", "verify")


def test_a_fleet_is_told_as_it_is(folder):
    """Rotated again and again, faster than a command runs: never two at once, and the last word of each is the truth."""
    names = ["n%d" % i for i in range(40)]
    log = pathlib.Path(folder.path) / "told"
    body = ("mkdir %s.busy || echo overlap >>%s\nread -r fact\n"
            "printf '%%s %%s\\n' \"$LEAFCAST_MISSED\" \"$fact\" >>%s\nrmdir %s.busy\n")
    command = script(folder, "told.sh", body % ((log,) * 4))
    server = leafcast(folder, {"told": {"command": [command], "events": ["rotated"], "secrets": ["n*"]}},
                      secrets={n: {"profile": "workload"} for n in names}).start()
    server.cli("rotate", "--all", "--over", "1s")
    for _ in range(3):
        for name in names[:8]:
            server.cli("rotate", name)

    def last():
        told = {}
        for line in log.read_text().splitlines():
            assert line != "overlap"
            missed, fact = line.split(" ", 1)
            fact = json.loads(fact)
            assert missed == "0" and fact["event"] == "rotated"
            told[fact["secret"]] = fact["version"]
        return told

    def quiet():
        return last() == {s["name"]: s["version"] for s in server.status()["secrets"]}

    wait.until(quiet, 2 * PATIENCE_S, lambda: "the last version of each: %s" % last())


def test_a_failure_and_a_life(folder):
    """An authority that is gone: both events come, with the reason, and nothing secret comes back in the log."""
    told = pathlib.Path(folder.path) / "told"
    command = script(folder, "page.sh", "echo \"$LEAFCAST_EVENT $LEAFCAST_ERROR\" >>%s\n"
                     "echo \"token $PAGER_TOKEN was refused\" >&2\nexit 7\n" % told)
    switch = pathlib.Path(folder.path) / "broken"
    corp = script(folder, "corp.sh", "[ ! -e %s ] || { echo 'out of order' >&2; exit 1; }\nexec %s %s\n" % (
        switch, paths.EXAMPLES / "exec/exec-openssl-ca", folder / "ca"))
    subprocess.run([str(paths.EXAMPLES / "exec/exec-openssl-ca"), str(folder / "ca"), "init"], check=True,
                   capture_output=True, timeout=60)
    server = leafcast(folder, {"page": {"command": [command], "events": ["failed", "expiring"], "life_below": "30m",
                                        "environment": ["PAGER_TOKEN"]}},
                      authorities={"lab": {"type": "exec", "command": [corp]}},
                      profiles={"workload": {"authority": "lab", "lifetime": "1h", "dns": ["web.example"]}})
    server.extra_env["PAGER_TOKEN"] = "swordfish99"
    server.start()
    switch.write_text("")
    server.cli("rotate", "web", code=None)
    line = server.wait_log(lambda x: '"hook.failed"' in x and '"for":"failed"' in x, PATIENCE_S)
    assert "exit code 7" in line and "was refused" in line and "swordfish99" not in line, line
    assert "out of order" in told.read_text()
    record = records(server, "hook.failed")[0]
    assert "exit code 7" in json.dumps(record)


def test_a_hanging_hook_ends_with_the_server(folder):
    """It holds up neither a rotation nor a reload nor the end; nothing of it is left."""
    pids = pathlib.Path(folder.path) / "pids"
    command = script(folder, "hang.sh", "echo $$ >>%s\nsleep 600 & echo $! >>%s\nwait\n" % (pids, pids))
    hook = {"command": [command], "events": ["rotated"], "timeout": "10m"}
    server = leafcast(folder, {"hang": hook}).start()
    wait.until(lambda: pids.exists() and pids.read_text().count("\n") == 2, PATIENCE_S, "a run")
    server.cli("rotate", "web")
    server.write_config({**server.config, "hooks": {"hang": {**hook, "timeout": "9m"}}})
    server.cli("reload")
    server.cli("rotate", "web")
    assert pids.read_text().count("\n") == 2, "one at a time"
    server.stop()
    assert any(e["event"] == "hook.dropped" for e in server.events())

    def gone(pid):
        try:
            return pathlib.Path("/proc/%s/stat" % pid).read_text().rsplit(")", 1)[1].split()[0] == "Z"
        except FileNotFoundError:
            return True

    wait.until(lambda: all(map(gone, pids.read_text().split())), PATIENCE_S, "the end of all that it started")
