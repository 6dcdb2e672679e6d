"""An SDS and ADS client that shares nothing with leafcast: grpcio and the upstream messages.

    with SdsClient("unix:" + path) as client:
        stream = client.sotw()
        stream.request(["default"])
        answer = stream.receive()
        stream.ack(answer)
"""
import queue
import threading

import grpc
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.rpc import status_pb2

from .node import node as make_node
from .wait import Expired

SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
SDS = "/envoy.service.secret.v3.SecretDiscoveryService/"
ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/"
METHODS = {
    ("sotw", False): SDS + "StreamSecrets",
    ("delta", False): SDS + "DeltaSecrets",
    ("sotw", True): ADS + "StreamAggregatedResources",
    ("delta", True): ADS + "DeltaAggregatedResources",
}
ANSWER_S = 10
_END = object()


def as_is(message):
    return message


def serialize(message):
    return message if isinstance(message, bytes) else message.SerializeToString()


class SdsClient:
    def __init__(self, target, credentials=None, options=()):
        limits = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1),
                  ("grpc.use_local_subchannel_pool", 1)]
        make = grpc.insecure_channel if credentials is None else grpc.secure_channel
        args = () if credentials is None else (credentials,)
        self.channel = make(target, *args, options=limits + list(options))
        self._streams = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for stream in self._streams:
            stream.half_close()
        self.channel.close()

    def open(self, stream):
        self._streams.append(stream)
        return stream

    def sotw(self, ads=False, node=None):
        return self.open(Sotw(self.channel, METHODS["sotw", ads], discovery_pb2.DiscoveryResponse, node))

    def delta(self, ads=False, node=None):
        return self.open(Delta(self.channel, METHODS["delta", ads], discovery_pb2.DeltaDiscoveryResponse, node))

    def fetch(self, names, node=None, type_url=SECRET, timeout_s=15, version=""):
        request = discovery_pb2.DiscoveryRequest(node=node or make_node(), resource_names=names, type_url=type_url,
                                                 version_info=version)
        call = self.channel.unary_unary(SDS + "FetchSecrets", serialize, discovery_pb2.DiscoveryResponse.FromString)
        return call(request, timeout=timeout_s)


class Stream:
    """One bidirectional call. The first request carries the stream's node unless told otherwise."""

    def __init__(self, channel, method, response, node=None):
        self.node = node or make_node()
        self.answers = []
        self._sent_node = False
        self._requests, self._received = queue.Queue(), queue.Queue()
        call = channel.stream_stream(method, serialize, response.FromString)
        self.call = call(iter(self._requests.get, _END))
        threading.Thread(target=self._pump, daemon=True).start()

    def _pump(self):
        try:
            for answer in self.call:
                self._received.put(answer)
        except grpc.RpcError:
            pass
        self._received.put(_END)

    # --- sending -----------------------------------------------------------------------------------------------------
    def send(self, message):
        """A message, or bytes to be sent as they are."""
        self._requests.put(message)

    def with_node(self, message, node):
        """node: True (the stream's own, the first time), None (none), or a Node."""
        if node is True and not self._sent_node:
            message.node.CopyFrom(self.node)
            self._sent_node = True
        elif node not in (True, None):
            message.node.CopyFrom(node)
        return message

    def half_close(self):
        self._requests.put(_END)

    def cancel(self):
        self.call.cancel()

    # --- receiving ---------------------------------------------------------------------------------------------------
    def receive(self, timeout_s=ANSWER_S):
        """The next answer; Expired when the stream ended or stayed silent."""
        try:
            answer = self._received.get(timeout=timeout_s)
        except queue.Empty:
            raise Expired("%.1f s passed without an answer" % timeout_s) from None
        if answer is _END:
            self._received.put(_END)
            raise Expired("the stream ended: %s %s" % (self.call.code(), self.call.details()))
        self.answers.append(answer)
        return answer

    def pending(self):
        """Answers that are here already."""
        found = []
        while not self._received.empty():
            found.append(self.receive(1))
        return found

    def status(self, timeout_s=ANSWER_S):
        """Wait for the end of the call; (code, details). Answers on the way are kept in self.answers."""
        while True:
            try:
                self.receive(timeout_s)
            except Expired:
                if self._received.empty() or self._received.queue[0] is not _END:
                    raise
                return self.call.code(), self.call.details()

    def is_open(self):
        return self.call.is_active()


def nack_status(text="rejected by the test"):
    return status_pb2.Status(code=13, message=text)


def secrets_of(answer):
    """name -> Secret of a SotW answer; a name that stands twice is a failure."""
    found = {}
    for any_message in answer.resources:
        assert any_message.type_url == SECRET, any_message.type_url
        secret = secret_pb2.Secret.FromString(any_message.value)
        assert secret.name not in found, "%s stands twice" % secret.name
        found[secret.name] = secret
    return found


class Sotw(Stream):
    delta = False

    def request(self, names, version="", nonce="", error=None, node=True, type_url=SECRET):
        message = discovery_pb2.DiscoveryRequest(version_info=version, resource_names=names, type_url=type_url,
                                                 response_nonce=nonce, error_detail=error)
        self.names = list(names)
        self.send(self.with_node(message, node))

    def ack(self, answer, names=None):
        self.request(self.names if names is None else names, answer.version_info, answer.nonce)

    def nack(self, answer, version="", names=None, text="rejected by the test"):
        self.request(self.names if names is None else names, version, answer.nonce, nack_status(text))

    def receive_secrets(self, timeout_s=ANSWER_S):
        answer = self.receive(timeout_s)
        return answer, secrets_of(answer)

    def collect(self, names, timeout_s=ANSWER_S):
        """ACK answers until each of names came; name -> (Secret, answer)."""
        found = {}
        while not set(names) <= set(found):
            answer, secrets = self.receive_secrets(timeout_s)
            self.ack(answer)
            found.update({name: (secret, answer) for name, secret in secrets.items()})
        return found


class Delta(Stream):
    delta = True

    def request(self, subscribe=(), unsubscribe=(), initial=None, nonce="", error=None, node=True, type_url=SECRET):
        message = discovery_pb2.DeltaDiscoveryRequest(
            type_url=type_url, resource_names_subscribe=subscribe, resource_names_unsubscribe=unsubscribe,
            initial_resource_versions=initial or {}, response_nonce=nonce, error_detail=error)
        self.send(self.with_node(message, node))

    def ack(self, answer, **lists):
        self.request(nonce=answer.nonce, **lists)

    def nack(self, answer, text="rejected by the test", **lists):
        self.request(nonce=answer.nonce, error=nack_status(text), **lists)

    @staticmethod
    def secrets(answer):
        """name -> Secret of an answer's resources."""
        found = {}
        for resource in answer.resources:
            assert resource.resource.type_url == SECRET, resource.resource.type_url
            secret = secret_pb2.Secret.FromString(resource.resource.value)
            assert secret.name == resource.name and secret.name not in found
            found[secret.name] = secret
        return found

    def receive_secrets(self, timeout_s=ANSWER_S):
        answer = self.receive(timeout_s)
        return answer, self.secrets(answer)

    def collect(self, names, timeout_s=ANSWER_S):
        """ACK answers until each of names came; name -> (Secret, answer)."""
        found = {}
        while not set(names) <= set(found):
            answer, secrets = self.receive_secrets(timeout_s)
            self.ack(answer)
            found.update({name: (secret, answer) for name, secret in secrets.items()})
        return found
