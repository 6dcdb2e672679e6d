"""A leafcast server under test control: started, watched by NOTIFY_SOCKET and its log, asked by its CLI."""
import http.client
import json
import os
import pathlib
import shlex
import signal
import socket
import subprocess

from . import paths, process, wait

START_S = float(os.environ.get("LEAFCAST_START_S", "15"))
_TROUBLE = ("Sanitizer", "runtime error:", "invariant", "Assertion")


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=10)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(self.path)


class Leafcast:
    """Everything of one server lives below folder: state/, run/ (sockets), leafcast.json, leafcast.log."""

    def __init__(self, folder, config=None, binary=None, env=None, user=None, mode=0o755):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(mode)
        self.binary = binary or paths.leafcast()
        self.state, self.run = self.folder / "state", self.folder / "run"
        self.user, self.process = user, None
        self.run.mkdir(exist_ok=True)
        self.run.chmod(0o755)
        if user is not None:
            os.chown(self.folder, user, user)
            os.chown(self.run, user, user)
        self.socket, self.admin = str(self.run / "sds.sock"), str(self.run / "admin.sock")
        self.extra_env = dict(env or {})
        self.config_file = None
        if config is not None:
            self.write_config(config)

    # --- configuration -----------------------------------------------------------------------------------------------
    def write_config(self, config):
        """config: a dict, or text to be written as it stands. JSON is YAML."""
        self.config_file = self.folder / "leafcast.yaml"
        text = config if isinstance(config, str) else json.dumps(config, indent=1)
        temporary = self.config_file.with_suffix(".new")
        temporary.write_text(text)
        temporary.rename(self.config_file)

    def env(self):
        keep = ("PATH", "HOME", "LANG", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS")
        env = {k: os.environ[k] for k in keep if k in os.environ}
        env.update(STATE_DIRECTORY=str(self.state), RUNTIME_DIRECTORY=str(self.run))
        env.update(self.extra_env)
        return {k: v for k, v in env.items() if v is not None}

    # --- life --------------------------------------------------------------------------------------------------------
    def spawn(self, *args, notify=True, prefix=()):
        """Start without waiting for anything."""
        env = self.env()
        if notify:
            path = str(self.folder / "notify.sock")
            if os.path.exists(path):
                os.unlink(path)
            self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.notify.bind(path)
            os.chmod(path, 0o666)
            env["NOTIFY_SOCKET"] = path
        wrap = shlex.split(os.environ.get("LEAFCAST_WRAP", ""))
        argv = [*prefix, *wrap, self.binary, "serve"]
        if self.config_file:
            argv += ["-c", str(self.config_file)]
        self.process = process.Process(argv + list(args), env=env, cwd=self.folder, user=self.user,
                                       log=self.folder / "leafcast.log")
        return self

    def start(self, *args):
        self.spawn(*args)
        self.wait_notify("READY=1")
        return self

    def wait_notify(self, line, timeout_s=START_S):
        """A datagram on NOTIFY_SOCKET with this line; fails at once when the server ends."""
        seen = []
        self.notify.settimeout(wait.POLL_S)

        def came():
            try:
                seen.extend(self.notify.recv(4096).decode().splitlines())
            except TimeoutError:
                if not self.process.running():
                    self.process.wait(1)
                    raise wait.Expired("leafcast ended with %s before %s:\n%s" %
                                       (self.process.returncode, line, self.process.tail())) from None
            return line in seen
        wait.until(came, timeout_s, lambda: "%s from leafcast (seen %s):\n%s" % (line, seen, self.process.tail()))

    def stop(self, timeout_s=30):
        """SIGTERM, then the proof that it ended well."""
        code = self.process.terminate(timeout_s)
        self.close_notify()
        self.assert_clean(code)

    def kill(self):
        """SIGKILL, as a crash."""
        self.process.kill()
        self.close_notify()

    def close_notify(self):
        if getattr(self, "notify", None):
            self.notify.close()
            self.notify = None

    def assert_clean(self, code):
        assert code == 0, "leafcast ended with %d:\n%s" % (code, self.process.tail())
        trouble = [x for x in self.process.lines.items() if any(t in x for t in _TROUBLE)]
        assert not trouble, "\n".join(trouble)

    def end(self):
        """For teardown: whatever state it is in, it is gone afterwards; trouble of a running one is raised."""
        if self.process and self.process.running():
            self.stop()
        elif self.process:
            self.close_notify()

    def reload(self):
        self.process.signal(signal.SIGHUP)

    # --- log ---------------------------------------------------------------------------------------------------------
    def events(self):
        """Log lines as dicts; lines that are not JSON are left out."""
        found = []
        for line in self.process.lines.items():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def mark(self):
        """Where the log is now, for wait_log(start=...)."""
        return len(self.process.lines.items())

    def wait_log(self, check, timeout_s=30, start=0):
        """The first log line from start on of which check(text) holds. check: function, or text to be contained."""
        test = check if callable(check) else lambda line: check in line
        return self.process.lines.first(test, timeout_s, lambda: "log line (%s):\n%s" % (check, self.process.tail()),
                                        start)[1]

    # --- CLI ---------------------------------------------------------------------------------------------------------
    def cli(self, *args, code=0, stdin="", env=None, user=None, timeout_s=20):
        """Run `leafcast ARGS` against this server; the exit code is checked (None: any)."""
        program = self.binary if user is None else paths.for_other_users(self.binary, self.folder)
        result = subprocess.run(
            [*process.as_user(user), program, *map(str, args)], cwd=self.folder, input=stdin, text=True,
            env={**self.env(), "LEAFCAST_ADMIN": self.admin, **(env or {})}, capture_output=True, timeout=timeout_s)
        if code is not None:
            assert result.returncode == code, "leafcast %s ended with %d:\n%s%s" % (
                " ".join(map(str, args)), result.returncode, result.stdout, result.stderr)
        return result

    def status(self):
        return json.loads(self.cli("status", "--json").stdout)

    def metrics(self):
        connection = UnixConnection(self.admin)
        try:
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def get(self, name, folder, *what):
        """Write the parts of a secret to files in folder; {"cert": path, ...}. what: cert, key, bundle."""
        files = {part: str(pathlib.Path(folder) / ("%s.%s.pem" % (name.replace("/", "_"), part))) for part in what}
        args = [x for part, path in files.items() for x in ("--" + part, path)]
        self.cli("get", name, *args)
        return files

    def grown_by_less_than(self, base_kib, mib):
        """Resident memory since base_kib; the sanitizers hold back what was freed."""
        return self.rss_kib() - base_kib < mib * 1024 * (4 if os.environ.get("LEAFCAST_SANITIZED") else 1)

    def rss_kib(self):
        with open("/proc/%d/status" % self.process.pid) as f:
            return next(int(x.split()[1]) for x in f if x.startswith("VmRSS:"))

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))
