"""Where the programs under test and the tools are. A missing one is named; with CI=true it is a failure."""
import glob
import os
import pathlib
import shutil
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "examples"
CI = os.environ.get("CI") == "true"
ENVOYS = [line for line in (ROOT / "tests/envoys.txt").read_text().split("\n") if line and line[0] != "#"]


def missing(what):
    """Skip, or fail where CI says that everything has to be there."""
    if CI:
        pytest.fail("%s is missing, and CI=true demands it" % what, pytrace=False)
    pytest.skip("%s is missing: run scripts/setup" % what)


def leafcast():
    path = os.environ.get("LEAFCAST_BIN") or str(ROOT / "build/dev/leafcast")
    if not os.access(path, os.X_OK):
        missing("leafcast (%s)" % path)
    return path


def envoy(version=None):
    """The program itself, not the wrapper script of the package: signals reach it and it has no parent to outlive.
    version: one of ENVOYS; None: the newest, or $ENVOY_BIN."""
    own = os.environ.get("ENVOY_BIN") if version is None else None
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    home = sys.prefix if version in (None, ENVOYS[-1]) else os.path.join(cache, "leafcast/envoy-" + version)
    found = [own] if own else glob.glob(os.path.join(home, "lib/python3*/site-packages/envoy/_bin/envoy"))
    if not found:
        missing("envoy %s" % (version or ENVOYS[-1]))
    return found[0]


def tool(name):
    beside = os.path.join(os.path.dirname(sys.executable), name)
    found = beside if os.access(beside, os.X_OK) else shutil.which(name)
    if not found:
        missing(name)
    return found


def step_ca():
    """Built by scripts/setup, outside of the checkout."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    found = sorted(glob.glob(os.path.join(cache, "leafcast/step-ca-*/step-ca")))
    return found[-1] if found else tool("step-ca")


def for_other_users(program, folder):
    """The program, or a copy of it in folder where its own place is closed to other users."""
    path = pathlib.Path(program).resolve()
    if all(parent.stat().st_mode & 0o001 for parent in path.parents) and path.stat().st_mode & 0o001:
        return str(path)
    copy = pathlib.Path(folder) / ("program-" + path.name)
    if not copy.exists():
        try:
            copy.hardlink_to(path)
        except OSError:
            shutil.copy2(path, copy)
    return str(copy)
