"""Options and fixtures that all integration tests share."""
import os
import pathlib
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from checklist import Checklist  # noqa: E402
from driver_table import DriverTable  # noqa: E402
from harness import paths  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="the long forms as well")
    parser.addoption("--target", choices=("leafcast", "model"), default="leafcast",
                     help="what the conformance tests ask; model: a server of a few lines that meets the list")
    parser.addoption("--checklist", action="store_true",
                     help="print the table of the checklist and fail where a cell has no test; so do runs of all tests")
    parser.addoption("--keep", action="store_true", help="keep the folders of servers and Envoys")


def pytest_configure(config):
    config.addinivalue_line("markers", "cells(shapes, methods): of the checklist, where the parameters do not say")
    config.addinivalue_line("markers", "long: runs with --long alone")
    config.addinivalue_line("markers", "sanitized: also run with the sanitizers' builds")
    config.addinivalue_line("markers", "first: takes longest, so it starts first")
    config.addinivalue_line("markers", "root: needs root, to run programs as other users")
    everything = (config.args_source == pytest.Config.ArgsSource.TESTPATHS and not config.option.keyword and
                  not config.option.markexpr and config.option.target == "leafcast")
    config.pluginmanager.register(Checklist(everything or config.option.checklist))
    config.pluginmanager.register(DriverTable(everything or config.option.checklist))


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--long"):
        long_forms = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=long_forms)
        items[:] = [item for item in items if item not in long_forms]
    items[:] = spread(items, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
    for item in items:
        if item.get_closest_marker("root") and os.geteuid() != 0 and not paths.CI:
            item.add_marker(pytest.mark.skip(reason="needs root"))


def spread(items, workers):
    """The slow tests at the beginning of each worker's share: with --dist worksteal that is a run of neighbours."""
    slow = [item for item in items if item.get_closest_marker("first")]
    made = [item for item in items if item not in slow]
    share = len(items) // workers
    for place, i in sorted((i % workers * share + i // workers, i) for i in range(len(slow))):
        made.insert(place, slow[i])
    return made


class Folder:
    """A short path below /tmp that every user can enter (sockets have 108 characters, Envoys other uids)."""

    def __init__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="leafcast-", dir="/tmp"))
        self.path.chmod(0o755)
        self._ends = []

    def __truediv__(self, name):
        return self.path / name

    def ending(self, thing):
        """thing.end() runs at teardown, last come first."""
        self._ends.append(thing)
        return thing

    def close(self, keep):
        faults = []
        for thing in reversed(self._ends):
            try:
                thing.end()
            except Exception as e:                                  # end the others all the same, then tell
                faults.append(e)
        if not keep:
            shutil.rmtree(self.path, ignore_errors=True)
        if faults:
            raise faults[0]


@pytest.fixture
def folder(request):
    made = Folder()
    yield made
    made.close(request.config.getoption("--keep"))


@pytest.fixture(scope="module")
def module_folder(request):
    made = Folder()
    yield made
    made.close(request.config.getoption("--keep"))
