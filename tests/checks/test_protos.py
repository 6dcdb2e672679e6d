"""Our trimmed .proto files against upstream's descriptors: every message, field, enum and method.

Ours may lack a whole message that nothing of ours can reach; a message that we have, we have whole."""
import importlib
import pathlib
import subprocess

import pytest
from google.protobuf import descriptor_pb2

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto"
UPSTREAM = [
    "envoy.service.discovery.v3.discovery_pb2",
    "envoy.service.discovery.v3.ads_pb2",
    "envoy.service.secret.v3.sds_pb2",
    "envoy.config.core.v3.base_pb2",
    "envoy.config.core.v3.address_pb2",
    "envoy.config.core.v3.extension_pb2",
    "envoy.type.v3.semantic_version_pb2",
    "envoy.type.matcher.v3.string_pb2",
    "envoy.type.matcher.v3.regex_pb2",
    "xds.core.v3.context_params_pb2",
    "xds.core.v3.extension_pb2",
    "envoy.extensions.transport_sockets.tls.v3.secret_pb2",
    "envoy.extensions.transport_sockets.tls.v3.common_pb2",
    "envoy.extensions.transport_sockets.tls.v3.tls_spiffe_validator_config_pb2",
    "google.rpc.status_pb2",
    "grpc_health.v1.health_pb2",
    "grpc_reflection.v1alpha.reflection_pb2",
]
# What must be there: what we send or receive.
ROOTS = [
    "envoy.service.discovery.v3.DiscoveryRequest",
    "envoy.service.discovery.v3.DiscoveryResponse",
    "envoy.service.discovery.v3.DeltaDiscoveryRequest",
    "envoy.service.discovery.v3.DeltaDiscoveryResponse",
    "envoy.service.discovery.v3.Resource",
    "envoy.extensions.transport_sockets.tls.v3.Secret",
    "envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig",
    "google.rpc.Status",
    "grpc.health.v1.HealthCheckRequest",
    "grpc.health.v1.HealthCheckResponse",
    "grpc.health.v1.HealthListResponse",
    "grpc.reflection.v1alpha.ServerReflectionRequest",
    "grpc.reflection.v1alpha.ServerReflectionResponse",
    "grpc.reflection.v1.ServerReflectionRequest",
]


def describe(file):
    """Full name -> what it is, as comparable values, for everything in a file."""
    found = {}

    def field(f, m):
        oneof = m.oneof_decl[f.oneof_index].name if f.HasField("oneof_index") and not f.proto3_optional else None
        return (f.name, f.number, f.type, f.label, f.type_name, oneof)

    def message(scope, m):
        name = f"{scope}.{m.name}"
        found[name] = ("message", sorted(field(f, m) for f in m.field))
        for n in m.nested_type:
            message(name, n)
        for e in m.enum_type:
            enum(name, e)

    def enum(scope, e):
        found[f"{scope}.{e.name}"] = ("enum", sorted((v.name, v.number) for v in e.value))

    for m in file.message_type:
        message(file.package, m)
    for e in file.enum_type:
        enum(file.package, e)
    for s in file.service:
        for r in s.method:
            found[f"{file.package}.{s.name}/{r.name}"] = (
                "method", r.input_type, r.output_type, r.client_streaming, r.server_streaming)
    return found


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    out = tmp_path_factory.mktemp("protos") / "ours.bin"
    files = sorted(p.relative_to(PROTO).as_posix() for p in PROTO.rglob("*.proto"))
    assert len(files) >= 18
    subprocess.run(["protoc", "-I", str(PROTO), "-I", "/usr/include", f"--descriptor_set_out={out}", *files], check=True)
    found = {}
    for file in descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file:
        found.update(describe(file))
    return found


@pytest.fixture(scope="module")
def upstream():
    found = {}
    for module in UPSTREAM:
        file = descriptor_pb2.FileDescriptorProto()
        importlib.import_module(module).DESCRIPTOR.CopyToProto(file)
        found.update(describe(file))
    return found


def v1(text):
    """grpc.reflection.v1 has the fields of v1alpha under another package; the package of test requirements ships v1alpha alone."""
    if isinstance(text, str):
        return text.replace("grpc.reflection.v1alpha", "grpc.reflection.v1")
    if isinstance(text, (tuple, list)):
        return type(text)(v1(t) for t in text)
    return text


def test_every_definition_is_upstreams(ours, upstream):
    known = dict(upstream)
    known.update({v1(k): v1(v) for k, v in upstream.items() if k.startswith("grpc.reflection.v1alpha")})
    unknown = [name for name in ours if name not in known]
    assert not unknown
    different = {name: (value, known[name]) for name, value in ours.items() if known[name] != value}
    assert not different


def test_nothing_that_we_send_or_receive_is_missing(ours):
    assert [name for name in ROOTS if name not in ours] == []


def test_every_method_is_there(ours, upstream):
    methods = {name for name in upstream if "/" in name}
    methods |= {v1(name) for name in methods}
    assert methods <= set(ours)
    assert len(methods) >= 10


def test_every_type_that_is_named_exists(ours):
    missing = set()
    for value in ours.values():
        if value[0] == "message":
            missing |= {f[4][1:] for f in value[1] if f[4] and f[4][1:] not in ours and not f[4].startswith(".google.protobuf.")}
    assert not missing
