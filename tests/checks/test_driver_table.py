"""That the table of the drivers sees what was proved, what failed, what cannot be and what nobody asked."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
import driver_table  # noqa: E402


def test_reasons_are_for_cells_that_exist():
    assert set(driver_table.WHY_NOT) <= driver_table.wanted()
    assert all(driver_table.WHY_NOT.values())


def test_a_cell_with_neither_test_nor_reason_is_missing():
    made = driver_table.DriverTable(True)
    made.take("passed", driver_table.wanted() - set(driver_table.WHY_NOT))
    assert made.missing() == [] and "none" not in "\n".join(made.lines())
    del made.states["pause", "step"]
    made.take("failed", [("pause", "exec")])
    made.take("passed", [("pause", "exec")])
    assert made.missing() == [("pause", "step")]
    row = next(line for line in made.lines() if line.startswith("pause"))
    assert row.split()[-3:] == ["ok", "none", "FAIL"] and "(1)" in row
