"""Real programs under a test's control: leafcast, Envoy, an independent SDS client, a backend and traffic.

A file is one idea. Nothing here sleeps: a wait is for an event (a line of a log, a message of a stream, a datagram of
NOTIFY_SOCKET) or polls a state through wait.until(), always with a deadline.
"""
import os

# Before grpc is imported: its fork handlers start threads in children that only want to exec.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
