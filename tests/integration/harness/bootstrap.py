"""Bootstraps for an Envoy that takes its TLS over SDS, by method: SotW or delta, on streams of their own or over ADS.

    ingress (server cert, client CA) -> "/" answers itself, "/up" goes to
    backend (client cert, server CA) -> inner (server cert, client CA), of the same Envoy
"""
from . import ports

TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3."
HTTP = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
PROTOCOL = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
ON_DEMAND = TLS.replace("tls.v3.", "tls.cert_selectors.on_demand_secret.v3.Config")
SNI = TLS.replace("tls.v3.", "tls.cert_mappers.sni.v3.SNI")
SERVER_CERT, CLIENT_CA, CLIENT_CERT, BACKEND_CA = NAMES = ("server_cert", "client_ca", "client_cert", "backend_ca")


class Bootstrap:
    """socket: of the SDS server. names: what NAMES are called there. options: of the secrets' config source."""

    def __init__(self, folder, socket, method, names=(), node="envoy-1", keepalive=None, streams=None, **options):
        self.folder, self.socket, self.node, self.keepalive, self.streams = folder, socket, node, keepalive, streams
        self.ads, self.options = method.startswith("ads"), options
        self.api = "DELTA_GRPC" if method.endswith("delta") else "GRPC"
        self.names = {name: name for name in NAMES} | dict(names)
        self.inner_port = ports.free()
        self.listeners, self.clusters = [], []

    # --- secrets -----------------------------------------------------------------------------------------------------
    def _grpc(self):
        return {"api_type": self.api, "transport_api_version": "V3", "set_node_on_first_message_only": True,
                "grpc_services": [{"envoy_grpc": {"cluster_name": "sds"}}]}

    def source(self):
        made = {"ads": {}} if self.ads else {"api_config_source": self._grpc()}
        return {"resource_api_version": "V3", **made, **self.options}

    def secret(self, name):
        return {"name": self.names.get(name, name), "sds_config": self.source()}

    def downstream(self, cert=SERVER_CERT, ca=CLIENT_CA, matcher=False, **more):
        """matcher: a SAN matcher, as `leafcast envoy` demands; without one a wrong kind is applied openly."""
        common = {}
        if cert:
            common["tls_certificate_sds_secret_configs"] = [self.secret(cert)]
        if ca and matcher:
            default = {"match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"suffix": ".example"}}]}
            common["combined_validation_context"] = {"default_validation_context": default,
                                                     "validation_context_sds_secret_config": self.secret(ca)}
        elif ca:
            common["validation_context_sds_secret_config"] = self.secret(ca)
        common.update(more.pop("common", {}))
        return {"name": "envoy.transport_sockets.tls", "typed_config": {
            "@type": TLS + "DownstreamTlsContext", "require_client_certificate": bool(ca),
            "common_tls_context": common, **more}}

    def on_demand(self):
        """A certificate for each SNI, asked for when it comes (Envoy 1.37)."""
        selector = {"name": "on-demand", "typed_config": {
            "@type": ON_DEMAND, "config_source": self.source(),
            "certificate_mapper": {"name": "sni", "typed_config": {"@type": SNI, "default_value": SERVER_CERT}}}}
        return self.downstream(cert=None, ca=None, disable_stateless_session_resumption=True,
                               disable_stateful_session_resumption=True,
                               common={"custom_tls_certificate_selector": selector})

    def upstream(self):
        return {"name": "envoy.transport_sockets.tls", "typed_config": {
            "@type": TLS + "UpstreamTlsContext", "sni": "leaf.example", "common_tls_context": {
                "tls_certificate_sds_secret_configs": [self.secret(CLIENT_CERT)],
                "validation_context_sds_secret_config": self.secret(BACKEND_CA)}}}

    # --- listeners and clusters --------------------------------------------------------------------------------------
    def listener(self, name, socket, port=0, up=None):
        """up: the cluster behind "/up"."""
        routes = [{"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": name}}}]
        if up:
            routes.insert(0, {"match": {"prefix": "/up"}, "route": {"cluster": up, "timeout": "5s"}})
        http = {"@type": HTTP, "stat_prefix": name, "codec_type": "HTTP1",
                "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
                "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": ROUTER}}]}
        self.listeners.append({
            "name": name, "stat_prefix": name,
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
            "filter_chains": [{"transport_socket": socket, "filters": [
                {"name": "envoy.filters.network.http_connection_manager", "typed_config": http}]}]})
        return self

    @staticmethod
    def cluster(name, address, **more):
        return {"name": name, "type": "STATIC", "connect_timeout": "1s", **more, "load_assignment": {
            "cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]}}

    def pair(self, **downstream):
        """Ingress, backend and inner: all four secrets."""
        self.listener("ingress", self.downstream(**downstream), up="backend")
        self.listener("inner", self.downstream(), self.inner_port)
        address = {"socket_address": {"address": "127.0.0.1", "port_value": self.inner_port}}
        self.clusters.append(self.cluster("backend", address, transport_socket=self.upstream()))
        return self

    def _sds_cluster(self):
        http2 = {"connection_keepalive": {"interval": self.keepalive, "timeout": "5s"}} if self.keepalive else {}
        more = {"circuit_breakers": {"thresholds": [{"max_requests": self.streams}]}} if self.streams else {}
        return self.cluster("sds", {"pipe": {"path": self.socket}}, typed_extension_protocol_options={
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": PROTOCOL, "explicit_http_config": {"http2_protocol_options": http2}}}, **more)

    # --- the whole ---------------------------------------------------------------------------------------------------
    def config(self):
        """(bootstrap, files) for Envoy(). Over ADS all that has secrets comes from files: static it would crash."""
        made = {"node": {"id": self.node, "cluster": "edge"},
                "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
                "static_resources": {"clusters": [self._sds_cluster()]}}
        if not self.ads:
            made["static_resources"]["clusters"] += self.clusters
            made["static_resources"]["listeners"] = self.listeners
            return made, {}
        made["dynamic_resources"] = {"ads_config": self._grpc()}
        files = {}
        for kind, proto, items in (("cds", "cluster.v3.Cluster", self.clusters),
                                   ("lds", "listener.v3.Listener", self.listeners)):
            files[kind + ".yaml"] = {"resources": [
                {"@type": "type.googleapis.com/envoy.config." + proto, **item} for item in items]}
            made["dynamic_resources"][kind + "_config"] = {
                "resource_api_version": "V3", "path_config_source": {"path": str(self.folder / (kind + ".yaml"))}}
        return made, files
