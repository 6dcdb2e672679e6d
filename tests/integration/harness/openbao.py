"""A real OpenBao under test control: a development server over TLS, with a PKI engine, a role and four auth methods."""
import copy
import json
import os
import pathlib
import ssl
import urllib.error
import urllib.request

from . import paths, pki, ports, process, wait

START_S = 20
ROOT_TOKEN = "root-of-the-test"
ROLE = {"allow_any_name": True, "enforce_hostnames": False, "require_cn": False, "allowed_uri_sans": "spiffe://*",
        "key_type": "any", "ttl": "1h", "max_ttl": "2h", "not_before_duration": "1s"}


class Refused(Exception):
    def __init__(self, status, body):
        super().__init__("%d %s" % (status, body))
        self.status, self.body = status, body


def program():
    return paths.tool("bao")


class OpenBao:
    """persistent: its data outlive a restart (raft, a single node); else everything is in memory."""

    def __init__(self, folder, persistent=False):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port, self.persistent, self.process = ports.free(), persistent, None
        self.cluster_port = ports.free()
        self.address = "https://localhost:%d" % self.port
        self.token, self.unseal_key, self.namespace = ROOT_TOKEN, None, None
        self.authority = pki.authority("Server Root")
        self.ca_file = self.folder / "server-ca.pem"
        self.ca_file.write_bytes(self.authority.pem())
        server = pki.make("localhost", issuer=self.authority, dns=["localhost"])
        self.certificate, self.key = server.write(self.folder, "server")
        self._tls = ssl.create_default_context(cafile=str(self.ca_file))

    # --- life --------------------------------------------------------------------------------------------------------
    def _config(self):
        listener = {"tcp": {"address": "127.0.0.1:%d" % self.port, "tls_cert_file": str(self.certificate),
                            "tls_key_file": str(self.key)}}
        config = {"listener": [listener], "log_level": "warn"}
        if self.persistent:
            data = self.folder / "data"
            data.mkdir(exist_ok=True)
            cluster = "127.0.0.1:%d" % self.cluster_port
            listener["tcp"]["cluster_address"] = cluster
            config.update(storage={"raft": {"path": str(data), "node_id": str(self.port)}}, api_addr=self.address,
                          cluster_addr="https://" + cluster)
        path = self.folder / "server.json"
        path.write_text(json.dumps(config))
        return path

    def start(self, unseal=True):
        argv = [program(), "server", "-config=%s" % self._config()]
        if not self.persistent:
            argv += ["-dev", "-dev-root-token-id=" + ROOT_TOKEN, "-dev-no-store-token",
                     "-dev-listen-address=127.0.0.1:%d" % ports.free()]
        env = {k: v for k, v in os.environ.items() if not k.startswith(("BAO_", "VAULT_"))}
        self.process = process.Process(argv, env={**env, "HOME": str(self.folder)}, cwd=self.folder,
                                       log=self.folder / "openbao.log")
        wait.until(self._answers, START_S, lambda: "OpenBao:\n" + self.process.tail())
        if self.persistent and unseal:
            self.unseal()
        return self

    def _answers(self):
        if not self.process.running():
            raise wait.Expired("OpenBao ended:\n" + self.process.tail())
        try:
            return self.health() in ((501, 503) if self.persistent else (200,))
        except OSError:
            return False

    def unseal(self):
        if not self.unseal_key:
            made = self.ask("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1}, token=None)
            self.token, self.unseal_key = made["root_token"], made["keys_base64"][0]
        self.ask("PUT", "sys/unseal", {"key": self.unseal_key}, token=None)
        wait.until(lambda: self.health() == 200, START_S, "OpenBao unsealed")

    def join(self, leader):
        """Become a second node of the leader's cluster; both are persistent, and this one was started sealed."""
        self.post("sys/storage/raft/join", leader_api_addr=leader.address, leader_ca_cert=leader.authority.pem().decode())
        self.token, self.unseal_key = leader.token, leader.unseal_key
        # Unsealed is what it is once the leader has answered its challenge; a standby is 429.
        wait.until(lambda: self.ask("PUT", "sys/unseal", {"key": self.unseal_key}, token=None) and self.health() == 429,
                   START_S, lambda: "a standby:\n" + self.process.tail(), poll_s=0.2)
        return self

    def lead_after(self, leader):
        """The leader steps down, once this node has a vote (ten seconds after it joined)."""
        def voters():
            listed = leader.ask("GET", "sys/storage/raft/configuration")["data"]["config"]["servers"]
            return all(server["voter"] for server in listed)
        wait.until(voters, 3 * START_S, "two voters", poll_s=0.2)
        leader.ask("PUT", "sys/step-down", {})
        wait.until(lambda: self.health() == 200, 3 * START_S, lambda: "a new leader:\n" + self.process.tail(), poll_s=0.2)

    def stop(self):
        self.process.terminate()

    def end(self):
        if self.process and self.process.running():
            self.process.kill()

    def signal(self, number):
        self.process.signal(number)

    # --- API ---------------------------------------------------------------------------------------------------------
    def ask(self, method, path, body=None, token="", timeout_s=30):
        """The answer's JSON; {} without one. token: "" for the root's, None for none."""
        headers = {} if token is None else {"X-Vault-Token": token or self.token}
        if self.namespace:
            headers["X-Vault-Namespace"] = self.namespace
        request = urllib.request.Request("%s/v1/%s" % (self.address, path), method=method, headers=headers,
                                         data=None if body is None else json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request, timeout=timeout_s, context=self._tls) as answer:
                text = answer.read()
        except urllib.error.HTTPError as e:
            raise Refused(e.code, e.read().decode(errors="replace")) from None
        return json.loads(text) if text else {}

    def post(self, where, **body):
        return self.ask("POST", where, body)

    def health(self):
        try:
            self.ask("GET", "sys/health", token=None)
            return 200
        except Refused as e:
            return e.status

    def within(self, namespace):
        """The same server, as seen from a namespace."""
        inner = copy.copy(self)
        inner.namespace = namespace
        return inner

    # --- set-up ------------------------------------------------------------------------------------------------------
    def with_pki(self, **role):
        """Mount pki, a root and the role "mesh"; the policy "leafcast" may sign, and nothing more."""
        self.post("sys/mounts/pki", type="pki", config={"max_lease_ttl": "87600h"})
        self.post("pki/root/generate/internal", common_name="Root 1", issuer_name="r1", key_type="ec", ttl="87600h")
        self.role("mesh", **role)
        self.policy("leafcast", {"pki/sign/mesh": ["update"]})
        return self

    def role(self, name, **role):
        self.post("pki/roles/" + name, **{**ROLE, **role})

    def policy(self, name, paths_):
        text = "\n".join('path "%s" { capabilities = %s }' % (p, json.dumps(c)) for p, c in paths_.items())
        self.ask("PUT", "sys/policies/acl/" + name, {"policy": text})

    def new_root(self, number, default=True):
        made = self.post("pki/root/rotate/internal", common_name="Root %d" % number, issuer_name="r%d" % number,
                         key_type="ec", ttl="87600h")["data"]["certificate"]
        if default:
            self.make_default(number)
        return made

    def make_default(self, number):
        self.post("pki/root/replace", default="r%d" % number)

    # --- logins: each makes the files and gives the value of `auth` in the config ------------------------------------
    def _file(self, name, text, mode=0o600):
        path = self.folder / name
        temporary = path.with_suffix(".new")
        temporary.write_bytes(text if isinstance(text, bytes) else text.encode())
        temporary.chmod(mode)
        temporary.rename(path)
        return str(path)

    def put_token(self, **options):
        """A new token in the token's file; the token."""
        made = self.post("auth/token/create", policies=["leafcast"], **{"ttl": "1h", **options})["auth"]["client_token"]
        self._file("token", made + "\n")
        return made

    def token_login(self, **options):
        self.put_token(**options)
        return {"token": {"file": str(self.folder / "token")}}

    def approle_login(self, **options):
        self.post("sys/auth/approle", type="approle")
        self.post("auth/approle/role/leafcast", **{"token_policies": "leafcast", "token_ttl": "1h", **options})
        role_id = self.ask("GET", "auth/approle/role/leafcast/role-id")["data"]["role_id"]
        self.put_secret_id()
        return {"approle": {"role_id_file": self._file("role_id", role_id, 0o644),
                            "secret_id_file": str(self.folder / "secret_id")}}

    def put_secret_id(self):
        made = self.post("auth/approle/role/leafcast/secret-id")["data"]["secret_id"]
        self._file("secret_id", made)
        return made

    def certificate_login(self, **options):
        self.post("sys/auth/cert", type="cert")
        self.clients = pki.authority("Client Root")
        self.post("auth/cert/certs/leafcast", **{"certificate": self.clients.pem().decode(), "token_policies": "leafcast",
                                                 "token_ttl": "1h", **options})
        return {"certificate": {**dict(zip(("certificate_file", "key_file"), self.put_client())), "name": "leafcast"}}

    def clients_ca(self):
        """A file with a root that has nothing to do with the server's certificate."""
        return self._file("other-ca.pem", pki.authority("Other Root").pem())

    def put_client(self, name="leafcast-host"):
        made = pki.make(name, issuer=self.clients, dns=[name + ".example"])
        return self._file("client.pem", made.chain_pem()), self._file("client.key", made.key_pem())

    def jwt_login(self, **options):
        """A key of the test's own signs the tokens."""
        self.signer = pki.new_key()
        self.post("sys/auth/jwt", type="jwt")
        self.post("auth/jwt/config", jwt_validation_pubkeys=[pki.public_pem(self.signer)])
        self.post("auth/jwt/role/leafcast", **{"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["openbao"],
                                               "token_policies": "leafcast", "token_ttl": "1h", **options})
        self.put_jwt()
        return {"jwt": {"token_file": str(self.folder / "jwt"), "role": "leafcast"}}

    def put_jwt(self, life_s=600):
        made = pki.sign_jwt(self.signer, {"sub": "leafcast", "aud": "openbao"}, life_s)
        self._file("jwt", made, 0o644)
        return made
