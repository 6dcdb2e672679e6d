"""A real Envoy under test control: started with a bootstrap, asked through its admin interface."""
import http.client
import json
import os
import pathlib
import re
import subprocess

from . import paths, process, wait

START_S = 30


class Envoy:
    """config: a bootstrap as a dict. files: further ones by name, which the bootstrap finds by "{folder}/NAME"."""

    def __init__(self, folder, config, files=None, user=None, concurrency=1, log_level="info", version=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        self.config, self.user, self.process = config, user, None
        self.log_level, self.concurrency, self.version = log_level, concurrency, version
        for name, content in {**(files or {}), "envoy.yaml": config}.items():
            path = self.folder / name
            path.write_text(content if isinstance(content, str) else json.dumps(content, indent=1))
            path.chmod(0o644)
        if user is not None:
            os.chown(self.folder, user, user)

    # --- life --------------------------------------------------------------------------------------------------------
    def spawn(self):
        address = self.folder / "admin.address"
        address.unlink(missing_ok=True)
        program = paths.envoy(self.version)
        if self.user is not None:
            program = paths.for_other_users(program, self.folder.parent)
        self.process = process.Process(
            [program, "-c", str(self.folder / "envoy.yaml"), "--disable-hot-restart", "-l", self.log_level,
             "--concurrency", str(self.concurrency), "--admin-address-path", str(address)],
            cwd=self.folder, user=self.user, log=self.folder / "envoy.log")
        return self

    def wait_admin(self):
        """The admin interface answers; its port is known then."""
        address = self.folder / "admin.address"

        def came():
            if not self.process.running():
                raise wait.Expired("envoy ended with %s:\n%s" % (self.process.wait(5), self.process.tail()))
            text = address.read_text() if address.exists() else ""
            return int(text.rsplit(":", 1)[1]) if ":" in text else None
        self.admin_port = wait.until(came, START_S, lambda: "admin address of envoy:\n" + self.process.tail())
        return self

    def wait_live(self, timeout_s=START_S):
        """All listeners and clusters have warmed once."""
        wait.until(lambda: self.ask("/ready")[0] == 200, timeout_s, lambda: "envoy live:\n%s\n%s" %
                   (self.ask("/init_dump")[1], self.process.tail(10)))
        return self

    def start(self):
        return self.spawn().wait_admin().wait_live()

    def end(self):
        if self.process and self.process.running():
            code = self.process.terminate()
            assert code == 0, "envoy ended with %d:\n%s" % (code, self.process.tail())

    @staticmethod
    def validate(folder, config_text):
        """`envoy --mode validate`: the result of a bootstrap that is only checked."""
        path = pathlib.Path(folder) / "validate.yaml"
        path.write_text(config_text)
        return subprocess.run([paths.envoy(), "--mode", "validate", "-c", str(path)], capture_output=True, text=True,
                              timeout=60)

    # --- admin -------------------------------------------------------------------------------------------------------
    def ask(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def stats(self, pattern):
        """Counters and gauges (numbers) and text readouts whose name matches."""
        found = {}
        for line in self.ask("/stats?filter=" + pattern.replace("\\", "%5C").replace("+", "%2B"))[1].splitlines():
            name, _, value = line.partition(": ")
            found[name] = int(value) if re.fullmatch(r"-?\d+", value) else value
        return found

    def stat(self, name):
        """One counter or gauge; 0 when it does not exist (yet)."""
        return self.stats("^%s$" % re.escape(name).replace("\\-", "-")).get(name, 0)

    def wait_stat(self, name, at_least, timeout_s=30):
        return wait.until(lambda: self.stat(name) >= at_least, timeout_s,
                          lambda: "%s >= %d (is %s):\n%s" % (name, at_least, self.stat(name), self.process.tail(8)))

    def listener_port(self, name, timeout_s=START_S):
        def active():
            listeners = json.loads(self.ask("/listeners?format=json")[1]).get("listener_statuses", [])
            return next((x["local_address"]["socket_address"]["port_value"] for x in listeners if x["name"] == name),
                        None)
        return wait.until(active, timeout_s, lambda: "listener %s active:\n%s" % (name, self.process.tail(8)))

    def certificates(self):
        """The live leafs of all TLS contexts as /certs shows them: serial_number, valid_from, expiration_time."""
        certificates = json.loads(self.ask("/certs")[1]).get("certificates", [])
        return [leaf for c in certificates for leaf in c.get("cert_chain", [])[:1]]

    def serials(self):
        return sorted({c["serial_number"].lower().lstrip("0") for c in self.certificates()})

    def context_updates(self, scope):
        """How often SDS made the context of "listener.NAME" or "cluster.NAME" anew."""
        return sum(v for k, v in self.stats("ssl_context_update_by_sds").items() if k.startswith(scope + "."))

    def rejected(self):
        return sum(v for k, v in self.stats("update_rejected").items() if k.startswith("sds.") and isinstance(v, int))
