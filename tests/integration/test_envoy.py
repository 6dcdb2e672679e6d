"""Real Envoys of each version, SotW and delta: what leafcast serves is what they use, and their quirks are answered.

The newest and the oldest run always, the others with --long. README.md has the table of quirk and test. Where leafcast
refuses to send what would show a quirk, the model server sends it: then the test shows why leafcast refuses.
"""
import json
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from harness import paths, pki, secrets, wait
from harness.bootstrap import BACKEND_CA, CLIENT_CA, CLIENT_CERT, NAMES, SERVER_CERT, Bootstrap
from harness.dialogue import Dialogue
from harness.envoy import Envoy
from harness.https import Https, refused
from harness.target import Target

BOTH = ("sds-sotw", "sds-delta")
ADS = ("ads-sotw", "ads-delta")


def since(oldest):
    """For each version from this one on; those between the oldest and the newest of all in the long form."""
    wanted = [v for v in paths.ENVOYS if [*map(int, v.split("."))] >= [*map(int, oldest.split("."))]]
    return pytest.mark.parametrize("version", [
        pytest.param(v, marks=[] if v in (paths.ENVOYS[0], paths.ENVOYS[-1]) else pytest.mark.long)
        for v in wanted])


EVERY = since(paths.ENVOYS[0])
METHODS = pytest.mark.parametrize("method", BOTH)


class Scene:
    """An SDS server, an Envoy that asks it, and clients of that Envoy. authority: of all certificates."""

    def __init__(self, kind, folder, method, version, **options):
        self.folder, self.method, self.version = folder, method, version
        self.target = Target(kind, folder, 1, "unix", **options)
        self.authority = self.target.authority
        self.client_leaf = self.leaf()

    def leaf(self, **options):
        return pki.make("leaf", self.authority, dns=["leaf.example"], **options)

    def put_all(self):
        """The four secrets of Bootstrap.pair(); the server's leaf."""
        self.target.put_bundle(CLIENT_CA, self.authority)
        self.target.put_bundle(BACKEND_CA, self.authority)
        self.target.put(CLIENT_CERT, self.leaf())
        return self.target.put(SERVER_CERT, self.leaf())

    def bootstrap(self, **options):
        return Bootstrap(self.folder / "envoy", self.target.address.removeprefix("unix:"), self.method, **options)

    def start(self, bootstrap):
        self.envoy = Envoy(self.folder / "envoy", *bootstrap.config(), version=self.version)
        self.folder.ending(self.envoy).start()
        return self

    def port(self):
        return self.envoy.listener_port("ingress")

    def connect(self, certificate=None, **options):
        return Https(self.port(), self.folder.path, self.authority, certificate or self.client_leaf, **options)

    def serves(self, leaf):
        """New handshakes see this leaf, and requests with a good client certificate go through."""
        with self.connect() as client:
            return client.serial == leaf.serial and client.get() == (200, "ingress")

    def success(self, name):
        return self.envoy.stat("sds.%s.update_success" % name)

    def rejected(self, name):
        return self.envoy.stat("sds.%s.update_rejected" % name)

    def applied(self, name, push):
        """push() and wait until Envoy has taken the update of name."""
        before = self.success(name)
        made = push()
        self.envoy.wait_stat("sds.%s.update_success" % name, before + 1)
        return made


@pytest.fixture
def scene(folder, method, version):
    return Scene("leafcast", folder, method, version)


@pytest.fixture
def model(folder, method, version):
    return Scene("model", folder, method, version)


# --- start and rotation ----------------------------------------------------------------------------------------------
@EVERY
@METHODS
def test_start_and_rotation(scene):
    """Four secrets, one update each, nothing unknown in them; a rotation spares open connections."""
    old = scene.put_all()
    scene.start(scene.bootstrap().pair())
    assert [scene.success(name) for name in NAMES] == [1, 1, 1, 1] and scene.envoy.rejected() == 0
    dump = json.loads(scene.envoy.ask("/config_dump?resource=dynamic_active_secrets")[1])["configs"]
    assert sorted(c["name"] for c in dump) == sorted(NAMES)
    assert old.serial in scene.envoy.serials()
    assert all(v == 0 for v in scene.envoy.stats("unknown_fields").values())
    with scene.connect() as kept:
        assert kept.serial == old.serial and kept.get("/up") == (200, "inner")
        updates = scene.envoy.context_updates("listener.ingress")
        new = scene.applied(SERVER_CERT, lambda: scene.target.put(SERVER_CERT, scene.leaf()))
        wait.until(lambda: scene.serves(new), 20, "the new leaf in handshakes")
        assert scene.envoy.context_updates("listener.ingress") == updates + 1
        assert kept.get() == (200, "ingress")
    assert new.serial in scene.envoy.serials() and old.serial not in scene.envoy.serials()


@EVERY
@METHODS
def test_same_content_is_no_update(scene):
    """Nothing is pushed; the update of another name, put afterwards, proves that nothing was on its way."""
    leaf = scene.put_all()
    scene.start(scene.bootstrap().pair())
    scene.target.put(SERVER_CERT, leaf)
    scene.applied(CLIENT_CERT, lambda: scene.target.put(CLIENT_CERT, scene.leaf()))
    assert scene.success(SERVER_CERT) == 1 and scene.serves(leaf)


@EVERY
@METHODS
def test_ca_swap_at_the_next_handshake(scene):
    scene.put_all()
    scene.start(scene.bootstrap().pair())
    other = pki.authority("Other Root")
    scene.applied(CLIENT_CA, lambda: scene.target.put_bundle(CLIENT_CA, other))
    stranger = pki.make("stranger", other, dns=["leaf.example"])
    wait.until(lambda: refused(scene.port(), scene.folder.path, scene.authority, scene.client_leaf), 5,
               "clients of the old CA refused")
    with scene.connect(stranger) as client:
        assert client.get() == (200, "ingress")


@EVERY
@METHODS
def test_default_leaf_works_on_both_sides(scene):
    """What leafcast issues by default is P-256: Envoy's default TLS parameters reach no P-384 server."""
    server = scene.target.server
    names = {SERVER_CERT: "envoy-node", CLIENT_CERT: "envoy-node", CLIENT_CA: "mesh-roots", BACKEND_CA: "mesh-roots"}
    scene.start(scene.bootstrap(names=names).pair())
    files = server.get("envoy-node", scene.folder.path, "cert", "key")
    files |= server.get("mesh-roots", scene.folder.path, "bundle")
    read = {part: open(path, "rb").read() for part, path in files.items()}
    issued = x509.load_pem_x509_certificate(read["cert"])
    assert isinstance(issued.public_key().curve, ec.SECP256R1)
    scene.authority = pki.Certificate(x509.load_pem_x509_certificate(read["bundle"]), None)
    scene.client_leaf = Given(files["cert"], files["key"])
    with scene.connect() as client:
        assert client.serial == "%x" % issued.serial_number and client.get("/up") == (200, "inner")


class Given:
    """A certificate that is in files already."""

    def __init__(self, *files):
        self._files = files

    def write(self, *_):
        return self._files


# --- loss, absence, deletion -----------------------------------------------------------------------------------------
@EVERY
@METHODS
def test_server_lost_and_back(scene):
    """Traffic goes on; equal content after the restart makes no context anew; the next rotation comes."""
    leaf = scene.put_all()
    scene.start(scene.bootstrap().pair())
    updates = scene.envoy.context_updates("listener.ingress")
    connected = "sds.%s.control_plane.connected_state" % SERVER_CERT
    assert scene.envoy.stat(connected) == 1
    scene.target.server.kill()
    wait.until(lambda: scene.envoy.stat(connected) == 0, 20, "Envoy sees the loss")
    assert scene.serves(leaf)
    scene.target.server.start()
    scene.envoy.wait_stat(connected, 1, 30)
    new = scene.applied(CLIENT_CERT, lambda: scene.target.put(CLIENT_CERT, scene.leaf()))
    assert scene.serves(leaf) and scene.envoy.context_updates("listener.ingress") == updates
    new = scene.applied(SERVER_CERT, lambda: scene.target.put(SERVER_CERT, scene.leaf()))
    wait.until(lambda: scene.serves(new), 20, "the rotation after the restart")


@EVERY
@METHODS
def test_unknown_name_and_its_late_arrival(scene):
    """SotW is silent until Envoy's own time-out, delta says `removed` at once; created later it is served."""
    scene.put_all()
    scene.target.delete(SERVER_CERT)
    began = time.monotonic()
    scene.start(scene.bootstrap(initial_fetch_timeout="3s").pair())
    took = time.monotonic() - began
    timed_out = scene.envoy.stat("sds.%s.init_fetch_timeout" % SERVER_CERT)
    assert (timed_out, took >= 3) == ((1, True) if scene.method == "sds-sotw" else (0, False))
    scene.port()
    assert refused(scene.port(), scene.folder.path, scene.authority, scene.client_leaf)
    leaf = scene.applied(SERVER_CERT, lambda: scene.target.put(SERVER_CERT, scene.leaf()))
    wait.until(lambda: scene.serves(leaf), 20, "the late secret")


@EVERY
@METHODS
def test_deleted_secret_is_still_used(scene):
    leaf = scene.put_all()
    scene.start(scene.bootstrap().pair())
    scene.target.delete(SERVER_CERT)
    scene.applied(CLIENT_CERT, lambda: scene.target.put(CLIENT_CERT, scene.leaf()))
    assert scene.serves(leaf) and scene.rejected(SERVER_CERT) == 0
    new = scene.applied(SERVER_CERT, lambda: scene.target.put(SERVER_CERT, scene.leaf()))
    wait.until(lambda: scene.serves(new), 20, "the name made again")


# --- what Envoy refuses, and what it should refuse -------------------------------------------------------------------
@EVERY
@METHODS
def test_key_mismatch_poisons(model, folder):
    """NACKed once; the same again is taken without a word, and the old one is served all the same; a good one heals.
    leafcast refuses such a pair when it is put."""
    leaf = model.put_all()
    model.start(model.bootstrap().pair())
    bad = pki.Certificate(model.leaf().certificate, pki.new_key(), [model.authority])
    model.target.server.put(secrets.tls(SERVER_CERT, bad))
    model.envoy.wait_stat("sds.%s.update_rejected" % SERVER_CERT, 1)
    assert wait.until(lambda: model.target.server.nacks, 20, "the NACK")[0][0] == SERVER_CERT and model.serves(leaf)
    model.applied(SERVER_CERT, lambda: model.target.server.put(secrets.tls(SERVER_CERT, bad), version="again"))
    assert model.rejected(SERVER_CERT) == 1 and model.serves(leaf)
    good = model.applied(SERVER_CERT, lambda: model.target.put(SERVER_CERT, model.leaf()))
    wait.until(lambda: model.serves(good), 20, "healed")
    leafcast = Target("leafcast", folder, 1, "unix")
    cert, key = bad.write(folder.path, "bad")
    assert leafcast.server.cli("put", SERVER_CERT, "--cert", cert, "--key", key, code=None).returncode != 0


@EVERY
@METHODS
@pytest.mark.parametrize("matcher", [False, True], ids=["open", "matcher"])
def test_wrong_kind_is_applied_openly(model, matcher, folder):
    """A certificate where a CA was asked for: nobody is verified any more, unless the context has a SAN matcher, which
    `leafcast envoy` demands. leafcast never changes the kind of a name."""
    model.put_all()
    model.start(model.bootstrap().pair(matcher=matcher))
    stranger = pki.make("stranger", pki.authority("Nobody"), dns=["leaf.example"])
    assert refused(model.port(), model.folder.path, model.authority, stranger)
    model.target.put(CLIENT_CA, model.leaf())
    if matcher:
        model.envoy.wait_stat("sds.%s.update_rejected" % CLIENT_CA, 1)
        assert refused(model.port(), model.folder.path, model.authority, stranger)
    else:
        wait.until(lambda: not refused(model.port(), model.folder.path, model.authority, stranger), 5,
                   "a stranger let in")
    leafcast = Target("leafcast", folder, 1, "unix")
    leafcast.put_bundle(CLIENT_CA, model.authority)
    cert, key = model.leaf().write(folder.path, "kind")
    answer = leafcast.server.cli("put", CLIENT_CA, "--cert", cert, "--key", key, code=None)
    assert answer.returncode != 0 and "kind" in answer.stderr


@EVERY
@METHODS
def test_real_nack_text_with_the_key_is_not_kept(model, folder):
    """Envoy's own text for a message that breaks a rule of its proto holds the private key; leafcast's log does not."""
    model.put_all()
    model.start(model.bootstrap().pair())
    bad = model.leaf()
    secret = secrets.tls(SERVER_CERT, bad)
    secret.tls_certificate.password.SetInParent()
    model.target.server.put(secret)
    _, text = wait.until(lambda: model.target.server.nacks, 20, "the NACK")[0]
    line = bad.key_pem().decode().splitlines()[1]
    assert "BEGIN PRIVATE KEY" in text and line[:40] in text
    leafcast = Target("leafcast", folder, 1, "unix")
    leafcast.put(SERVER_CERT)
    with leafcast.client() as client:
        stream = Dialogue(client.sotw() if model.method.endswith("sotw") else client.delta()).subscribe(SERVER_CERT)
        stream.hear()
        stream.nack(text=text)
        wait.until(lambda: leafcast.nacked(SERVER_CERT), 20, "the NACK noted")
        stream.quiet()
    seen = "\n".join(leafcast.server.process.lines.items()) + json.dumps(leafcast.server.status())
    assert SERVER_CERT in seen and "PRIVATE KEY" not in seen and line[:20] not in seen


def stapled(scene, **options):
    """Beside a common listener with CLIENT_CERT one that demands an OCSP staple: that NACKs what leafcast may serve."""
    made = scene.bootstrap(**options)
    made.listener("stapled", made.downstream(ca=None, ocsp_staple_policy="MUST_STAPLE"))
    return made.listener("ingress", made.downstream(cert=CLIENT_CERT, ca=None))


def quarantined(scene):
    return [(q["name"], q["node"], q["version"]) for q in scene.target.server.status()["quarantine"]]


@EVERY
@METHODS
def test_poisoned_ack_after_a_restart_proves_nothing(scene):
    """Envoy ACKs what it NACKed before, and does not serve it; leafcast knows better, and offers the next version."""
    scene.put_all()
    scene.start(stapled(scene))
    scene.envoy.wait_stat("sds.%s.update_rejected" % SERVER_CERT, 1)
    held = wait.until(lambda: quarantined(scene), 20, "the NACK in quarantine")
    assert [(name, node) for name, node, _ in held] == [(SERVER_CERT, "envoy-1")]
    scene.target.server.stop()
    scene.target.server.start()
    scene.envoy.wait_stat("sds.%s.update_success" % SERVER_CERT, 1, 30)
    assert scene.rejected(SERVER_CERT) == 1
    wait.until(lambda: status_of(scene)["last_ack_at"], 20, "the ACK that proves nothing")
    assert quarantined(scene) == held and status_of(scene)["acked"] == 0
    scene.target.put(SERVER_CERT, scene.leaf())
    scene.envoy.wait_stat("sds.%s.update_rejected" % SERVER_CERT, 2)
    wait.until(lambda: quarantined(scene) not in ([], held), 20, lambda: "the next version in quarantine instead of %s: %s\n%s" % (held, quarantined(scene), scene.target.server.process.tail(40)))


def status_of(scene, name=SERVER_CERT):
    return next(s for s in scene.target.server.status()["secrets"] if s["name"] == name)


@EVERY
@pytest.mark.parametrize("method", ADS)
def test_bad_neighbour_on_one_stream(scene):
    """One secret a response: a NACK, which Envoy counts for all names of the stream, keeps no other from being used."""
    scene.put_all()
    scene.start(stapled(scene))
    scene.envoy.wait_stat("sds.%s.update_rejected" % SERVER_CERT, 1)
    assert scene.success(SERVER_CERT) == 0
    leaf = scene.applied(CLIENT_CERT, lambda: scene.target.put(CLIENT_CERT, scene.leaf()))
    wait.until(lambda: scene.serves(leaf), 20, "the neighbour's rotation")
    assert [name for name, _, _ in quarantined(scene)] == [SERVER_CERT]


@since("1.37.0")
@METHODS
def test_on_demand_has_no_wildcard(scene):
    """SNI `*` becomes a wildcard subscription on delta, the name `*` on SotW: no certificate either way."""
    leaf = scene.target.put("leaf.example", scene.leaf())
    made = scene.bootstrap()
    scene.start(made.listener("ingress", made.on_demand()))
    wait.until(lambda: not refused(scene.port(), scene.folder.path, scene.authority), 20, "a name on demand")
    with scene.connect() as client:
        assert client.serial == leaf.serial
    for sni in ("*", "unknown.example"):
        assert refused(scene.port(), scene.folder.path, scene.authority, sni=sni, timeout_s=2)
    with scene.connect() as client:
        assert client.serial == leaf.serial


# --- long ------------------------------------------------------------------------------------------------------------
@pytest.mark.long
@pytest.mark.timeout(420)
@EVERY
@METHODS
def test_keepalive_for_five_minutes(scene):
    """Envoy pings every 10 s; nothing ends the connection."""
    scene.put_all()
    scene.start(scene.bootstrap(keepalive="10s").pair())
    connections = "cluster.sds.upstream_cx_total"
    before = scene.envoy.stat(connections)
    with pytest.raises(wait.Expired):
        scene.envoy.wait_stat(connections, before + 1, 300)
    leaf = scene.applied(SERVER_CERT, lambda: scene.target.put(SERVER_CERT, scene.leaf()))
    assert scene.serves(leaf)


@pytest.mark.long
@pytest.mark.timeout(420)
@EVERY
@pytest.mark.parametrize("method", [*BOTH, *ADS])
def test_1500_secrets(folder, method, version):
    """A stream each, or one stream over ADS; each of them is answered."""
    names = ["many-%d" % i for i in range(1500)]
    scene = Scene("leafcast", folder, method, version,
                  secrets={name: {"profile": "workload", "dns": ["leaf.example"]} for name in names})
    made = scene.bootstrap(streams=3000)
    for i, name in enumerate(names):
        made.listener("ingress-%d" % i, made.downstream(cert=name, ca=None))
    scene.start(made)
    wait.until(lambda: sum(v >= 1 for v in scene.envoy.stats("^sds.many-.*update_success").values()) == len(names), 60,
               "an update of each")
    assert scene.envoy.rejected() == 0
    streams = scene.envoy.stat("cluster.sds.upstream_rq_active")
    assert streams == (1 if scene.method.startswith("ads") else len(names))
