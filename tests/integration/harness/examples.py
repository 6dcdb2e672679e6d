"""The bootstraps of examples/envoy as they stand, with addresses and paths of a test put in."""
import copy
import pathlib

import yaml

from . import paths

FLAVOURS = ("sotw", "delta", "ads", "ads-sotw")
SOCKET = "/run/leafcast/sds.sock"


class Place:
    """Where leafcast is for an Envoy: a socket, or a TCP port with the folder of the node's credential."""

    def __init__(self, socket=None, port=None, credential=None):
        self.socket, self.port, self.credential = socket, port, credential


def load(name):
    return yaml.safe_load((paths.EXAMPLES / name).read_text())


def walk(value, change):
    """The same structure with change(parent_key, scalar) in place of each scalar."""
    def go(key, v):
        if isinstance(v, dict):
            return {k: go(k, x) for k, x in v.items()}
        if isinstance(v, list):
            return [go(key, x) for x in v]
        return change(key, v)
    return go(None, value)


def put_in(value, place, ports, folder):
    """ports: port of the example -> port of the test. Files below /etc/envoy: the credential's, or in folder."""
    def change(key, v):
        if v == SOCKET:
            return place.socket
        if key == "port_value":
            return ports.get(v, v)
        if isinstance(v, str) and v.startswith("/etc/envoy/"):
            name = pathlib.PurePath(v).name
            return str(pathlib.Path(place.credential if name.endswith(".pem") else folder) / name)
        return v
    return walk(value, change)


def envoy(side, flavour, place, folder, ports):
    """(bootstrap, further files) of side "client" or "server". ports may name 10000, 10443 and 8080."""
    source = "ads" if flavour.startswith("ads") else flavour
    ports = {9901: 0, 9902: 0, **ports}
    bootstrap = load("envoy/%s/%s.yaml" % (source, side))
    if place.port:
        tcp = load("envoy/sds-cluster-tcp.yaml")
        clusters = bootstrap["static_resources"]["clusters"]
        clusters[:] = [*tcp, *(c for c in clusters if c["name"] != "sds")]
        ports = {**ports, 8443: place.port}
    if flavour == "ads-sotw":
        bootstrap["dynamic_resources"]["ads_config"]["api_type"] = "GRPC"
    files = {}
    if source == "ads":
        names = {"client": ("clusters.yaml", "client-listeners.yaml"), "server": ("server-listeners.yaml",)}[side]
        files = {name: put_in(load("envoy/ads/" + name), place, ports, folder) for name in names}
    return put_in(bootstrap, place, ports, folder), files


def rename_secrets(config, names):
    """The same bootstrap asking for other secrets: {"server-cert": "default"}."""
    return walk(config, lambda key, v: names.get(v, v) if key == "name" else v)


def _managers(value):
    """All HTTP connection managers in a config."""
    if isinstance(value, dict):
        if str(value.get("@type", "")).endswith(".HttpConnectionManager"):
            yield value
        for v in value.values():
            yield from _managers(v)
    elif isinstance(value, list):
        for v in value:
            yield from _managers(v)


def _clusters(*configs):
    for config in configs:
        if "static_resources" in config:
            yield config["static_resources"].setdefault("clusters", [])
        elif any(str(r.get("@type", "")).endswith(".Cluster") for r in config.get("resources", [])):
            yield config["resources"]


def instrument(bootstrap, files):
    """Make certificates visible to the sender of requests, and give him a route whose every request makes a new TLS
    connection between the two Envoys (/fresh) and one without a time limit (/echo)."""
    configs = [bootstrap, *files.values()]
    for config in configs:
        for manager in _managers(config):
            routes = manager["route_config"]
            upstream = manager["stat_prefix"] == "egress"
            key, value = (("x-server-cert", "%UPSTREAM_PEER_CERT%") if upstream else
                          ("x-client-cert", "%DOWNSTREAM_PEER_CERT%"))
            routes["response_headers_to_add"] = [{"header": {"key": key, "value": value}}]
            routes["validate_clusters"] = False
            host = routes["virtual_hosts"][0]
            target = host["routes"][0]["route"]["cluster"]
            host["routes"].insert(0, {"match": {"prefix": "/echo"}, "route": {"cluster": target, "timeout": "0s"}})
            if upstream:
                host["routes"].insert(0, {"match": {"prefix": "/fresh"}, "route": {"cluster": "backend-fresh"}})
    for clusters in _clusters(*configs):
        for cluster in [c for c in clusters if c["name"] == "backend"]:
            fresh = copy.deepcopy(cluster)
            fresh["name"] = fresh["load_assignment"]["cluster_name"] = "backend-fresh"
            fresh["typed_extension_protocol_options"] = {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http_protocol_options": {}},
                "common_http_protocol_options": {"max_requests_per_connection": 1}}}
            clusters.append(fresh)
    return bootstrap, files
