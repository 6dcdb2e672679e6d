"""A server that dies, and what must hold of it from the outside, whenever it dies.

A Witness sees what a proxy sees: it subscribes to every name and keeps each version in the order in which it came. After
each death the server is started again and judged:
- it starts, finds no damaged record, and has the root that it had
- of each name it serves the last version that was seen or a later one; never an earlier one
- whatever was ever served under one version id is the same, to the byte: never two keys for one version
- certificate and key belong together, and the certificate leads to the root
- what is served, and what was last seen, is recorded: in the inventory as stored, and in the audit trail
- a put that was told to be done is there; one that was not told is there whole or not at all
"""
import json
import os
import random
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from . import leafcast, pki, wait
from .sds_client import SdsClient, secrets_of

ISSUED, BUNDLE, PUT = ["s0", "s1", "s2"], "roots", "brought"
NAMES = [*ISSUED, BUNDLE, PUT]
CONFIG = {
    "log": {"level": "info", "format": "json"},
    "authorities": {"lab": {"type": "builtin"}},
    "profiles": {"short": {"authority": "lab", "lifetime": "20s", "renew": {"from": "15%", "to": "60%"}}},
    "secrets": {BUNDLE: {"bundle": ["lab"]}, **{n: {"profile": "short", "dns": [n + ".example"]} for n in ISSUED}},
    "state": {"retention": {"versions": 8, "expired": "1h"}},
}


def public_bytes(key):
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


class Witness:
    """The versions of each name in the order in which a subscriber got them."""

    def __init__(self):
        self.order = {n: [] for n in NAMES}
        self.content = {}  # (name, version) -> bytes

    def see(self, name, version, secret):
        content = secret.SerializeToString(deterministic=True)
        known = self.content.setdefault((name, version), content)
        assert known == content, "two contents under version %s of %s" % (version, name)
        if not self.order[name] or self.order[name][-1] != version:
            assert version not in self.order[name], "%s went back to %s" % (name, version)
            self.order[name].append(version)

    def last(self, name):
        return self.order[name][-1] if self.order[name] else None


class Rig:
    def __init__(self, folder, seed):
        self.random = random.Random(seed)
        self.server = leafcast.Leafcast(folder / "leafcast")
        self.server.write_config({**CONFIG, "listen": [{"unix": {"path": self.server.socket}}],
                                  "policy": [{"who": {"uid": os.geteuid()}, "may": ["**"]}]})
        self.folder, self.witness = folder, Witness()
        self.root, self.lives, self.seen_in_all = None, 0, 0
        self.authority = pki.authority()
        self.puts, self.told, self.tried = 0, None, []  # of PUT: the leaf that was told, those tried since

    # --- a life ------------------------------------------------------------------------------------------------------
    def orders(self, stop):
        """What operators do meanwhile; each may be cut off."""
        while not stop.is_set():
            what = self.random.random()
            if what < 0.5:
                self.order("rotate", self.random.choice(ISSUED))
            elif what < 0.8:
                self.put()
            elif what < 0.9:
                self.order("seal", "rotate")
            else:
                self.order("backup", self.folder / ("copy-%d.db" % time.monotonic_ns()))

    def order(self, *args):
        return self.server.cli(*args, code=None).returncode == 0

    def put(self):
        self.puts += 1
        leaf = pki.make("put-%d" % self.puts, self.authority, dns=["brought.example"])
        chain, key = self.folder / "chain.pem", self.folder / "key.pem"
        chain.write_bytes(leaf.chain_pem())
        key.write_bytes(leaf.key_pem())
        self.tried.append(leaf)
        if self.order("put", PUT, "--cert", chain, "--key", key):
            self.told, self.tried = leaf, []

    def watch(self, stop):
        """Until the server is gone."""
        with SdsClient("unix:" + self.server.socket) as client:
            stream = client.sotw()
            stream.request(NAMES)
            while True:
                try:
                    answer = stream.receive(0.2)
                except wait.Expired:
                    if stop.is_set() or not stream.is_open():
                        return
                    continue
                for name, secret in secrets_of(answer).items():
                    self.witness.see(name, answer.version_info, secret)
                stream.ack(answer)

    def live(self, end):
        """Serve, and do things, until end() has seen to it that the server is gone."""
        stop, failures = threading.Event(), []

        def guarded(run):
            try:
                run(stop)
            except BaseException as e:  # told by the thread that waits
                failures.append(e)
        threads = [threading.Thread(target=guarded, args=(r,)) for r in (self.orders, self.watch)]
        for thread in threads:
            thread.start()
        try:
            end()
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.server.process.wait(10)
        self.server.close_notify()
        if failures:
            raise failures[0]

    # --- the judgement -----------------------------------------------------------------------------------------------
    def start(self):
        self.server.extra_env.pop("LEAFCAST_CRASH_AT", None)
        self.lives += 1
        self.server.start()

    def judge(self):
        """Of a server that has just started."""
        troubles = {"store.record_damaged", "audit.broken", "store.unwritable", "seal.record_left"}
        found = [e for e in self.server.events() if e["event"] in troubles]
        assert not found, found
        served = self.served()
        stored = json.loads(self.server.cli("inventory", "--json").stdout)["versions"]
        recorded = {(v["name"], v["version"]): v for v in stored}
        for name, (version, secret) in served.items():
            last = self.witness.last(name)
            self.witness.see(name, version, secret)
            assert (name, version) in recorded, "%s %s is served and not stored" % (name, version)
            assert recorded[name, version]["stored_at"] and not recorded[name, version]["damage"]
            if last and not self.is_dropped(name, last):
                assert (name, last) in recorded, "%s %s was served and is not stored" % (name, last)
        self.check_root(served[BUNDLE][1])
        for name in ISSUED:
            self.check_leaf(served[name][1], self.root)
        self.check_put(served.get(PUT))
        self.check_audit(served)
        assert not [n for n in os.listdir(self.server.state) if n.endswith(".new")]
        self.seen_in_all = len(self.witness.content)

    def is_dropped(self, name, version):
        """More versions came after it than are kept."""
        return len(self.witness.order[name]) - self.witness.order[name].index(version) > 8

    def served(self):
        with SdsClient("unix:" + self.server.socket) as client:
            answers = {n: client.fetch([n]) for n in NAMES}
        return {n: (a.version_info, secrets_of(a)[n]) for n, a in answers.items() if a.resources}

    def check_root(self, secret):
        root = x509.load_pem_x509_certificate(secret.validation_context.trusted_ca.inline_bytes)
        assert self.root is None or root == self.root, "another root"
        self.root = root

    @staticmethod
    def check_leaf(secret, issuer):
        chain = x509.load_pem_x509_certificates(secret.tls_certificate.certificate_chain.inline_bytes)
        key = serialization.load_pem_private_key(secret.tls_certificate.private_key.inline_bytes, None)
        assert public_bytes(key.public_key()) == public_bytes(chain[0].public_key()), "a key of another certificate"
        for cert, above in zip(chain, [*chain[1:], issuer]):
            above.public_key().verify(cert.signature, cert.tbs_certificate_bytes, ec.ECDSA(cert.signature_hash_algorithm))

    def check_put(self, served):
        if served is None:
            assert self.told is None, "what was put is gone"
            return
        tls = served[1].tls_certificate
        content = (tls.certificate_chain.inline_bytes, tls.private_key.inline_bytes)
        candidates = [leaf for leaf in (self.told, *self.tried) if leaf]
        held = [leaf for leaf in candidates if (leaf.chain_pem(), leaf.key_pem()) == content]
        assert held, "neither what was put last nor what was being put"
        self.told, self.tried = held[0], []

    def check_audit(self, served):
        self.server.cli("audit", "verify")
        text = self.server.cli("audit", "export").stdout
        for name, (version, _) in served.items():
            assert version in text, "%s %s is not in the audit trail" % (name, version)
