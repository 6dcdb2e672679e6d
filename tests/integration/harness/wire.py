"""Requests made of bytes, for what the upstream messages refuse to hold: broken UTF-8, wild lengths, deep nesting."""
from .node import node as make_node
from .sds_client import SECRET

SOTW_NODE, SOTW_NAMES, SOTW_TYPE = 2, 3, 4
DELTA_NODE, DELTA_TYPE, DELTA_SUBSCRIBE = 1, 2, 3


def varint(n):
    out = b""
    while n > 0x7f:
        out += bytes([n & 0x7f | 0x80])
        n >>= 7
    return out + bytes([n])


def field(number, content):
    """A length-delimited field; text is encoded as UTF-8."""
    content = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(content)) + content


def request(kind, names, node=None, type_url=SECRET):
    """A request of kind "sotw" or "delta". names and node may be any bytes."""
    node = make_node().SerializeToString() if node is None else node
    numbers = (SOTW_NODE, SOTW_TYPE, SOTW_NAMES) if kind == "sotw" else (DELTA_NODE, DELTA_TYPE, DELTA_SUBSCRIBE)
    return (field(numbers[0], node) + field(numbers[1], type_url) + b"".join(field(numbers[2], n) for n in names))


def nested_metadata(depth):
    """A node whose metadata nests Values so deep (google.protobuf.Struct: fields=1, Value: struct_value=5)."""
    value = field(3, "bottom")
    for _ in range(depth):
        value = field(5, field(1, field(1, "k") + field(2, value)))
    return make_node().SerializeToString() + field(3, field(1, field(1, "k") + field(2, value)))
