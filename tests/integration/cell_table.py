"""A table that a test run fills: each test proves cells of it, and a cell that no test proved fails a run of all tests, or
one with --checklist. Cells travel with the reports, so it works alike with and without xdist."""
import pytest


class CellTable:
    """A plugin. A table says its PROPERTY (a name of its own), the cells that a test proves (cells_of(item)), and its
    lines()."""

    def __init__(self, demanded, wanted):
        self.demanded, self.wanted, self.states = demanded, wanted, {}              # states: of cells, passed or failed

    def take(self, outcome, proved):
        """The outcome of one test for the cells that it proves; one failure is the cell's."""
        for cell in proved:
            if self.states.get(cell) != "failed":
                self.states[cell] = outcome

    def missing(self):
        return sorted(self.wanted - set(self.states))

    # --- hooks of pytest ---------------------------------------------------------------------------------------------
    def pytest_collection_modifyitems(self, items):
        for item in items:
            item.user_properties.extend((self.PROPERTY, cell) for cell in self.cells_of(item))

    def pytest_runtest_logreport(self, report):
        if report.failed or report.passed and report.when == "call":
            self.take(report.outcome, [_whole(cell) for key, cell in report.user_properties if key == self.PROPERTY])

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session, exitstatus):
        if self.demanded and not hasattr(session.config, "workerinput") and exitstatus == pytest.ExitCode.OK:
            if self.missing() and not session.config.option.collectonly:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter):
        if self.demanded:
            terminalreporter.write_line("")
            for line in self.lines():
                terminalreporter.write_line(line)


def params_of(item):
    return item.callspec.params if hasattr(item, "callspec") else {}


def _whole(cell):
    """xdist makes lists of tuples."""
    return tuple(_whole(part) if isinstance(part, (list, tuple)) else part for part in cell)
