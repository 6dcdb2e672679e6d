"""A scripted server with the API of Vault, for the answers that no real one gives: it signs as it is told, or says
whatever it is told to say."""
import http.server
import json
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from . import pki


def _issuer_names(count):
    return ["issuer-%d" % i for i in range(count)]


class FakeVault:
    """token: the one that it takes. Changes of a leaf: starts_s, names (DNS), key, the
    issuer that is shown with it; says: (status, bytes) instead of a
    leaf. signed, revoked: serial numbers."""

    def __init__(self, folder):
        self.folder, self.token = folder, "token-1"
        self.roots = [pki.authority("Fake Root 1")]
        self.signer, self.signed, self.revoked = self.roots[0], [], []
        self.logins, self.refused = 0, 0
        self.says, self.starts_s, self.names, self.key, self.shown = None, -1, None, None, None
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self):
                size = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(size)
                status, told = outer.answer(self.command, self.path.removeprefix("/v1/"), body,
                                            self.headers.get("X-Vault-Token"))
                text = told if isinstance(told, bytes) else json.dumps(told).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                try:
                    self.wfile.write(text)
                except OSError:                                     # it has heard enough
                    self.close_connection = True

            do_GET = do_POST = do_PUT = do_LIST = _answer

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def end(self):
        self._server.shutdown()
        self._server.server_close()

    def put_token(self, token):
        path = self.folder / "token"
        path.touch(mode=0o600)
        path.write_text(token + "\n")
        return str(path)

    def add_root(self):
        self.roots.append(pki.authority("Fake Root %d" % (len(self.roots) + 1)))

    # --- what it answers ---------------------------------------------------------------------------------------------
    def answer(self, method, path, body, token):
        if path == "pki/issuers":
            return 200, {"data": {"keys": _issuer_names(len(self.roots))}}
        if path.startswith("pki/issuer/"):
            pem = self.roots[int(path.split("/")[2].split("-")[1])].pem().decode()
            return 200, {"data": {"certificate": pem, "ca_chain": [pem]}}
        if token != self.token:
            self.refused += 1
            return 403, {"errors": ["permission denied"]}
        if path == "auth/token/lookup-self":
            self.logins += 1
            return 200, {"data": {"ttl": 3600, "renewable": False}}
        if path == "pki/sign/mesh":
            return self._sign(json.loads(body))
        if path == "pki/revoke":
            leaf = x509.load_pem_x509_certificate(json.loads(body)["certificate"].encode())
            self.revoked.append(leaf.serial_number)
            return 200, {"data": {"state": "revoked"}}
        return 404, {"errors": ["no handler for route"]}

    def _sign(self, asked):
        if self.says:
            return self.says
        request = x509.load_pem_x509_csr(asked["csr"].encode())
        names = self.names or [n for n in asked["alt_names"].split(",") if n]
        made = self._leaf(self.key or request.public_key(), names, asked["uri_sans"] if not self.names else [],
                          int(asked["ttl"].removesuffix("s")))
        self.signed.append(made.serial_number)
        pem = (self.shown or self.signer).pem().decode()
        return 200, {"data": {"certificate": made.public_bytes(pki.PEM).decode(), "issuing_ca": pem, "ca_chain": [pem]}}

    def _leaf(self, public, dns, uri, life_s):
        template = pki.make("leaf", self.signer, dns=dns, uri=uri, start_s=self.starts_s, end_s=life_s)
        builder = (x509.CertificateBuilder().subject_name(x509.Name([])).public_key(public)
                   .issuer_name(self.signer.certificate.subject).serial_number(x509.random_serial_number())
                   .not_valid_before(template.certificate.not_valid_before_utc)
                   .not_valid_after(template.certificate.not_valid_after_utc))
        for extension in template.certificate.extensions:
            critical = extension.critical or isinstance(extension.value, x509.SubjectAlternativeName)
            builder = builder.add_extension(extension.value, critical)
        return builder.sign(self.signer.key, hashes.SHA256())
