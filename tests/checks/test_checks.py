"""The checks of the sources see what they are for: each rule is broken once, in a copy of the tree."""
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("base", "proto", "ca-client", "cache", "control", "sds", "daemon", "tests", "examples", "scripts")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    copy = tmp_path_factory.mktemp("checks") / "tree"
    ignore = shutil.ignore_patterns("seeds", "__pycache__", "harness", ".*")
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, copy / folder, ignore=ignore)
    shutil.copy(ROOT / ".clang-format", copy)
    return copy


@pytest.fixture
def change(tree):
    """change(file, text): append it to a file, or make one; None takes the file away. Undone afterwards."""
    before = {}

    def apply(name, text):
        path = tree / name
        before[path] = path.read_bytes() if path.exists() else None
        if text is None:
            path.unlink()
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((before[path] or b"") + text.encode())

    yield apply
    for path, content in before.items():
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)


def run(tree, check):
    command = [sys.executable] if check.endswith(".py") else []
    done = subprocess.run([*command, ROOT / "tests/checks" / check, tree], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("check", ["layers.py", "banned.py", "format.sh"])
def test_the_tree_is_clean(tree, check):
    code, said = run(tree, check)
    assert code == 0, said


@pytest.mark.parametrize("name, text, said", [
    ("base/buf.c", '#include "base/io/loop.h"\n', "base may not include base/io/loop.h"),
    ("cache/entry.c", '#include "ca-client/ca.h"\n', "cache may not include ca-client/ca.h"),
    ("ca-client/ca.h", '#include "cache/store.h"\n', "ca-client may not include cache/store.h"),
    ("control/publish.c", '#include "sds/server.h"\n', "control may not include sds/server.h"),
    ("control/publish.c", '#include "google/rpc/status.pb-c.h"\n', "control sees no protobuf"),
    ("control/publish.c", "#include <sys/socket.h>\n", "<sys/socket.h> is for"),
    ("control/publish.c", "#include <grpc/grpc.h>\n", "<grpc/grpc.h> is for"),
    ("sds/call.c", '#include "control/internal.h"\n', "control/internal.h is control's own"),
    ("sds/call.c", '#include "engine.h"\n', '"engine.h" is no path from the root'),
    ("sds/call.c", "#include <base/buf.h>\n", "<base/buf.h> is ours"),
    ("sds/call.c", "static _Atomic int seen;\n", "atomics live in"),
    ("base/buf.c", "int f(void) { return atomic_load(&x); }\n", "atomics live in"),
    ("sds/call.c", "void f(void) { pthread_mutex_lock(&m); }\n", "locks live in"),
    ("base/text.c", "void f(void) { mtx_lock(&m); }\n", "locks live in"),
    ("base/attr.h", '#include "base/buf.h"\n', "a circle of files: base/attr.h -> base/buf.h -> base/attr.h"),
    ("sds/new.h", "#ifndef NEW_H\n#define NEW_H\n#endif\n", "the guard of this header is SDS_NEW_H"),
    ("sds/deep/new.c", "int x;\n", "sds/deep/new.c: this folder is not in the table"),
    ("util/new.c", "int x;\n", "util/new.c: this folder is not in the table"),
    ("cache/README.md", None, "cache: a folder has a README.md"),
])
def test_layers(tree, change, name, text, said):
    change(name, text)
    code, found = run(tree, "layers.py")
    assert code == 1
    assert said in found


@pytest.mark.parametrize("name, text, said", [
    ("sds/call.c", "void f(void) { strcpy(a, b); }\n", "strcpy: use"),
    ("tests/unit/sds/test_frame.c", "void f(void) { sprintf(a, b); }\n", "sprintf: use"),
    ("tests/unit/sds/test_frame.c", "void f(void) { usleep(1); }\n", "usleep: wait for the event"),
    ("sds/call.c", "int x = memcmp(a, b, 3);\n", "memcmp: secrets are compared by secret_equal"),
    ("sds/call.c", "int x = strlen(a) + atoi(b);\n", "atoi: it cannot tell an error"),
    ("sds/call.c", "int x = system(a);\n", "system: no shell"),
    ("sds/call.c", "void *x = malloc(3);\n", "malloc: use base/mem.h"),
    ("sds/call.c", "void f(void) { printf(a); }\n", "printf: return a fault"),
    ("daemon/serve.c", "void f(void) { assert(a); }\n", "assert: use invariant"),
    ("control/publish.c", "time_t x = time(NULL);\n", "time: time comes from base/clock.h"),
    ("cache/seal.c", "void f(void) { memset(the_key, 0, 32); }\n", "memset: a wipe is OPENSSL_cleanse"),
    ("sds/call.c", "/* TODO: later */\n", "something left for later"),
    ("scripts/run", "# FIXME\n", "something left for later"),
    ("base/README.md", "\nNot implemented yet.\n", "something left for later"),
])
def test_banned(tree, change, name, text, said):
    change(name, text)
    code, found = run(tree, "banned.py")
    assert code == 1
    assert f"{name}:" in found and said in found


@pytest.mark.parametrize("text", [
    "/* strcpy( is banned */\n",
    'const char *x = "call system() and memcmp()";\n',
    "void f(void) { secret_memcmp(a); x->time(3); my.free(4); }\n",
])
def test_banned_lets_pass(tree, change, text):
    change("sds/call.c", text)
    code, found = run(tree, "banned.py")
    assert code == 0, found


def test_what_is_allowed_must_be_used(tree, change):
    text = (tree / "cache/entry.c").read_text()
    change("cache/entry.c", None)
    (tree / "cache/entry.c").write_text(text.replace("memcmp", "compare"))
    code, found = run(tree, "banned.py")
    assert code == 1
    assert "cache/entry.c: memcmp is allowed, but not used" in found


def test_format(tree, change):
    change("sds/call.c", "int  x ;\n")
    code, found = run(tree, "format.sh")
    assert code != 0
    assert "sds/call.c" in found


def test_headers(tree, change, tmp_path):
    compiler = [shutil.which("gcc") or "cc"]
    change("base/alone.h", "#ifndef BASE_ALONE_H\n#define BASE_ALONE_H\nsize_t f(void);\n#endif\n")
    small = tmp_path / "small"  # each header is a run of the compiler: base alone
    shutil.copytree(tree / "base", small / "base", ignore=shutil.ignore_patterns("*.c"))
    done = subprocess.run([ROOT / "tests/checks/headers.sh", small, tmp_path, *compiler], capture_output=True, text=True)
    assert done.returncode != 0
    assert "base/alone.h does not compile alone" in done.stdout
