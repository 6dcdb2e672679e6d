"""Each kind of authority behind one set of handles, for the cases that all of them are asked."""
import json
import os
import pathlib
import secrets
import signal
import subprocess

from . import paths, pki
from .fake_vault import FakeVault
from .front import Front
from .openbao import OpenBao
from .stepca import JWK_NAME, StepCA

OPENSSL_CA = str(paths.EXAMPLES / "exec/exec-openssl-ca")


def body_of(pem):
    """The better part of a PEM block, in one piece."""
    return b"".join(pem.splitlines()[1:-1])[20:80]


class Kit:
    """start() and end(); authority(): its config; issued(): leaves that it made, counted there. Troubles, each until
    pass_(): slow(), hold_next() with held() and let_go(), garbage(), oversized(); down() and up(); pause() and
    resume(). poll: how often leafcast looks for new roots and credentials."""
    poll = "1h"

    def __init__(self, folder):
        self.folder = folder
        (folder / "ca").mkdir()

    def start(self):
        return self

    def end(self):
        pass

    def down(self):
        """False: it is part of leafcast and is never away."""
        return True


class Builtin(Kit):
    def authority(self):
        return {"type": "builtin", "common_name": "Root 1"}

    def with_secrets(self):
        """(its config, what nobody may see): a key of the operator's own."""
        made = pki.authority("Given")
        certificate, key = made.write(self.folder / "ca", "given")
        key.chmod(0o600)
        return ({"type": "builtin", "certificate_file": str(certificate), "key_file": str(key)},
                [body_of(made.key_pem())])

    def down(self):
        return False

    def up(self):
        pass


class Fronted(Kit):
    """A server behind a front."""
    steps = 5                                           # at each of so many of its first messages a start can be stopped

    def _put_front(self, port):
        self.front = self.folder.ending(Front(port))

    def pass_(self):
        self.front.set("pass")

    def slow(self):
        self.front.set("slow")

    def garbage(self):
        self.front.set("garbage")

    def hold_next(self, after=0):
        self.front.hold_next(after)

    def held(self):
        return self.front.held

    def let_go(self):
        self.front.cut()

    def asked(self):
        return self.front.seen

    def stall(self):
        self.pause()

    def go_on(self):
        self.resume()


class Fake(Fronted):
    """Vault's API, scripted."""

    def start(self):
        self.server = self.folder.ending(FakeVault(self.folder / "ca"))
        self._put_front(self.server.port)
        return self

    def authority(self):
        return {"type": "vault", "address": "http://127.0.0.1:%d" % self.front.port, "role": "mesh", "poll": self.poll,
                "auth": {"token": {"file": self.server.put_token(self.server.token)}}}

    def with_secrets(self):
        self.server.token = "hvs.%s" % secrets.token_hex(24)
        return self.authority(), [self.server.token.encode(), b"hvs."]

    def issued(self):
        return len(self.server.signed)

    def revoked(self, serial):
        return serial in self.server.revoked

    def down(self):
        self.front.set("away")
        return True

    def up(self):
        self.front.set("pass")

    def end_credentials(self):
        self.server.token = "token-2"

    def put_credentials(self):
        self.server.put_token("token-2")

    def add_root(self):
        self.server.add_root()

    def sign_by_new_root(self):
        self.server.signer = self.server.roots[-1]


class Bao(Fronted):
    role = {}

    def start(self):
        self.server = self.folder.ending(OpenBao(self.folder / "bao", persistent=True)).start().with_pki(**self.role)
        self.server.policy("leafcast", {"pki/sign/mesh": ["update"], "pki/revoke": ["update"]})
        self._put_front(self.server.port)
        return self

    def authority(self):
        return {"type": "vault", "address": "https://localhost:%d" % self.front.port, "ca_file": str(self.server.ca_file),
                "role": "mesh", "poll": self.poll, "auth": self.server.approle_login()}

    def with_secrets(self):
        made = self.authority()
        return made, [self._secret_id().encode()]

    def issued(self):
        listed = self.server.ask("LIST", "pki/certs")["data"]["keys"]
        return len(listed) - len(self.server.ask("LIST", "pki/issuers")["data"]["keys"])

    def revoked(self, serial):
        text = "%040x" % serial
        name = ":".join(text[i:i + 2] for i in range(0, 40, 2))
        return self.server.ask("GET", "pki/cert/" + name)["data"]["revocation_time"] > 0

    def down(self):
        self.server.stop()
        return True

    def up(self):
        self.server.start()

    def pause(self):
        self.server.signal(signal.SIGSTOP)

    def resume(self):
        self.server.signal(signal.SIGCONT)

    def end_credentials(self):
        for accessor in self.server.ask("LIST", "auth/token/accessors")["data"]["keys"]:
            if "approle" in self.server.post("auth/token/lookup-accessor", accessor=accessor)["data"]["path"]:
                self.server.post("auth/token/revoke-accessor", accessor=accessor)
        self.server.ask("POST", "auth/approle/role/leafcast/secret-id/destroy", {"secret_id": self._secret_id()})

    def _secret_id(self):
        return (self.server.folder / "secret_id").read_text().strip()

    def put_credentials(self):
        self.server.put_secret_id()

    def add_root(self):
        self.server.new_root(2, default=False)

    def sign_by_new_root(self):
        self.server.make_default(2)

    def lag(self):
        """Its leaves begin long before now, as those of a slow clock."""
        self.server.role("mesh", not_before_duration="20m")


class Step(Fronted):
    def start(self):
        self.server = self.folder.ending(StepCA(self.folder / "step")).start()
        self._put_front(self.server.port)
        return self

    def authority(self):
        return {"type": "step", "address": "https://localhost:%d" % self.front.port, "poll": self.poll,
                "root_file": str(self.server.root_file), "provisioner": JWK_NAME, "key_file": str(self.server.jwk_file())}

    def with_secrets(self):
        """The provisioner's key, and the tokens that it signs."""
        return self.authority(), [json.loads(self.server.jwk_file().read_text())["d"].encode(), b'"ott"', b"eyJhbGciOiJFUzI1NiI"]

    def counted(self, path):
        return sum(path in line and '"status":20' in line.replace(" ", "") for line in self.server.process.lines.items())

    def issued(self):
        return self.counted("/1.0/sign") + self.counted("/1.0/rekey")

    def revoked(self, serial):
        return any("/1.0/revoke" in line and '"status":200' in line.replace(" ", "") and str(serial) in line
                   for line in self.server.process.lines.items())

    def down(self):
        self.server.stop()
        return True

    def up(self):
        self.server.start()

    def pause(self):
        self.server.pause()

    def resume(self):
        self.server.resume()

    def end_credentials(self):
        """The provisioner has another key from now on."""
        self.server.set_key(pki.new_key())

    def put_credentials(self):
        self.server.jwk_file()

    def add_root(self):
        self.server.add_root()

    def sign_by_new_root(self):
        self.server.sign_by_new_root()

    def lag(self):
        self.server.set_backdate("20m")


# The troubles of a command are its own: this stands before the example, and does what the file says.
WRAPPER = """#!/bin/bash
cd {folder}
case $(cat mode) in
pass) exec {command} {folder}/ca ;;
slow) {command} {folder}/ca | while IFS= read -r -N 256 piece || [ -n "$piece" ]; do
	printf %s "$piece"
	read -r -t 0.01 <> <(:)
done; exit 0 ;;
garbage) echo "220 $CORP_TOKEN"; echo "the token $CORP_TOKEN is no good" >&2; exit 1 ;;
stall) while [ "$(cat mode)" = stall ]; do read -r -t 0.05 <> <(:); done; exec {command} {folder}/ca ;;
oversized) head -c 5000000 /dev/zero | tr '\\0' x ;;
down) echo 'the backend is down' >&2; exit 1 ;;
hold) echo pass >mode; echo $$ >held; kill -STOP $$; exec {command} {folder}/ca ;;
esac
"""


class Exec(Kit):
    steps = 1

    def start(self):
        base = self.folder / "ca"
        self.books = base / "ca"
        subprocess.run([OPENSSL_CA, str(self.books), "init"], check=True, capture_output=True, timeout=30)
        self.command = base / "command"
        self.command.write_text(WRAPPER.format(folder=base, command=OPENSSL_CA))
        self.command.chmod(0o755)
        self._mode("pass")
        return self

    def _mode(self, mode):
        path = self.folder / "ca/mode"
        path.with_suffix(".new").write_text(mode + "\n")
        path.with_suffix(".new").rename(path)

    def authority(self):
        return {"type": "exec", "command": [str(self.command)], "revoke": True, "trust_interval": self.poll}

    def with_secrets(self):
        """What leafcast hands to the command, which says it wherever it can."""
        value = secrets.token_hex(24)
        self.env = {"CORP_TOKEN": value}
        return {**self.authority(), "environment": ["CORP_TOKEN"]}, [value.encode()]

    def issued(self):
        return len((self.books / "index.txt").read_text().splitlines())

    def revoked(self, serial):
        return any(line.startswith("R") and "%X" % serial in line
                   for line in (self.books / "index.txt").read_text().splitlines())

    def pass_(self):
        self._mode("pass")

    up = pass_

    def slow(self):
        self._mode("slow")

    def garbage(self):
        self._mode("garbage")

    def oversized(self):
        self._mode("oversized")

    def stall(self):
        self._mode("stall")

    def go_on(self):
        self._mode("pass")

    def down(self):
        self._mode("down")
        return True

    def hold_next(self, after=0):
        assert after == 0
        (self.folder / "ca/held").unlink(missing_ok=True)
        self._mode("hold")

    def held(self):
        path = self.folder / "ca/held"
        text = path.read_text().strip() if path.exists() else ""
        if not text:
            return None
        try:
            with open("/proc/%s/stat" % text) as f:
                return f.read().split(") ")[1][0] == "T"
        except OSError:
            return None

    def resume(self):
        os.kill(int((self.folder / "ca/held").read_text()), signal.SIGCONT)

    let_go = resume

    def add_root(self):
        """The file shows both; openssl signs by the first one in it."""
        other = self.folder / "ca/other"
        subprocess.run([OPENSSL_CA, str(other), "init"], check=True, capture_output=True, timeout=30)
        self.new_key = (other / "ca.key").read_bytes()
        self.old, self.new = (self.books / "ca.crt").read_bytes(), (other / "ca.crt").read_bytes()
        self._put("ca.crt", self.old + self.new)

    def sign_by_new_root(self):
        self._put("ca.key", self.new_key)
        self._put("ca.crt", self.new + self.old)

    def _put(self, name, content):
        path = pathlib.Path(self.books / (name + ".new"))
        path.touch(mode=0o600)
        path.write_bytes(content)
        path.rename(self.books / name)


KITS = {"builtin": Builtin, "fake": Fake, "openbao": Bao, "step": Step, "exec": Exec}
