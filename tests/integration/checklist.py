"""The table of the conformance checklist: assertion x transport x workers x method, from the reports of the run.

A test proves the assertion whose number its name begins with, in the cells of its parameters: `target` or `shape` gives
transport and workers, `method` (or `ads` with the assertion's own kind) the method. One that goes through several by
itself says so: @pytest.mark.cells(shapes=[...], methods=[...]). A cell passes when a test ran in it and none failed.
"""
import re

from cell_table import CellTable, params_of

SOTW, DELTA, ADS = ("sds-sotw", "ads-sotw"), ("sds-delta", "ads-delta"), ("ads-sotw", "ads-delta")
BOTH, FETCH = (*SOTW, *DELTA), ("fetch",)
SHAPES = [(1, "unix"), (4, "unix"), (1, "tcp"), (4, "tcp")]                     # workers, transport
COLUMNS = {"sds-sotw": "S", "ads-sotw": "AS", "sds-delta": "D", "ads-delta": "AD"}

# number: (methods it speaks of, what it says)
ASSERTIONS = {
    1: (BOTH, "node comes first, is kept"), 2: (BOTH, "no node: INVALID_ARGUMENT"), 3: (BOTH, "other and empty types"),
    4: (BOTH, "giant node"), 5: (BOTH, "many streams, one name"), 6: (BOTH, "names byte-exact"),
    7: (SOTW, "initial answer"), 8: (SOTW, "nonces are new"), 9: (SOTW, "ACK is not answered"),
    10: (SOTW, "NACK: no re-send, noted"), 11: (SOTW, "NACK by error_detail alone"), 12: (SOTW, "stale nonce"),
    13: (SOTW, "stale nonce, new names"), 14: (SOTW, "added name"), 15: (SOTW, "removed name"),
    16: (SOTW, "empty list unsubscribes"), 17: (SOTW, "no wildcard"), 18: (SOTW, "push on change"),
    19: (SOTW, "no change, no push"), 20: (SOTW, "unknown name, later made"), 21: (SOTW, "reconnect with a version"),
    22: (SOTW, "error in the first request"), 23: (SOTW, "changes coalesce"), 24: (SOTW, "nothing twice, no other"),
    25: (SOTW, "identical repeat"), 26: (SOTW, "deleted: silent"),
    27: (DELTA, "initial answer"), 28: (DELTA, "held version is answered"), 29: (DELTA, "unknown: removed, then made"),
    30: (DELTA, "deleted: removed once"), 31: (DELTA, "unsubscribe"), 32: (DELTA, "both in one request"),
    33: (DELTA, "ACK, NACK and lists"), 34: (DELTA, "stale nonce, lists count"), 35: (DELTA, "empty nonce is no ACK"),
    36: (DELTA, "initial versions"), 37: (DELTA, "initial versions, later"), 38: (DELTA, "no wildcard"),
    39: (DELTA, "changed alone, once"), 40: (DELTA, "version is content's"), 41: (DELTA, "NACKed is not repeated"),
    42: (DELTA, "resource fields"), 43: (DELTA, "one resource a response"),
    44: (BOTH, "well formed"), 45: (BOTH, "one kind a name"), 46: (BOTH, "no TTL"), 47: (BOTH, "control plane named"),
    48: (BOTH, "denied is like unknown"), 49: (BOTH, "no compression, sizes"), 50: (BOTH, "pings, dead peers"),
    51: (BOTH, "slow reader"), 52: (BOTH, "half-close, reset"), 53: (BOTH, "drain"), 54: (ADS, "types apart"),
    55: (ADS, "to empty and again"), 56: (ADS, "silent before asked"), 57: (FETCH, "FetchSecrets"),
    58: (BOTH, "malformed ends its call"),
}


def wanted():
    return {(number, shape, method) for number, (methods, _) in ASSERTIONS.items()
            for shape in SHAPES for method in methods}


def cells(name, params, mark=None):
    """The cells that a test of this name proves. params: of its callspec; mark: its mark `cells`."""
    number = re.match(r"test_(\d\d)_", name)
    if not number or int(number[1]) not in ASSERTIONS:
        return []
    methods, _ = ASSERTIONS[int(number[1])]
    shapes = [params[key] for key in ("target", "shape") if key in params]
    if "method" in params:
        methods = [params["method"]]
    elif "ads" in params:
        methods = [m for m in methods if m.startswith("ads") == params["ads"]]
    elif methods != FETCH:
        methods = []
    if mark:
        shapes, methods = mark.get("shapes", shapes), mark.get("methods", methods)
    return [(int(number[1]), shape, method) for shape in shapes for method in methods]


class Checklist(CellTable):
    PROPERTY = "checklist"

    def __init__(self, demanded):
        super().__init__(demanded, wanted())

    def cells_of(self, item):
        mark = item.get_closest_marker("cells")
        return cells(item.originalname, params_of(item), mark.kwargs if mark else None)

    def lines(self):
        """A row an assertion, a column a shape and method: ok, FAIL, none (no test), or empty (says nothing of it)."""
        marks, width = {"passed": "ok", "failed": "FAIL"}, 5 * len(COLUMNS) + 2
        yield " " * 32 + "".join(("%s, %d worker%s" % (t, w, "s" * (w > 1))).ljust(width) for w, t in SHAPES).rstrip()
        yield "checklist".ljust(32) + "  ".join("".join(c.ljust(5) for c in COLUMNS.values()) for _ in SHAPES).rstrip()
        for number, (methods, says) in ASSERTIONS.items():
            row = "%2d  %-27s " % (number, says)
            for shape in SHAPES:
                for column in methods if methods == FETCH else COLUMNS:
                    state = self.states.get((number, shape, column))
                    row += (marks.get(state, "none") if column in methods else "").ljust(5)
                row = row.ljust(32 + width * (SHAPES.index(shape) + 1))
            yield row.rstrip()
        counts = [list(self.states.values()).count(state) for state in marks]
        yield "S SotW, D delta, A over ADS: %d cells ok, %d failed, %d without a test" % (*counts, len(self.missing()))
