"""leafcast init: a config to start from for each kind, which is good as it stands, and tried where there is something to try."""
import os
import stat
import subprocess

import pytest
from harness import paths
from harness.openbao import OpenBao
from harness.ports import free

EXEC = str(paths.EXAMPLES / "exec/exec-openssl-ca")


def init(*args, code=0):
    made = subprocess.run([paths.leafcast(), "init", *map(str, args)], capture_output=True, text=True, timeout=60)
    assert made.returncode == code, made.stdout + made.stderr
    return made.stdout + made.stderr


def check(file):
    made = subprocess.run([paths.leafcast(), "check", str(file)], capture_output=True, text=True, timeout=20)
    assert made.returncode == 0, made.stdout + made.stderr


@pytest.mark.parametrize("kind", ("builtin", "vault", "step", "exec"))
def test_a_config_to_start_from(folder, kind):
    file = folder / "leafcast.yaml"
    assert "written" in init(kind, file)
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    check(file)
    before = file.read_text()
    assert "File exists" in init(kind, file, code=1)
    assert file.read_text() == before and os.listdir(folder.path) == ["leafcast.yaml"]


def test_wrong_words(folder):
    init(code=2)
    init("istio", folder / "x", code=2)
    assert "http" in init("vault", folder / "x", "--address", "http://vault.example", code=1)
    assert not (folder / "x").exists()


def test_a_command_is_tried(folder):
    script = folder / "corp-ca"
    script.write_text("#!/bin/sh\nexec %s %s\n" % (EXEC, folder / "ca"))
    script.chmod(0o755)
    file = folder / "leafcast.yaml"
    said = init("exec", file, "--command", script)
    assert "not usable yet" in said and "--check" in said
    init("--check", file, code=1)
    subprocess.run([EXEC, str(folder / "ca"), "init"], check=True, capture_output=True, timeout=30)
    assert "works; its anchors" in init("--check", file)


def test_a_vault_is_tried(folder):
    bao = folder.ending(OpenBao(folder / "bao")).start().with_pki()
    token = folder / "token"
    token.write_text(bao.token)
    token.chmod(0o600)
    said = init("vault", folder / "a.yaml", "--address", bao.address, "--ca-file", bao.ca_file, "--token-file", token)
    assert "works; its anchors" in said and "CN=Root 1" in said and bao.token not in said, said
    # Nobody there: the config is written all the same, and says how to go on.
    said = init("vault", folder / "b.yaml", "--address", "https://localhost:%d" % free(), "--token-file", token)
    assert "not usable yet" in said and "leafcast init --check" in said, said
