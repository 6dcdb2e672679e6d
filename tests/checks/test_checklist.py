"""That the table of the conformance checklist sees what was proved, what failed and what nobody asked."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
import checklist  # noqa: E402

W1 = (1, "unix")


@pytest.mark.parametrize("name, params, mark, found", [
    ("test_07_x", {"target": W1, "ads": True}, None, [(7, W1, "ads-sotw")]),
    ("test_30_x", {"target": W1, "ads": False, "other": 1}, None, [(30, W1, "sds-delta")]),
    ("test_01_x", {"target": W1, "method": "ads-delta"}, None, [(1, W1, "ads-delta")]),
    ("test_57_x", {"target": W1}, None, [(57, W1, "fetch")]),
    ("test_53_x", {"shape": W1}, {"methods": ["sds-sotw"]}, [(53, W1, "sds-sotw")]),
    ("test_01_x", {"target": W1}, None, []),
    ("test_01_x", {"method": "ads-delta"}, None, []),
    ("test_99_x", {"target": W1, "ads": True}, None, []),
    ("test_node", {"target": W1, "ads": True}, None, []),
])
def test_cells_of_a_test(name, params, mark, found):
    assert checklist.cells(name, params, mark) == found


def test_the_list_is_whole():
    assert list(checklist.ASSERTIONS) == list(range(1, 59))


def test_a_cell_without_a_test_is_missing():
    made = checklist.Checklist(True)
    made.take("passed", checklist.wanted())
    assert made.missing() == [] and "none" not in "\n".join(made.lines())
    del made.states[53, W1, "sds-delta"]
    assert made.missing() == [(53, W1, "sds-delta")]
    row = next(line for line in made.lines() if line.startswith("53"))
    assert row.split()[2:5] == ["ok", "ok", "none"]


@pytest.mark.parametrize("order", [["failed", "passed"], ["passed", "failed"]])
def test_one_failure_is_the_cells(order):
    made, cell = checklist.Checklist(True), (12, W1, "sds-sotw")
    for state in order:
        made.take(state, [cell])
    assert made.states[cell] == "failed"


class _Session:
    def __init__(self):
        self.config, self.exitstatus = type("Config", (), {"option": type("Option", (), {"collectonly": False})}), 0


@pytest.mark.parametrize("demanded, whole, code", [(True, False, 1), (True, True, 0), (False, False, 0)])
def test_a_missing_cell_fails_the_run(demanded, whole, code):
    made, session = checklist.Checklist(demanded), _Session()
    made.take("passed", checklist.wanted() if whole else [])
    made.pytest_sessionfinish(session, pytest.ExitCode.OK)
    assert session.exitstatus == code
