"""The fixtures themselves, against the model server: the examples run, traffic counts, and a broken pair is noticed."""
import urllib.error

import pytest
from harness import examples, pki, secrets, stepca, wait
from harness.backend import Backend
from harness.envoy import Envoy
from harness.model import Model
from harness.traffic import Traffic


class Pair:
    """A model server with the three secrets of the examples, and both Envoys."""

    def __init__(self, folder, flavour):
        self.root = pki.authority()
        self.model = folder.ending(Model("unix:%s" % (folder / "sds.sock")))
        self.backend = folder.ending(Backend())
        self.rotate("server-cert", dns=["server.example"])
        self.rotate("client-cert", uri=["spiffe://example.org/client"])
        self.model.put(secrets.bundle("mesh-roots", self.root))
        place = examples.Place(socket=str(folder / "sds.sock"))
        self.server = self.envoy(folder, "server", flavour, place, {10443: 0, 8080: self.backend.port})
        ingress = self.server.listener_port("ingress")
        self.client = self.envoy(folder, "client", flavour, place, {10000: 0, 10443: ingress})

    @staticmethod
    def envoy(folder, side, flavour, place, ports):
        home = folder / side
        config, files = examples.instrument(*examples.envoy(side, flavour, place, home, ports))
        return folder.ending(Envoy(home, config, files)).start()

    def rotate(self, name, **names):
        leaf = pki.make(name, self.root, **names)
        self.model.put(secrets.tls(name, leaf))
        return leaf


@pytest.mark.parametrize("flavour", examples.FLAVOURS)
def test_traffic_sees_a_rotation(folder, flavour):
    pair = Pair(folder, flavour)
    traffic = Traffic(period_s=0.05)
    stream = traffic.add(flavour, pair.client.listener_port("egress"))
    wait.until(lambda: all(stream.requests.values()), 10, lambda: "requests of all kinds: %s" % stream.failures)
    leaf = pair.rotate("server-cert", dns=["server.example"])
    wait.until(lambda: leaf.serial in stream.leafs["server"], 10, lambda: "the new leaf: %s" % stream.failures)
    traffic.stop()
    assert not traffic.failures()
    assert len(stream.leafs["server"]) == 2 and len(stream.leafs["client"]) == 1
    assert pair.server.serials() == [leaf.serial]


def test_traffic_notices_failures(folder):
    """Another authority's server certificate: fresh requests fail and are counted; open connections go on."""
    pair = Pair(folder, "delta")
    traffic = Traffic(period_s=0.05)
    stream = traffic.add("delta", pair.client.listener_port("egress"))
    wait.until(lambda: all(stream.requests.values()), 10, lambda: "requests of all kinds: %s" % stream.failures)
    foreign = pki.make("server-cert", pki.authority("Another"), dns=["server.example"])
    pair.model.put(secrets.tls("server-cert", foreign))
    wait.until(lambda: len(stream.failures) > 3, 10, "failures")
    before = dict(stream.requests)
    wait.until(lambda: stream.requests["open"] > before["open"] + 3 and stream.requests["kept"] > before["kept"] + 3,
               10, lambda: "open connections: %s" % stream.failures)
    traffic.stop()
    assert all(" fresh: " in f for f in stream.failures), stream.failures


def test_step_ca_rotates_its_root(folder):
    """The fixture's server: it serves its roots, refuses what is no token, and lives through a rotation and a restart."""
    ca = folder.ending(stepca.StepCA(folder / "step")).start()
    assert [x.strip() for x in ca.ask("/roots")["crts"]] == [ca.roots[0].pem().decode().strip()]
    with pytest.raises(urllib.error.HTTPError) as refused:
        ca.ask("/1.0/sign", {"csr": "x", "ott": "y"})
    assert refused.value.code in (400, 401)
    pid = ca.process.pid
    ca.add_root()
    ca.sign_by_new_root()
    ca.drop_old_root()
    assert ca.process.pid == pid and ca.process.running()
    ca.stop()
    ca.start()
    assert [x.strip() for x in ca.ask("/roots")["crts"]] == [ca.roots[0].pem().decode().strip()]
