"""The gate beside a real Envoy: each row is put to leafcast, and pushed at Envoy by a server of the test's own.

It shows that what leafcast refuses is refused by Envoy too (NACK), or is worse: taken, and then nobody gets in, or
everybody does, or the leaf serves nobody. And that what Envoy serves, leafcast takes.
"""
import datetime
import os
import socket
import ssl
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from harness import leafcast, paths, pki, ports, secrets, wait
from harness.envoy import Envoy
from harness.model import Model
from harness.node import node
from harness.sds_client import SdsClient
from harness.target import config

TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3."
HELLO = b"let in"


# --- what is pushed --------------------------------------------------------------------------------------------------
def usage(*allowed):
    """The keyUsage extension with these bits."""
    bits = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
            "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{bit: bit in allowed for bit in bits})


def leaf(issuer, key=None, cn=None, dns="leaf.example", key_usage=None, extended=None, ca=None, extra=(),
         from_s=-3600, to_s=3600):
    """A leaf with what is named and nothing else. key: a private key, or a class of curves."""
    key = key() if callable(key) else key or pki.new_key()
    name = x509.Name([] if cn is None else [x509.NameAttribute(NameOID.COMMON_NAME, cn, _validate=False)])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(issuer.certificate.subject)
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(seconds=from_s))
            .not_valid_after(now + datetime.timedelta(seconds=to_s)))
    extensions = [(x509.SubjectAlternativeName([x509.DNSName(dns)]) if dns else None, False), (key_usage, True),
                  (x509.ExtendedKeyUsage(extended) if extended else None, False),
                  (x509.BasicConstraints(ca, None) if ca is not None else None, True), *((e, False) for e in extra)]
    for extension, critical in extensions:
        if extension:
            made = made.add_extension(extension, critical)
    return pki.Certificate(made.sign(issuer.key, hashes.SHA256()), key, [issuer])


class Files:
    """A certificate and key that only OpenSSL can make: the same face as pki.Certificate, as far as it is used."""

    def __init__(self, folder, *key_options):
        key, cert = folder / "odd.key", folder / "odd.cert"
        openssl = paths.tool("openssl")
        for command in (["genpkey", "-out", key, *key_options],
                        ["req", "-x509", "-key", key, "-out", cert, "-subj", "/CN=odd", "-days", "1",
                         "-addext", "basicConstraints=critical,CA:FALSE", "-addext", "subjectAltName=DNS:leaf.example"]):
            subprocess.run([openssl, *map(str, command)], check=True, capture_output=True, timeout=60)
        self._cert, self._key = cert.read_bytes(), key.read_bytes()

    def chain_pem(self):
        return self._cert

    def key_pem(self):
        return self._key


NACK, SERVED, USELESS = "NACK", "served", "taken, and no peer accepts it"
STAPLE = x509.TLSFeature([x509.TLSFeatureType.status_request])
TORN = x509.UnrecognizedExtension(ObjectIdentifier("2.5.29.15"), b"\xff\xff\xff")
SERVER = [ExtendedKeyUsageOID.SERVER_AUTH]
CLIENT = [ExtendedKeyUsageOID.CLIENT_AUTH]
SIGNING = [ExtendedKeyUsageOID.CODE_SIGNING]


def kind(make, *args):
    return lambda: make(*args)


# What leafcast says (None: it takes it), what Envoy does, and how the leaf is made: leaf()'s arguments, or a function of
# a folder.
LEAFS = {
    # refused by both
    "no name at all": ("neither a common name nor a subject alternative name", NACK, {"dns": None}),
    "RSA of 1024 bits": ("an RSA key of 1024 bits", NACK, {"key": kind(rsa.generate_private_key, 65537, 1024)}),
    "P-224": ("an ecdsa-secp224r1 key", NACK, {"key": kind(ec.generate_private_key, ec.SECP224R1())}),
    "secp256k1": ("an ecdsa-secp256k1 key", NACK, {"key": kind(ec.generate_private_key, ec.SECP256K1())}),
    "a curve written out": ("written out as parameters", NACK, lambda folder: Files(
        folder, "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:explicit")),
    "RSA-PSS": ("an rsa-pss-2048 key", NACK, lambda folder: Files(folder, "-algorithm", "RSA-PSS")),
    "EC, keyAgreement only": ("keyUsage lacks digitalSignature", NACK, {"key_usage": usage("key_agreement")}),
    "EC, a CA that only signs": ("keyUsage lacks digitalSignature", NACK,
                                 {"key_usage": usage("key_cert_sign"), "ca": True}),
    "must-staple": ("demands an OCSP staple", NACK, {"extra": [STAPLE]}),
    "an extension that cannot be read": ("an extension that cannot be read", NACK, {"extra": [TORN]}),
    # taken by Envoy, to nobody's good
    "Ed25519": ("an ed25519 key", USELESS, {"key": ed25519.Ed25519PrivateKey.generate}),
    "RSA, keyAgreement only": ("neither digitalSignature nor keyEncipherment", USELESS,
                               {"key": kind(pki.new_key, "RSA-2048"), "key_usage": usage("key_agreement")}),
    "code signing": ("neither serverAuth nor clientAuth", USELESS, {"extended": SIGNING}),
    # served by Envoy: whoever holds this key may sign for any name
    "a CA": ("the leaf is a CA certificate", SERVED, {"ca": True, "key_usage": usage("key_cert_sign",
                                                                                     "digital_signature")}),
    # taken by both
    "P-256": (None, SERVED, {}),
    "P-384": (None, SERVED, {"key": kind(pki.new_key, "P-384")}),
    "P-521": (None, SERVED, {"key": kind(ec.generate_private_key, ec.SECP521R1())}),
    "RSA of 2048 bits": (None, SERVED, {"key": kind(pki.new_key, "RSA-2048")}),
    "RSA, keyEncipherment only": (None, SERVED, {"key": kind(pki.new_key, "RSA-2048"),
                                                 "key_usage": usage("key_encipherment")}),
    "a common name alone": (None, SERVED, {"dns": None, "cn": "leaf"}),
    "client only": (None, SERVED, {"extended": CLIENT}),
    "server only": (None, SERVED, {"extended": SERVER}),
    "expired": (None, SERVED, {"from_s": -7200, "to_s": -3600}),
    "not yet valid": (None, SERVED, {"from_s": 3600, "to_s": 7200}),
}


# --- both sides ------------------------------------------------------------------------------------------------------
def sds(name, socket_config):
    return {"name": name, "sds_config": socket_config}


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def tls_listener(name, context, port=0):
    """Whoever gets through the handshake hears himself."""
    echo = {"@type": "type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo"}
    return {"name": name, "address": address(port), "filter_chains": [{
        "transport_socket": {"name": "tls", "typed_config": {"@type": TLS + "DownstreamTlsContext", **context}},
        "filters": [{"name": "echo", "typed_config": echo}]}]}


def cluster(name, endpoint, **more):
    return {"name": name, "type": "STATIC", "connect_timeout": "5s", **more, "load_assignment": {
        "cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": endpoint}}]}]}}


def client_of_itself(port, root):
    """Envoy as the client of its own listener at this port: (cluster, plain listener "egress")."""
    trust = {"validation_context": {"trusted_ca": {"inline_string": root.pem().decode()}}}
    proxy = {"@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
             "stat_prefix": "egress", "cluster": "leaf"}
    return (cluster("leaf", address(port), transport_socket={"name": "tls", "typed_config": {
                "@type": TLS + "UpstreamTlsContext", "common_tls_context": trust}}),
            {"name": "egress", "address": address(0), "filter_chains": [
                {"filters": [{"name": "proxy", "typed_config": proxy}]}]})


def bootstrap(path, own, root):
    """Listeners: "leaf" serves the secret "leaf", "egress" leads there by Envoy's own TLS; "ca" and "matched" demand
    certificates of the secrets of these names, the second with a SAN matcher of its own."""
    port = ports.free()
    itself, egress = client_of_itself(port, root)
    source = {"resource_api_version": "V3", "api_config_source": {
        "api_type": "DELTA_GRPC", "transport_api_version": "V3", "set_node_on_first_message_only": True,
        "grpc_services": [{"envoy_grpc": {"cluster_name": "sds"}}]}}
    static = [{"certificate_chain": {"inline_string": own.chain_pem().decode()},
               "private_key": {"inline_string": own.key_pem().decode()}}]
    matched = {"default_validation_context": {
                   "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"suffix": ".example"}}]},
               "validation_context_sds_secret_config": sds("matched", source)}
    http2 = {"@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
             "explicit_http_config": {"http2_protocol_options": {}}}
    return {
        "node": {"id": "gate", "cluster": "test"},
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
        "static_resources": {
            "clusters": [itself, cluster("sds", {"pipe": {"path": path}}, typed_extension_protocol_options={
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2})],
            "listeners": [
                egress,
                tls_listener("leaf", {"common_tls_context": {
                    "tls_certificate_sds_secret_configs": [sds("leaf", source)]}}, port),
                tls_listener("ca", {"require_client_certificate": True, "common_tls_context": {
                    "tls_certificates": static, "validation_context_sds_secret_config": sds("ca", source)}}),
                tls_listener("matched", {"require_client_certificate": True, "common_tls_context": {
                    "tls_certificates": static, "combined_validation_context": matched}}),
            ]}}


class World:
    def __init__(self, folder):
        self.folder = folder
        self.root, self.foreign = pki.authority("Root"), pki.authority("Foreign")
        self.own = pki.make("own", self.root, dns=["own.example"])
        self.server = leafcast.Leafcast(folder / "leafcast")
        self.server.write_config(config(1, os.geteuid(), listen=[{"unix": {"path": self.server.socket}}]))
        folder.ending(self.server).start()
        path = str(folder / "sds.sock")
        self.model = folder.ending(Model("unix:" + path))
        self.good()
        self.envoy = folder.ending(Envoy(folder / "envoy", bootstrap(path, self.own, self.root))).start()
        self.ports = {name: self.envoy.listener_port(name) for name in ("egress", "leaf", "ca", "matched")}
        (folder / "root.pem").write_bytes(self.root.pem())

    def good(self):
        """What heals Envoy of whatever it was pushed before."""
        self.good_leaf = pki.make("good", self.root, dns=["leaf.example"])
        self.model.put(secrets.tls("leaf", self.good_leaf))
        for name in ("ca", "matched"):
            self.model.put(secrets.bundle(name, self.root, pki.authority("Beside")))     # new bytes each time

    def answers(self, name):
        return tuple(self.envoy.stat("sds.%s.update_%s" % (name, what)) for what in ("success", "rejected"))

    def push(self, secret):
        """Envoy's answer to the push: SERVED stands for an ACK."""
        before = self.answers(secret.name)
        self.model.put(secret)
        now = wait.until(lambda: (now := self.answers(secret.name)) != before and now, 10,
                         lambda: "Envoy's answer:\n" + self.envoy.process.tail(5))
        return NACK if now[1] > before[1] else SERVED

    # --- peers ---
    def connect(self, listener, certificate=None):
        """(leaf in the handshake, whether Envoy let us in)."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if certificate:
            context.load_cert_chain(*map(str, certificate.write(self.folder.path, "client")))
        with socket.create_connection(("127.0.0.1", self.ports[listener]), 10) as plain:
            with context.wrap_socket(plain) as s:
                leaf_der = s.getpeercert(True)
                try:
                    s.sendall(HELLO)
                    return leaf_der, s.recv(100) == HELLO
                except (ssl.SSLError, ConnectionError):
                    return leaf_der, False

    def through_itself(self):
        """Does Envoy, as a client with the right anchor, accept the leaf that it serves?"""
        with socket.create_connection(("127.0.0.1", self.ports["egress"]), 10) as s:
            s.sendall(HELLO)
            try:
                return s.recv(100) == HELLO
            except ConnectionError:
                return False

    def served(self):
        return self.connect("leaf")[0]

    def let_in(self, listener):
        """Which of three clients get in: one of the authority that ought to, one of another, one without a certificate."""
        clients = {"ours": pki.make("ours", self.root, dns=["ours.example"]),
                   "foreign": pki.make("foreign", self.foreign, dns=["foreign.example"]), "none": None}
        found = set()
        for name, certificate in clients.items():
            try:
                found |= {name} if self.connect(listener, certificate=certificate)[1] else set()
            except (ssl.SSLError, ConnectionError):
                pass                                                # the handshake itself fails: nobody is let in
        return found

    # --- leafcast ---
    def put(self, *args):
        """None when leafcast takes it, else what it says."""
        result = self.server.cli("put", *args, code=None)
        return None if result.returncode == 0 else result.stderr


@pytest.fixture(scope="module")
def world(module_folder):
    return World(module_folder)


@pytest.fixture(autouse=True)
def healed(world):
    """Before each test Envoy serves something good on each listener."""
    world.good()
    der = world.good_leaf.der()
    wait.until(lambda: world.served() == der, 10, "the good leaf")
    for listener in ("ca", "matched"):
        wait.until(lambda: world.let_in(listener) == {"ours"}, 10, "the good bundle at " + listener)


# --- leafs -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("row", LEAFS.values(), ids=LEAFS.keys())
def test_leaf(world, row):
    refused, outcome, make = row
    certificate = make(world.folder) if callable(make) else leaf(world.root, **make)
    cert, key = world.folder / "row.cert.pem", world.folder / "row.key.pem"
    cert.write_bytes(certificate.chain_pem())
    key.write_bytes(certificate.key_pem())
    said = world.put("--cert", cert, "--key", key, "--", "row")
    assert (said is None) if refused is None else (said is not None and refused in said), said
    before = world.served()
    answer = world.push(secrets.tls("leaf", certificate))
    if outcome == NACK:
        assert answer == NACK and world.served() == before
        return
    assert answer == SERVED and world.served() == x509.load_pem_x509_certificate(
        certificate.chain_pem()).public_bytes(serialization.Encoding.DER)
    if outcome == USELESS:
        assert not peers_accept(world, certificate)
    elif refused is None and row is LEAFS["P-256"]:
        assert peers_accept(world, certificate)


def peers_accept(world, certificate):
    """Does an Envoy accept this leaf of another: of a server, or of a client?"""
    return world.through_itself() or world.connect("ca", certificate=certificate)[1]


# --- bundles ---------------------------------------------------------------------------------------------------------
def long_names(world):
    """CAs whose names together are longer than a server can send."""
    made, key = [world.root], pki.new_key()
    part = "x" * 60
    for i in range(250):
        name = x509.Name([x509.NameAttribute(oid, "%04d%s" % (i, part)) for oid in (
            NameOID.ORGANIZATION_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME, NameOID.LOCALITY_NAME, NameOID.COMMON_NAME)])
        now = datetime.datetime.now(datetime.timezone.utc)
        made.append(pki.Certificate(
            x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(i + 1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(True, None), True).sign(key, hashes.SHA256()), key))
    return b"".join(c.pem() for c in made)


def torn(world):
    """A second block that is cut."""
    second = pki.authority("Second").pem().decode().splitlines(keepends=True)
    return world.root.pem() + "".join(second[:3] + second[-1:]).encode()


def expired(_):
    return pki.make("Old", ca=True, start_s=-7200, end_s=-3600).pem()


OURS, NOBODY, EVERYBODY = {"ours"}, set(), {"ours", "foreign", "none"}
# What leafcast says, what Envoy answers, who gets in then (None: as before), and the bundle.
BUNDLES = {
    "nothing": ("is empty", NACK, None, lambda world: b""),
    "no certificate in it": ("neither PEM nor DER", NACK, None, lambda world: b"no certificate\n"),
    "a torn block": ("PEM block 2 is no certificate", NACK, None, torn),
    "names that no handshake holds": ("every handshake would fail", SERVED, NOBODY, long_names),
    "a leaf": ("it can be no anchor", SERVED, None, lambda world: pki.make("leaf", world.root, dns=["a.example"]).pem()),
    "an expired CA": (None, SERVED, NOBODY, expired),
    "two CAs": (None, SERVED, OURS | {"foreign"}, lambda world: world.root.pem() + world.foreign.pem()),
}


@pytest.mark.parametrize("row", BUNDLES.values(), ids=BUNDLES.keys())
def test_bundle(world, row):
    refused, answer, who, make = row
    content = make(world)
    path = world.folder / "row.bundle.pem"
    path.write_bytes(content)
    said = world.put("--bundle", path, "--", "row-bundle")
    assert (said is None) if refused is None else (said is not None and refused in said), said
    secret = secret_pb2.Secret(name="ca")
    secret.validation_context.trusted_ca.inline_bytes = content
    assert world.push(secret) == answer
    assert world.let_in("ca") == (OURS if answer == NACK else who if who is not None else NOBODY)


# --- kinds -----------------------------------------------------------------------------------------------------------
def other_kinds(name, certificate):
    """Secrets of this name that hold no trust."""
    made = {what: secret_pb2.Secret(name=name) for what in ("nothing", "validation_context", "generic", "tickets")}
    made["validation_context"].validation_context.SetInParent()
    made["generic"].generic_secret.secret.inline_bytes = b"x"
    made["tickets"].session_ticket_keys.keys.add().inline_bytes = bytes(80)
    made["tls_certificate"] = secrets.tls(name, certificate)
    return made


@pytest.mark.parametrize("what", ["nothing", "validation_context", "generic", "tickets", "tls_certificate"])
def test_wrong_kind_opens_a_listener(world, what):
    """Envoy takes any kind for a bundle, and then lets in everybody, without a certificate; unless its own config has a
    SAN matcher, then it refuses. leafcast sends a bundle with certificates or none."""
    assert world.push(other_kinds("ca", world.own)[what]) == SERVED
    assert world.let_in("ca") == EVERYBODY
    assert world.push(other_kinds("matched", world.own)[what]) == NACK
    assert world.let_in("matched") == OURS


@pytest.mark.parametrize("what", ["nothing", "validation_context", "generic", "tickets"])
def test_wrong_kind_of_a_leaf_is_refused(world, what):
    before = world.served()
    assert world.push(other_kinds("leaf", world.own)[what]) == NACK
    assert world.served() == before


def test_a_name_keeps_its_kind(world):
    """In leafcast the name of a bundle cannot become a certificate, nor the other way round."""
    cert, key = world.own.write(world.folder.path, "kind")
    bundle = world.folder / "root.pem"
    assert world.put("--bundle", bundle, "--", "a-bundle") is None
    assert world.put("--cert", cert, "--key", key, "--", "a-leaf") is None
    assert "kind" in world.put("--cert", cert, "--key", key, "--", "a-bundle")
    assert "kind" in world.put("--bundle", bundle, "--", "a-leaf")


# --- an old Envoy ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("method", ["sotw", "delta"])
def test_old_envoy_is_offered_what_it_can_load(world, method):
    """Before 1.33 Envoy knew no curve but P-256: another is held back, the same stream gets the next that fits."""
    name = "curve-" + method

    def put(curve):
        certificate = pki.make("leaf", world.root, dns=["leaf.example"], key=pki.new_key(curve))
        cert, key = certificate.write(world.folder.path, name)
        assert world.put("--cert", cert, "--key", key, "--", name) is None
        return certificate

    def subscribe(client, minor):
        claimed = node("envoy-1.%d" % minor)
        claimed.user_agent_build_version.version.minor_number = minor
        stream = getattr(client, method)(node=claimed)
        stream.request([name])
        return stream

    first = put("P-384")
    mark = world.server.mark()
    with SdsClient("unix:" + world.server.socket) as client:
        new, old = subscribe(client, 33), subscribe(client, 32)
        assert chain_of(new, name) == first.chain_pem()
        world.server.wait_log("offer.held_for_old_envoy", start=mark)
        second = put("P-256")
        assert chain_of(old, name) == second.chain_pem() and len(old.answers) == 1
        assert chain_of(new, name) == second.chain_pem()


def chain_of(stream, name):
    """The chain in the next answer, which is ACKed."""
    answer, found = stream.receive_secrets()
    stream.ack(answer)
    return found[name].tls_certificate.certificate_chain.inline_bytes
