"""A real step-ca under test control: a root, an issuing CA, a JWK and an X5C provisioner."""
import base64
import hashlib
import json
import os
import pathlib
import signal
import ssl
import urllib.error
import urllib.request

from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from . import paths, pki, ports, process, wait

START_S = 20
JWK_NAME, JWK_ID, X5C_NAME = "mesh", "key-1", "machines"
JWE, PASSWORD = pathlib.Path(__file__).with_name("step-provisioner.jwe"), b"secret word"
CLAIMS = {"minTLSCertDuration": "5s", "defaultTLSCertDuration": "1m", "maxTLSCertDuration": "48h"}


def _b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def jwk(key, private=False):
    """A P-256 key as step-ca writes it."""
    numbers = key.public_key().public_numbers()
    made = {"kty": "EC", "crv": "P-256", "kid": JWK_ID, "use": "sig", "alg": "ES256",
            "x": _b64(numbers.x.to_bytes(32, "big")), "y": _b64(numbers.y.to_bytes(32, "big"))}
    if private:
        made["d"] = _b64(key.private_numbers().private_value.to_bytes(32, "big"))
    return made


def made_by_step():
    """The key in step-provisioner.jwe, which `step crypto jwk create` made under PASSWORD."""
    made = json.loads(JWE.read_text())
    head = json.loads(_bytes(made["protected"]))
    assert head["alg"] == "PBES2-HS256+A128KW" and head["enc"] == "A256GCM", head
    wrapping = PBKDF2HMAC(hashes.SHA256(), 16, head["alg"].encode() + b"\0" + _bytes(head["p2s"]), head["p2c"])
    key = keywrap.aes_key_unwrap(wrapping.derive(PASSWORD), _bytes(made["encrypted_key"]))
    plain = AESGCM(key).decrypt(_bytes(made["iv"]), _bytes(made["ciphertext"]) + _bytes(made["tag"]),
                                made["protected"].encode())
    return ec.derive_private_key(int.from_bytes(_bytes(json.loads(plain)["d"]), "big"), ec.SECP256R1())


class StepCA:
    """Its data outlive a restart. key: of the JWK provisioner; claims: of the authority, beside CLAIMS."""

    def __init__(self, folder, key=None, **claims):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port, self.process, self.claims = ports.free(), None, {**CLAIMS, **claims}
        self.address = "https://localhost:%d" % self.port
        self.roots = [pki.authority("Root 1")]
        self.issuing = pki.make("Issuing 1", issuer=self.roots[0], ca=True, end_s=5 * 86400, path_length=0)
        self.key = key or pki.new_key()
        self.backdate = "1s"
        self.machines = pki.authority("Machines")
        self.machine = pki.make("machine", issuer=self.machines, dns=["machine.example"])
        self._write()

    # --- what is told to leafcast ------------------------------------------------------------------------------------
    @property
    def root_file(self):
        return self.folder / "root-0.pem"

    @property
    def root_sha256(self):
        return hashlib.sha256(self.roots[0].der()).hexdigest()

    def jwk_file(self):
        """The private key of the JWK provisioner, as a JWK."""
        return self._private("provisioner.jwk", json.dumps(jwk(self.key, private=True)).encode())

    def jwe_file(self):
        """The key of made_by_step(), as step wrote it."""
        return self._private("provisioner.jwe", JWE.read_bytes())

    def pem_file(self, password=None):
        lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        return self._private("provisioner.pem", self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock))

    def machine_files(self):
        """(certificate, key) that the X5C provisioner takes."""
        return (self._private("machine.cert.pem", self.machine.chain_pem()),
                self._private("machine.key.pem", self.machine.key_pem()))

    def _private(self, name, content):
        path = self.folder / name
        path.write_bytes(content)
        path.chmod(0o600)
        return path

    # --- life --------------------------------------------------------------------------------------------------------
    def _write(self):
        for i, root in enumerate(self.roots):
            (self.folder / ("root-%d.pem" % i)).write_bytes(root.pem())
        (self.folder / "issuing.pem").write_bytes(self.issuing.pem())
        self._private("issuing.key", self.issuing.key_pem())
        machines = base64.b64encode(self.machines.pem()).decode()
        config = {
            "root": [str(self.folder / ("root-%d.pem" % i)) for i in range(len(self.roots))],
            "crt": str(self.folder / "issuing.pem"), "key": str(self.folder / "issuing.key"),
            "address": "127.0.0.1:%d" % self.port, "dnsNames": ["localhost", "127.0.0.1"],
            "logger": {"format": "json"},
            "db": {"type": "badgerv2", "dataSource": str(self.folder / "db")},
            "authority": {"backdate": self.backdate, "claims": self.claims, "provisioners": [
                {"type": "JWK", "name": JWK_NAME, "key": jwk(self.key)},
                {"type": "X5C", "name": X5C_NAME, "roots": machines}]}}
        path = self.folder / "ca.json"
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(config))
        temporary.rename(path)

    def start(self):
        env = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "STEPPATH": str(self.folder)}
        self.process = process.Process([paths.step_ca(), str(self.folder / "ca.json")], env=env, cwd=self.folder,
                                       log=self.folder / "step-ca.log")
        self.wait()
        return self

    def wait(self):
        def answers():
            if not self.process.running():
                raise wait.Expired("step-ca ended:\n" + self.process.tail())
            try:
                return self.ask("/health")["status"] == "ok"
            except OSError:
                return False
        wait.until(answers, START_S, lambda: "step-ca:\n" + self.process.tail())

    def stop(self):
        self.process.terminate()

    def end(self):
        if self.process and self.process.running():
            self.process.kill()

    def pause(self):
        self.process.signal(signal.SIGSTOP)

    def resume(self):
        self.process.signal(signal.SIGCONT)

    # --- API ---------------------------------------------------------------------------------------------------------
    def ask(self, path, body=None, timeout_s=10):
        """The answer's JSON; HTTPError where it is refused."""
        request = urllib.request.Request(self.address + path, data=None if body is None else json.dumps(body).encode(),
                                         headers={"Content-Type": "application/json"})
        context = ssl.create_default_context(cadata="".join(root.pem().decode() for root in self.roots))
        with urllib.request.urlopen(request, timeout=timeout_s, context=context) as answer:
            return json.loads(answer.read())

    # --- rotation of its root, as its operators do it: each step is a SIGHUP -------------------------------------------
    def _take(self, before):
        self._write()
        self.process.signal(signal.SIGHUP)
        wait.until(before, START_S, lambda: "step-ca after SIGHUP:\n" + self.process.tail())

    def _take_config(self):
        """What answers after SIGHUP is the new one: the old one's listener is handed over."""
        start = len(self.process.lines.items())
        self._write()
        self.process.signal(signal.SIGHUP)
        self.process.lines.first(lambda line: "Serving HTTPS" in line, START_S, lambda: self.process.tail(), start)

    def set_key(self, key):
        """Another key of the JWK provisioner."""
        self.key = key
        self._take_config()

    def set_backdate(self, backdate):
        self.backdate = backdate
        self._take_config()

    def add_root(self):
        """The second root is served beside the first; leafs come from the first."""
        self.roots.append(pki.authority("Root %d" % (len(self.roots) + 1)))
        self._take(lambda: len(self._try("/roots", {}).get("crts", [])) == len(self.roots))

    def sign_by_new_root(self):
        """Leafs, and its own TLS certificate, come from the newest root now."""
        self.issuing = pki.make("Issuing 2", issuer=self.roots[-1], ca=True, end_s=5 * 86400, path_length=0)
        self._take(lambda: self.issuing.pem().decode().strip() in str(self._intermediates()))

    def drop_old_root(self):
        self.roots = self.roots[-1:]
        self._take(lambda: len(self._try("/roots", {}).get("crts", [])) == 1)

    def _intermediates(self):
        return "\n".join(self._try("/intermediates", {}).get("crts", []))

    def _try(self, path, otherwise):
        try:
            return self.ask(path)
        except OSError:
            return otherwise
