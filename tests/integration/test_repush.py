"""Envoy #47309: over ADS a second user of a secret, with another time-out, asks nothing (delta) or repeats itself (SotW)."""
import json
import os
import socket
import ssl

import pytest
from harness import envoy, leafcast, wait
from harness.target import config

NAME = "envoy-node"
TYPE = "type.googleapis.com/envoy."


def listener(name, timeout):
    sds = {"resource_api_version": "V3", "ads": {}, "initial_fetch_timeout": timeout}
    tls = {"@type": TYPE + "extensions.transport_sockets.tls.v3.DownstreamTlsContext",
           "common_tls_context": {"tls_certificate_sds_secret_configs": [{"name": NAME, "sds_config": sds}]}}
    proxy = {"@type": TYPE + "extensions.filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": name, "cluster": "sds"}
    return {"@type": TYPE + "config.listener.v3.Listener", "name": name, "stat_prefix": name,
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
            "filter_chains": [{"transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": tls},
                               "filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy}]}]}


def bootstrap(server, folder, api_type):
    options = {"@type": TYPE + "extensions.upstreams.http.v3.HttpProtocolOptions",
               "explicit_http_config": {"http2_protocol_options": {}}}
    endpoint = {"endpoint": {"address": {"pipe": {"path": server.socket}}}}
    return {
        "node": {"id": "n", "cluster": "c"},
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
        "dynamic_resources": {
            "ads_config": {"api_type": api_type, "transport_api_version": "V3", "set_node_on_first_message_only": True,
                           "grpc_services": [{"envoy_grpc": {"cluster_name": "sds"}}]},
            "lds_config": {"resource_api_version": "V3", "path_config_source": {"path": str(folder / "lds.json")}}},
        "static_resources": {"clusters": [{
            "name": "sds", "type": "STATIC", "connect_timeout": "1s",
            "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
            "load_assignment": {"cluster_name": "sds", "endpoints": [{"lb_endpoints": [endpoint]}]}}]}}


def write_listeners(folder, *listeners):
    new = folder / "lds.new"
    new.write_text(json.dumps({"resources": listeners}))
    new.rename(folder / "lds.json")


def serves(port):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as plain, context.wrap_socket(plain):
            return True
    except (ssl.SSLError, ConnectionError):
        return False


@pytest.mark.parametrize("api_type", ["DELTA_GRPC", "GRPC"])
def test_a_second_user_of_a_secret_is_served(folder, api_type):
    server = leafcast.Leafcast(folder / "leafcast")
    server.write_config({**config(1, os.geteuid(), listen=[{"unix": {"path": server.socket}}]),
                         "repush": {"interval": "1s"}})
    folder.ending(server).start()
    home = folder / "envoy"
    made = envoy.Envoy(home, bootstrap(server, home, api_type),
                       files={"lds.json": {"resources": [listener("first", "15s")]}})
    running = folder.ending(made).start()
    assert wait.until(lambda: serves(running.listener_port("first")), 10, "the first listener")
    write_listeners(home, listener("first", "15s"), listener("second", "20s"))
    # It would warm for 20 s and then refuse everybody.
    assert wait.until(lambda: serves(running.listener_port("second", 10)), 10, "the second listener")
    assert running.rejected() == 0
