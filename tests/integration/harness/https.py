"""A client of TLS listeners that shows a certificate or none, and says which one the other side showed."""
import socket
import ssl

from cryptography import x509

PATIENCE_S = 5


class Https:
    """A connection to 127.0.0.1:port. certificate: a pki.Certificate to show; trusted: of whom the server must be."""

    def __init__(self, port, folder, trusted, certificate=None, sni="leaf.example", timeout_s=PATIENCE_S):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(cadata=trusted.pem().decode())
        if certificate:
            context.load_cert_chain(*certificate.write(folder, "https-client"))
        plain = socket.create_connection(("127.0.0.1", port), timeout_s)
        try:
            self.socket = context.wrap_socket(plain, server_hostname=sni)
        except BaseException:
            plain.close()
            raise
        leaf = x509.load_der_x509_certificate(self.socket.getpeercert(binary_form=True))
        self.serial = "%x" % leaf.serial_number

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def get(self, path="/"):
        """Status and body of a request; a client certificate that is refused shows here (TLS 1.3)."""
        self.socket.sendall(b"GET %s HTTP/1.1\r\nhost: leaf.example\r\n\r\n" % path.encode())
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._more()
        head, _, body = received.partition(b"\r\n\r\n")
        lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        while len(body) < int((lengths or [0])[0]):
            body += self._more()
        return int(head.split()[1]), body.decode()

    def _more(self):
        piece = self.socket.recv(65536)
        if not piece:
            raise ConnectionError("closed before an answer")
        return piece


def refused(*args, **options):
    """Whether the other side, or we, end the connection instead of an answer."""
    try:
        with Https(*args, **options) as client:
            client.get()
        return False
    except OSError:                                                 # ssl.SSLError and time-outs are among them
        return True
