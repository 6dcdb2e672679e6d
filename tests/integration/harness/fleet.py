"""leafcast with examples/leafcast/pair.yaml, and pairs of Envoys made of examples/envoy, all under one traffic."""
import copy
import os

from . import examples, ports, wait
from .backend import Backend
from .envoy import Envoy
from .leafcast import Leafcast
from .traffic import Traffic


def config(server, lifetime, workers=1, tcp_port=None, authority=None, spare=None, renew=None):
    """pair.yaml with this test's addresses, user and authority. Without tcp_port the TCP listener is left out."""
    made = copy.deepcopy(examples.load("leafcast/pair.yaml"))
    made["workers"] = workers
    made["log"] = {"level": "debug", "format": "json"}
    made["profiles"]["workload"]["lifetime"] = lifetime
    if renew:
        made["profiles"]["workload"]["renew"] = renew
    for rule in made["policy"]:
        if "uid" in rule["who"]:
            rule["who"]["uid"] = os.geteuid()
    listen = []
    for item in made["listen"]:
        if "unix" in item:
            item["unix"]["path"] = server.socket
            listen.append(item)
        elif tcp_port:
            item["tcp"]["address"] = "127.0.0.1:%d" % tcp_port
            listen.append(item)
    made["listen"] = listen
    if authority:
        made["authorities"]["mesh"] = authority
    if spare:
        made["authorities"]["spare"] = spare
        made["profiles"]["workload"]["authority"] = ["mesh", "spare"]
    return made


class Pair:
    """A client and a server Envoy; the client is started once the server's port is known."""

    def __init__(self, fleet, flavour, transport, name):
        self.fleet, self.flavour, self.name = fleet, flavour, name
        self.place = (examples.Place(socket=fleet.leafcast.socket) if transport == "unix" else
                      examples.Place(port=fleet.port, credential=fleet.leafcast.folder))
        self.server = self._envoy("server", {10443: 0, 8080: fleet.backend.port})

    def _envoy(self, side, ports_):
        home = self.fleet.folder / ("%s-%s" % (self.name, side))
        made = examples.instrument(*examples.envoy(side, self.flavour, self.place, home, ports_))
        return self.fleet.folder.ending(Envoy(home, *made)).spawn()

    def start_client(self):
        ingress = self.server.wait_admin().wait_live().listener_port("ingress")
        self.client = self._envoy("client", {10000: 0, 10443: ingress})

    def add_traffic(self, traffic):
        self.client.wait_admin().wait_live()
        self.stream = traffic.add(self.name, self.client.listener_port("egress"))

    def sides(self):
        """side -> (Envoy that uses the leaf, scope of its TLS context)."""
        return {"server": (self.server, "listener.ingress"), "client": (self.client, "cluster.backend")}

    def rotations(self):
        """The fewer of both sides' rotations seen so far."""
        return min(len(leafs) for leafs in self.stream.leafs.values()) - 1

    def streams(self):
        """SDS streams that both Envoys hold: one a secret, or one in all with ADS."""
        return 2 if self.flavour.startswith("ads") else 4


class Fleet:
    def __init__(self, folder, lifetime, workers=1, tcp=False, authority=None, spare=None, renew=None, env=None):
        self.folder = folder
        self.port = ports.free() if tcp else None
        self.leafcast = Leafcast(folder / "leafcast", env=env)
        self.leafcast.write_config(config(self.leafcast, lifetime, workers, self.port, authority, spare, renew))
        folder.ending(self.leafcast).start()
        if tcp:
            self.leafcast.cli("get", "envoy-node", "--cert", self.leafcast.folder / "node.cert.pem",
                              "--key", self.leafcast.folder / "node.key.pem")
            self.leafcast.cli("get", "mesh-roots", "--bundle", self.leafcast.folder / "mesh-roots.bundle.pem")
        self.backend = folder.ending(Backend())
        self.pairs = []

    def start_pairs(self, flavours, transports, period_s=0.2):
        names = ["%s-%s" % (f, t) for f in flavours for t in transports]
        names = [n if n not in names[:i] else "%s-%d" % (n, i) for i, n in enumerate(names)]
        kinds = [(f, t) for f in flavours for t in transports]
        self.pairs = [Pair(self, f, t, name) for (f, t), name in zip(kinds, names)]
        for pair in self.pairs:
            pair.start_client()
        self.traffic = Traffic(period_s)
        for pair in self.pairs:
            pair.add_traffic(self.traffic)
        wait.until(lambda: all(all(p.stream.requests.values()) for p in self.pairs), 20,
                   lambda: "requests of all kinds: %s" % self.traffic.failures())

    def wait_rotations(self, count, timeout_s):
        """Every pair has seen so many on both sides, and nothing failed."""
        def seen():
            assert not self.traffic.failures(), "\n".join(self.traffic.failures()[:20])
            return all(p.rotations() >= count for p in self.pairs)
        wait.until(seen, timeout_s, lambda: "%d rotations: %s\n%s" % (
            count, {p.name: p.rotations() for p in self.pairs}, self.leafcast.process.tail(15)), poll_s=0.1)

    def wait_connected(self, timeout_s=30):
        """leafcast serves every stream of every pair."""
        want = sum(p.streams() for p in self.pairs)
        wait.until(lambda: self.leafcast.status()["streams"] >= want, timeout_s,
                   lambda: "%d streams: %s" % (want, self.leafcast.status()["streams"]), poll_s=0.1)
