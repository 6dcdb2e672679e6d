"""Two Envoys with mutual TLS, fed by leafcast, and requests: each rotation is shown as it happens. See scripts/run.

client Envoy (HTTP in) --mutual TLS--> server Envoy --> a small HTTP backend in this process. Everything that is started
here ends here, also on Ctrl-C, and the folder goes with it.
"""
import argparse
import contextlib
import pathlib
import shutil
import signal
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/integration"))
from harness import examples, fleet, wait  # noqa: E402
from harness.backend import Backend  # noqa: E402
from harness.envoy import Envoy  # noqa: E402
from harness.leafcast import Leafcast  # noqa: E402
from harness.traffic import Traffic  # noqa: E402


def start_envoy(folder, side, flavour, socket, ports):
    config, files = examples.instrument(*examples.envoy(side, flavour, examples.Place(socket=socket), folder, ports))
    return Envoy(folder, config, files).spawn().wait_admin().wait_live()


class Screen:
    """A line for each new leaf, and the counts at least every 10 s."""

    def __init__(self, stream):
        self.stream, self.known, self.said = stream, {"client": None, "server": None}, time.monotonic()
        print("%-8s  %-6s  %-34s  %9s  %9s  %8s" % ("time", "side", "leaf", "lives", "requests", "failures"))

    def row(self, side, leaf, lives):
        print("%-8s  %-6s  %-34s  %9s  %9d  %8d" % (
            time.strftime("%H:%M:%S"), side, leaf, lives, self.stream.total(), len(self.stream.failures)), flush=True)
        self.said = time.monotonic()

    def update(self):
        for side, leafs in self.stream.leafs.items():
            newest = max(leafs.values(), key=lambda leaf: leaf.not_after, default=None)
            if newest and newest.serial != self.known[side]:
                before = leafs.get(self.known[side])
                age = " (the one before was used for %.0f s)" % (before.last - before.first) if before else ""
                self.row(side, newest.serial, "%.0f s" % (newest.not_after - time.time()))
                if age:
                    print(" " * 18 + "rotated in place" + age, flush=True)
                self.known[side] = newest.serial
        if time.monotonic() - self.said > 10:
            self.row("", "", "")
        for failure in self.stream.failures[-3:] if len(self.stream.failures) > getattr(self, "failed", 0) else ():
            print("  failed: " + failure, flush=True)
        self.failed = len(self.stream.failures)
        return False


def run(options, folder, stack):
    server = Leafcast(folder / "leafcast", binary=options.leafcast)
    server.write_config(fleet.config(server, "%ds" % options.lifetime))
    stack.callback(server.end)
    server.start()
    print("leafcast    pid %d, log %s" % (server.process.pid, server.folder / "leafcast.log"))
    backend = Backend()
    stack.callback(backend.end)
    inner = start_envoy(folder / "server", "server", options.flavour, server.socket, {10443: 0, 8080: backend.port})
    stack.callback(inner.end)
    took = time.time() - options.started_ms / 1000
    serial = wait.until(inner.serials, 30, "a certificate in Envoy")[0]
    ingress = inner.listener_port("ingress")
    outer = start_envoy(folder / "client", "client", options.flavour, server.socket, {10000: 0, 10443: ingress})
    stack.callback(outer.end)
    egress = outer.listener_port("egress")
    print("Envoy       server: mutual TLS on 127.0.0.1:%d, admin 127.0.0.1:%d" % (ingress, inner.admin_port))
    print("Envoy       client: HTTP on 127.0.0.1:%d, admin 127.0.0.1:%d   (try: curl -i 127.0.0.1:%d)" %
          (egress, outer.admin_port, egress))
    print("first certificate in Envoy after %.1f s (serial %s)\n" % (took, serial))
    traffic = Traffic(period_s=0.05)
    screen = Screen(traffic.add("demo", egress))
    try:
        with contextlib.suppress(wait.Expired, KeyboardInterrupt):
            wait.until(screen.update, options.seconds or 365 * 86400, "", poll_s=0.2)
    finally:
        traffic.stop()
        stream = traffic.streams[0]
        rotations = {side: len(leafs) - 1 for side, leafs in stream.leafs.items()}
        print("\n%d requests (%s), %d failures, rotations: client %d, server %d" % (
            stream.total(), ", ".join("%s %d" % x for x in stream.requests.items()), len(stream.failures),
            rotations["client"], rotations["server"]))
    return 1 if traffic.failures() else 0


def end_once(*_):
    """The first signal ends the demo; what comes after it must not stop the cleaning up."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--leafcast", required=True)
    options.add_argument("--started-ms", type=int, default=int(time.time() * 1000))
    options.add_argument("--flavour", choices=examples.FLAVOURS, default="delta")
    options.add_argument("--lifetime", type=int, default=30, help="of a leaf, in seconds")
    options.add_argument("--seconds", type=int, default=0, help="end by itself; 0: on Ctrl-C")
    options = options.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end_once)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="leafcast-demo-"))
    code = 0
    try:
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(KeyboardInterrupt):
                code = run(options, folder, stack)
    except wait.Expired as e:
        code = "scripts/run demo: %s" % e
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(code)


main()
