"""The table of the drivers' conformance: case x authority, from the reports of the run. A cell passes when its test ran
and passed, or says why it cannot be."""
from cell_table import CellTable, params_of

AUTHORITIES = {"builtin": "embedded", "fake": "Vault's API, scripted", "openbao": "a real OpenBao",
               "step": "a real step-ca", "exec": "openssl ca"}
EMBEDDED = "part of leafcast: no connection, no login"
CASES = {
    "issue": "a leaf with exactly the names", "renew": "by itself, before the old one ends",
    "rekey": "a new key each time", "credentials": "the login ends; the next one is taken",
    "restart": "away; leafcast restarts meanwhile", "pause": "stands still (SIGSTOP), goes on",
    "slow": "answers in small pieces", "half_open": "one connection falls silent: the others go on",
    "malformed": "answers that make no sense", "oversized": "an answer without end", "lies": "leaves that were not asked for",
    "root_rotation": "bundle first, then leaves", "revoke": "it knows by the end", "cancel": "stopped wherever it waits",
    "clock_skew": "its clock is not ours", "secrets": "in no log, metric, process list or store",
    "fleet": "Envoys: renewals, a new root, an outage", "thousand": "no more requests than names",
}
REAL = "no real server gives it on demand: the scripted one does"
WHY_NOT = {
    **{(case, "builtin"): EMBEDDED for case in
       ("credentials", "pause", "slow", "half_open", "malformed", "oversized", "lies")},
    ("fleet", "builtin"): "test_rotation.py and test_trust.py are about it",
    ("fleet", "fake"): "for the real ones",
    ("revoke", "builtin"): "keeps no list; `compromise` and short lives instead",
    ("cancel", "builtin"): "signs in a job of microseconds: unit test_builtin_issue cancels it",
    ("clock_skew", "builtin"): "our own clock: unit test_builtin moves it",
    ("credentials", "exec"): "its command's own: leafcast has no part in them",
    ("pause", "fake"): "a thread of the test: half_open is the same to it",
    ("oversized", "openbao"): REAL, ("oversized", "step"): REAL, ("lies", "openbao"): REAL, ("lies", "step"): REAL,
    ("lies", "exec"): "as any answer, judged by the core: unit test_check, and the scripted one",
    ("clock_skew", "exec"): "openssl ca takes the dates of its command",
}


def wanted():
    return {(case, name) for case in CASES for name in AUTHORITIES}


class DriverTable(CellTable):
    """A test says its cell by its parameters `case` and `authority`, as far as its module has them."""

    PROPERTY = "driver"

    def __init__(self, demanded):
        super().__init__(demanded, wanted())
        self.states.update((cell, "why") for cell in WHY_NOT)

    def cells_of(self, item):
        params = params_of(item)
        return [(params["case"], params["authority"])] if {"case", "authority"} <= set(params) else []

    def lines(self):
        marks, notes = {"passed": "ok", "failed": "FAIL"}, []
        yield "drivers".ljust(60) + "".join(name.ljust(9) for name in AUTHORITIES).rstrip()
        for case, says in CASES.items():
            row = ("%-14s %s" % (case, says)).ljust(60)
            for name in AUTHORITIES:
                state = self.states.get((case, name), "none")
                if state == "why":
                    why = WHY_NOT[case, name]
                    notes += [why] if why not in notes else []
                    state = "(%d)" % (notes.index(why) + 1)
                row += marks.get(state, state).ljust(9)
            yield row.rstrip()
        for i, why in enumerate(notes, 1):
            yield "(%d) %s" % (i, why)
        yield "%d cells ok, %d failed, %d cannot be, %d without a test" % (
            *(list(self.states.values()).count(s) for s in ("passed", "failed", "why")), len(self.missing()))
