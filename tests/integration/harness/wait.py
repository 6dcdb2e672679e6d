"""Waiting with a deadline."""
import threading
import time

POLL_S = 0.02
_never = threading.Event()


class Expired(AssertionError):
    """What was waited for did not come in time."""


def until(check, timeout_s, what, poll_s=POLL_S):
    """The first true value of check(). what: text, or a function that gives it, for the failure's message."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise Expired("%.1f s passed without: %s" % (timeout_s, what() if callable(what) else what))
        _never.wait(poll_s)


class Signal:
    """A list that grows in one thread and is waited on in others."""

    def __init__(self):
        self._items = []
        self._closed = False
        self._changed = threading.Condition()

    def put(self, item):
        with self._changed:
            self._items.append(item)
            self._changed.notify_all()

    def close(self):
        """Nothing more will come: waits that are not served yet end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def items(self):
        with self._changed:
            return list(self._items)

    def first(self, check, timeout_s, what, start=0):
        """The first item from index start on for which check(item) holds, and its index."""
        deadline = time.monotonic() + timeout_s
        at = start
        with self._changed:
            while True:
                while at < len(self._items):
                    if check(self._items[at]):
                        return at, self._items[at]
                    at += 1
                left = deadline - time.monotonic()
                if left <= 0 or self._closed:
                    why = "it ended" if self._closed else "%.1f s passed" % timeout_s
                    raise Expired("%s without: %s" % (why, what() if callable(what) else what))
                self._changed.wait(left)
