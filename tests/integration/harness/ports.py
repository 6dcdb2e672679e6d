"""Free TCP ports of 127.0.0.1, each given out once a process."""
import socket

_given = set()


def free():
    while True:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        if port not in _given:
            _given.add(port)
            return port
