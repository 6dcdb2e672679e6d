"""What the conformance tests ask: leafcast, or the model server. The tests put every name, so they know its content."""
import itertools
import os
import socket
import ssl

import grpc

from . import h2, leafcast, model, pki, ports, secrets
from .sds_client import SdsClient

FENCES = 4
_sockets = itertools.count()
FORBIDDEN = "forbidden"
ENVOY_URI = "spiffe://example.org/envoy"


def config(workers, uid, port=None, listen=()):
    """Everything that is put may be had by this uid, and over TCP by ENVOY_URI; the name "forbidden" by nobody."""
    every = {"may": ["**"], "deny": [FORBIDDEN]}
    made = {
        "workers": workers,
        "log": {"level": "debug", "format": "json"},
        "listen": [*listen],
        "authorities": {"mesh": {"type": "builtin"}},
        "profiles": {"workload": {"authority": "mesh"}},
        "secrets": {"mesh-roots": {"bundle": ["mesh"]},
                    "envoy-node": {"profile": "workload", "uri": [ENVOY_URI]}},
        "policy": [{"who": {"uid": uid}, **every}],
    }
    if port:
        made["listen"].append({"tcp": {"address": "127.0.0.1:%d" % port, "client_ca": ["mesh"], "certificate": {
            "profile": "workload", "dns": ["sds.example"], "uri": []}}})
        made["policy"].append({"who": {"uri": ENVOY_URI, "ca": "mesh"}, **every})
    return made


def tcp_credentials(server, folder):
    """The client credential that examples/README.md describes: (grpc credentials, folder for an Envoy)."""
    server.cli("get", "envoy-node", "--cert", folder / "node.cert.pem", "--key", folder / "node.key.pem")
    server.cli("get", "mesh-roots", "--bundle", folder / "mesh-roots.bundle.pem")
    read = {name: (folder / name).read_bytes() for name in ("node.cert.pem", "node.key.pem", "mesh-roots.bundle.pem")}
    return grpc.ssl_channel_credentials(read["mesh-roots.bundle.pem"], read["node.key.pem"], read["node.cert.pem"])


class Target:
    """transport: "unix" or "tcp". changes: of leafcast's config."""

    def __init__(self, kind, folder, workers, transport, **changes):
        self.folder, self.transport, self.kind, self.changes = folder, transport, kind, changes
        self.authority = pki.authority()
        self._names = itertools.count(1)
        getattr(self, "_start_" + kind)(workers)
        for i in range(FENCES):
            self.put("fence-%d" % i)

    def _start_model(self, _):
        address = "unix:%s" % (self.folder / ("%d.sock" % next(_sockets)))
        self.server = self.folder.ending(model.Model(address))
        self.address, self.credentials, self.options = address, None, ()

    def _start_leafcast(self, workers):
        port = ports.free() if self.transport == "tcp" else None
        home = self.folder / ("leafcast-%d" % next(_sockets))
        self.server = leafcast.Leafcast(home)
        unix = {"unix": {"path": self.server.socket}}
        self.server.write_config({**config(workers, os.geteuid(), port, [unix]), **self.changes})
        self.folder.ending(self.server).start()
        self.address, self.credentials, self.options = "unix:" + self.server.socket, None, ()
        if port:
            self.address, self.credentials = "127.0.0.1:%d" % port, tcp_credentials(self.server, home)
            self.options = [("grpc.ssl_target_name_override", "sds.example")]

    # --- secrets -----------------------------------------------------------------------------------------------------
    def name(self, stem="name"):
        """One that no other test has."""
        return "%s-%d" % (stem, next(self._names))

    def put(self, name, certificate=None):
        """A leaf (a new one when none is given); it is everywhere when this returns. The certificate."""
        certificate = certificate or pki.make("leaf", self.authority, dns=["leaf.example"])
        if self.kind == "model":
            self.server.put(secrets.tls(name, certificate))
        else:
            cert, key = certificate.write(self.folder.path, "put")
            self.server.cli("put", "--cert", cert, "--key", key, "--", name)
        return certificate

    def put_bundle(self, name, *authorities):
        if self.kind == "model":
            self.server.put(secrets.bundle(name, *authorities))
        else:
            path = self.folder / "put.bundle.pem"
            path.write_bytes(b"".join(a.pem() for a in authorities))
            self.server.cli("put", "--bundle", path, "--", name)

    def delete(self, name):
        if self.kind == "model":
            self.server.delete(name)
        else:
            self.server.cli("delete", "--", name)

    def nacked(self, name):
        """Whether the server took note of a NACK of this name."""
        if self.kind == "model":
            return self.server.was_rejected(name)
        return any(s["name"] == name and s["last_nack_at"] for s in self.server.status()["secrets"])

    def client(self, options=()):
        return SdsClient(self.address, self.credentials, [*self.options, *options])

    def raw(self, **options):
        """A connection whose HTTP/2 is made by hand. options: of h2.Connection."""
        if self.transport == "unix":
            return h2.Connection(self.server.socket, **options)
        home = self.server.folder
        context = ssl.create_default_context(cafile=home / "mesh-roots.bundle.pem")
        context.load_cert_chain(home / "node.cert.pem", home / "node.key.pem")
        context.set_alpn_protocols(["h2"])
        plain = socket.create_connection(("127.0.0.1", int(self.address.rsplit(":", 1)[1])), 10)
        return h2.Connection(context.wrap_socket(plain, server_hostname="sds.example"), **options)

    def subscribers(self, name):
        """How many streams the server counts for name."""
        return sum(s["subscribers"] for s in self.server.status()["secrets"] if s["name"] == name)


def chain(secret):
    return secret.tls_certificate.certificate_chain.inline_bytes


def holds(secret, certificate):
    """The secret is exactly this leaf with its key."""
    return (secret.WhichOneof("type") == "tls_certificate" and chain(secret) == certificate.chain_pem() and
            secret.tls_certificate.private_key.inline_bytes == certificate.key_pem())
