"""Certificates of an authority of the test's own: what an operator brings, and what clients show."""
import base64
import datetime
import ipaddress
import json
import pathlib
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER


def new_key(kind="P-256"):
    if kind == "P-256":
        return ec.generate_private_key(ec.SECP256R1())
    if kind == "P-384":
        return ec.generate_private_key(ec.SECP384R1())
    return rsa.generate_private_key(65537, int(kind.removeprefix("RSA-")))


class Certificate:
    """A certificate, its key and the chain of its issuers (nearest first, root last)."""

    def __init__(self, certificate, key, issuers=()):
        self.certificate, self.key, self.issuers = certificate, key, list(issuers)

    @property
    def serial(self):
        return "%x" % self.certificate.serial_number

    def pem(self):
        return self.certificate.public_bytes(PEM)

    def der(self):
        return self.certificate.public_bytes(DER)

    def chain_pem(self, root=False):
        """The leaf and the issuers that a peer needs."""
        above = self.issuers if root else self.issuers[:-1]
        return self.pem() + b"".join(c.pem() for c in above)

    def key_pem(self, password=None, form=serialization.PrivateFormat.PKCS8):
        lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        return self.key.private_bytes(PEM, form, lock)

    def key_der(self):
        return self.key.private_bytes(DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())

    def p12(self, password):
        lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        return pkcs12.serialize_key_and_certificates(b"it", self.key, self.certificate,
                                                     [c.certificate for c in self.issuers], lock)

    def write(self, folder, stem):
        """(certificate file, key file) in folder, as `put --cert --key` takes them."""
        folder = pathlib.Path(folder)
        cert, key = folder / (stem + ".cert.pem"), folder / (stem + ".key.pem")
        cert.write_bytes(self.chain_pem())
        key.write_bytes(self.key_pem())
        return cert, key


def _general_names(dns, uri, ip):
    return ([x509.DNSName(x) for x in dns] + [x509.UniformResourceIdentifier(x) for x in uri] +
            [x509.IPAddress(ipaddress.ip_address(x)) for x in ip])


def make(name, issuer=None, ca=False, dns=(), uri=(), ip=(), key=None, start_s=-60, end_s=86400, path_length=None):
    """A certificate; issuer None: self-signed. start_s, end_s: seconds from now."""
    now = datetime.datetime.now(datetime.timezone.utc)
    key = key or new_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (x509.CertificateBuilder().subject_name(subject).public_key(key.public_key())
               .issuer_name(issuer.certificate.subject if issuer else subject)
               .serial_number(x509.random_serial_number())
               .not_valid_before(now + datetime.timedelta(seconds=start_s))
               .not_valid_after(now + datetime.timedelta(seconds=end_s))
               .add_extension(x509.BasicConstraints(ca, path_length if ca else None), True)
               .add_extension(x509.KeyUsage(
                   digital_signature=not ca, content_commitment=False, key_encipherment=False, data_encipherment=False,
                   key_agreement=False, key_cert_sign=ca, crl_sign=ca, encipher_only=False, decipher_only=False), True))
    if ca:                                                          # step-ca signs no CRL without it
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    else:
        builder = builder.add_extension(x509.ExtendedKeyUsage(
            [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), False)
    names = _general_names(dns, uri, ip)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
    signer = issuer.key if issuer else key
    issuers = [issuer, *issuer.issuers] if issuer else []
    return Certificate(builder.sign(signer, hashes.SHA256()), key, issuers)


def authority(name="Test Root"):
    return make(name, ca=True, end_s=10 * 86400)


def public_pem(key):
    return key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def sign_jwt(key, claims, life_s):
    """A JSON Web Token (ES256) by a P-256 key, good from now on."""
    def part(what):
        raw = what if isinstance(what, bytes) else json.dumps(what).encode()
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    now = int(time.time())
    text = "%s.%s" % (part({"alg": "ES256", "typ": "JWT"}), part({**claims, "iat": now, "nbf": now, "exp": now + life_s}))
    r, s = utils.decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
    return "%s.%s" % (text, part(r.to_bytes(32, "big") + s.to_bytes(32, "big")))


def sign_ca(request_pem, issuer):
    """An issuing CA's certificate for a request, as PEM."""
    request = x509.load_pem_x509_csr(request_pem.encode())
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (x509.CertificateBuilder().subject_name(request.subject).public_key(request.public_key())
               .issuer_name(issuer.certificate.subject).serial_number(x509.random_serial_number())
               .not_valid_before(now - datetime.timedelta(seconds=60)).not_valid_after(now + datetime.timedelta(days=5))
               .add_extension(x509.BasicConstraints(True, 0), True)
               .add_extension(x509.SubjectKeyIdentifier.from_public_key(request.public_key()), False)
               .add_extension(x509.KeyUsage(
                   digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
                   key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False), True))
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(PEM).decode()
