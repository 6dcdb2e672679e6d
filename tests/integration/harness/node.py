"""Nodes as Envoy sends them."""
from envoy.config.core.v3 import base_pb2


def node(node_id="test-node", cluster="test", extensions=0, padding=0):
    """extensions: how many to list (Envoy 1.40 lists 516, 61 KB); padding: bytes of metadata on top."""
    n = base_pb2.Node(id=node_id, cluster=cluster, user_agent_name="envoy")
    n.user_agent_build_version.version.major_number = 1
    n.user_agent_build_version.version.minor_number = 40
    n.user_agent_build_version.metadata["build.type"] = "RELEASE"
    for i in range(extensions):
        n.extensions.add(name="envoy.extension.%d" % i, category="envoy.category",
                         type_urls=["type.googleapis.com/envoy.extensions.some.quite.long.name.v3.Extension%d" % i])
    if padding:
        n.metadata["padding"] = "x" * padding
    return n
