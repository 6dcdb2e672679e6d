"""What the runners share: a server process that is measured, leafcast, and the crowd of subscribers (load.c)."""
import json
import os
import pathlib
import select
import signal
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
RESULTS = HERE / "RESULTS.md"
MIB = 1024 * 1024
PATIENCE = 60  # seconds for any answer


def die(message):
    sys.exit(f"bench: {message}")


def wait_until(what, seconds, ready):
    """Poll until ready() is true; die at the deadline."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            die(f"{what}: not within {seconds} s")
        time.sleep(0.02)


class Server:
    """A server process under measurement."""

    names = ()

    def __init__(self, folder, argv, env):
        self.socket = str(folder / "sds.sock")
        self.folder = folder
        self.log = open(folder / "log", "wb")
        self.process = subprocess.Popen(argv, stdout=self.log, stderr=self.log, env={**os.environ, **env})
        try:
            wait_until(f"{self.title} listening", 20, self.listens)
        except BaseException:
            self.say_log()
            self.stop()
            raise

    def say_log(self):
        text = (self.folder / "log").read_text(errors="replace")
        print(f"bench: the end of {self.title}'s log:\n{text[-4000:]}", file=sys.stderr)

    def listens(self):
        if self.process.poll() is not None:
            die(f"{self.title} ended with {self.process.returncode}")
        with socket.socket(socket.AF_UNIX) as s:
            return s.connect_ex(self.socket) == 0

    def cpu(self):
        """CPU seconds of all threads, ended ones included: the process's CPU clock (see clock_getcpuclockid(3))."""
        return time.clock_gettime((~self.process.pid << 3) | 2)

    def resident(self):
        for line in open(f"/proc/{self.process.pid}/status"):
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def settle(self):
        """Wait until the server does nothing any more: less than 1 % of a CPU for 0.3 s."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            before = self.cpu()
            time.sleep(0.3)
            if self.cpu() - before < 0.003:
                return
        print(f"bench: {self.title} does not come to rest", file=sys.stderr)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            die(f"{self.title} did not stop")
        finally:
            self.log.close()


class Leafcast(Server):
    title = "leafcast"
    names = ("default", "web")
    config = """\
log: {{level: warn, format: json}}
listen:
  - unix: {{path: {folder}/sds.sock, mode: "{mode}"}}
workers: {workers}
state: {{path: {folder}/state}}
authorities:
  lab: {{type: builtin}}
profiles:
  workload: {{authority: lab, key: ecdsa-p256, lifetime: 24h, uri: ["spiffe://bench.example/uid/{{uid}}"]}}
secrets:
  default: {{profile: workload}}
  web: {{profile: workload, dns: [web.example], uri: []}}
policy:
  - {{who: {{uid: {uid}}}, may: [default, web]}}
"""

    def __init__(self, folder, options, workers=1, guest=None):
        """guest: another uid that may connect and have the same."""
        config = folder / "config.yaml"
        text = self.config.format(folder=folder, uid=os.getuid(), workers=workers, mode="0666" if guest else "0660")
        if guest:
            text += f"  - {{who: {{uid: {guest}}}, may: [default, web]}}\n"
        config.write_text(text)
        self.binary = options.leafcast
        self.admin = str(folder / "admin.sock")
        super().__init__(folder, [self.binary, "serve", "-c", config], {"RUNTIME_DIRECTORY": str(folder)})

    def push(self, name):
        done = subprocess.run(
            [self.binary, "rotate", name, "--admin", self.admin], capture_output=True, text=True, timeout=60
        )
        if done.returncode:
            die(f"leafcast rotate {name}: {done.stderr}")

    def trim(self):
        """It does so by itself."""


class Load:
    """The crowd, in its own process."""

    def __init__(self, server, delta, options, names=None):
        argv = [options.build / "bench_load", *(["-d"] if delta else []), "-n", str(options.node), "-t", str(PATIENCE)]
        self.process = subprocess.Popen(
            [*argv, server.socket, *(names or server.names)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def answer(self, event):
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE + 10)
        line = self.process.stdout.readline() if ready else b""
        if not line:
            die(f"the load generator does not say {event}")
        report = json.loads(line)
        if report["event"] != event:
            die(f"the load generator said {report}, not {event}")
        if report["failed"] or (event != "armed" and report["missing"]):
            die(f"streams that failed or miss an answer: {report}")
        return report

    def ask(self, command, event):
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()
        return self.answer(event)

    def stop(self):
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()


def write_results(part):
    """Put a runner's part of RESULTS.md, which begins with a heading of its own, in the place of its last one."""
    heading = part.strip().splitlines()[0]
    parts = ("\n" + RESULTS.read_text().strip()).split("\n# ")[1:] if RESULTS.exists() else []
    text = part.strip().removeprefix("# ")
    at = [i for i, p in enumerate(parts) if "# " + p.splitlines()[0] == heading]
    parts[at[0] if at else len(parts):at[0] + 1 if at else len(parts)] = [text]
    RESULTS.write_text("\n\n".join("# " + p.strip() for p in parts) + "\n")
