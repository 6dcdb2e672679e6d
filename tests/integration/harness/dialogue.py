"""One way to speak of SotW and delta streams in tests that hold for both, and the fence that proves silence."""
import itertools

from .sds_client import Sotw

_unknown = itertools.count(1)


class Dialogue:
    """A stream with what it is subscribed to and the last answer."""

    def __init__(self, stream):
        self.stream, self.names, self.last = stream, [], None
        self._fences = itertools.count()

    @property
    def sotw(self):
        return isinstance(self.stream, Sotw)

    # --- asking ------------------------------------------------------------------------------------------------------
    def subscribe(self, *names, **options):
        self.names += [n for n in names if n not in self.names]
        if self.sotw:
            last = self.last
            self.stream.request(self.names, last.version_info if last else "", last.nonce if last else "", **options)
        else:
            self.stream.request(subscribe=names, **options)
        return self

    def unsubscribe(self, *names):
        self.names = [n for n in self.names if n not in names]
        if self.sotw:
            self.stream.request(self.names, self.last.version_info if self.last else "",
                                self.last.nonce if self.last else "")
        else:
            self.stream.request(unsubscribe=names)

    def ack(self, answer=None):
        answer = answer or self.last
        if self.sotw:
            self.stream.request(self.names, answer.version_info, answer.nonce)
        else:
            self.stream.ack(answer)

    def nack(self, answer=None, version="", text="rejected by the test"):
        answer = answer or self.last
        if self.sotw:
            self.stream.nack(answer, version, self.names, text)
        else:
            self.stream.nack(answer, text)

    # --- hearing -----------------------------------------------------------------------------------------------------
    def hear(self):
        """The next answer: name -> Secret, not ACKed."""
        self.last, secrets = self.stream.receive_secrets()
        return secrets

    def take(self, *names):
        """ACK answers until each of names came, and nothing else came. name -> Secret."""
        found = {}
        while not set(names) <= set(found):
            secrets = self.hear()
            self.ack()
            assert secrets and set(secrets) <= set(names), "asked for %s, got %s" % (names, sorted(secrets))
            found.update(secrets)
        return found

    def take_one(self, name):
        return self.take(name)[name]

    def version(self, name):
        """The version of name in the last answer."""
        if self.sotw:
            return self.last.version_info
        return next(r.version for r in self.last.resources if r.name == name)

    def quiet(self):
        """Nothing is on its way: the answer to another request is the very next message."""
        if self.sotw:
            fence = "fence-%d" % next(self._fences)
            self.subscribe(fence)
            secrets = self.hear()
            assert set(secrets) == {fence}, "not silent: %s" % sorted(secrets)
        else:
            fence = "no-such-%d" % next(_unknown)
            self.stream.request(subscribe=[fence])
            self.last = self.stream.receive()
            heard = [r.name for r in self.last.resources] + list(self.last.removed_resources)
            assert heard == [fence] and not self.last.resources, "not silent: %s" % heard
        self.ack()
