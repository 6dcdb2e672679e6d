"""Start leafcast without a config, prove with a throw-away Envoy that it serves, stay until Ctrl-C. See scripts/run."""
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
from harness import examples, wait  # noqa: E402
from harness.envoy import Envoy  # noqa: E402
from harness.leafcast import Leafcast  # noqa: E402

SOCKET_PATH_MAX = 107


def first_certificate(socket, timeout_s=30):
    """Start an Envoy that wants the built-in secrets; the serial of the leaf it serves. It is gone afterwards."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="leafcast-envoy-"))
    config, files = examples.envoy("server", "delta", examples.Place(socket=socket), folder, {10443: 0, 8080: 1})
    envoy = Envoy(folder, examples.rename_secrets(config, {"server-cert": "default", "mesh-roots": "ROOTCA"}), files)
    try:
        envoy.spawn().wait_admin()
        return wait.until(envoy.serials, timeout_s, lambda: "a certificate in Envoy:\n" + envoy.process.tail())[0]
    finally:
        envoy.end()
        shutil.rmtree(folder)


def end_once(*_):
    """The first signal ends it; what comes after must not stop the cleaning up."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--leafcast", required=True)
    options.add_argument("--folder", type=pathlib.Path, required=True)
    options.add_argument("--started-ms", type=int, required=True)
    options = options.parse_args()
    if len(str(options.folder / "run" / "admin.sock")) > SOCKET_PATH_MAX:
        sys.exit("scripts/run: %s is too long for a socket; set LEAFCAST_RUN to a shorter folder" % options.folder)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end_once)
    server = Leafcast(options.folder, binary=options.leafcast)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            server.start()
            serial = first_certificate(server.socket)
            took = time.time() - options.started_ms / 1000
            print("scripts/run: first certificate in Envoy after %.1f s (serial %s)\n" % (took, serial))
            print("""leafcast runs: socket %s, state %s, log %s. Ctrl-C ends it. In another terminal:
    export LEAFCAST_ADMIN=%s
    %s status
    %s envoy default ROOTCA > envoy.yaml
    .venv/bin/envoy -c envoy.yaml
""" % (server.socket, server.state, server.folder / "leafcast.log", server.admin, options.leafcast, options.leafcast),
                  flush=True)
            sys.exit("scripts/run: leafcast ended with %d:\n%s" % (server.process.wait(None), server.process.tail()))
    except wait.Expired as e:
        sys.exit("scripts/run: %s" % e)
    finally:
        server.end()


main()
