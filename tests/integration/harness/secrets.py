"""Secret messages made by hand."""
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2


def tls(name, certificate):
    secret = secret_pb2.Secret(name=name)
    secret.tls_certificate.certificate_chain.inline_bytes = certificate.chain_pem()
    secret.tls_certificate.private_key.inline_bytes = certificate.key_pem()
    return secret


def bundle(name, *authorities):
    secret = secret_pb2.Secret(name=name)
    secret.validation_context.trusted_ca.inline_bytes = b"".join(a.pem() for a in authorities)
    return secret
