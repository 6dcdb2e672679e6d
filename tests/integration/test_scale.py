"""Many names and many streams at once, in bounded time and memory."""
import os

import pytest
from conformance import METHODS, open_dialogue
from harness import leafcast, wait
from harness.sds_client import SdsClient
from harness.target import config

NAMES = 1000


@pytest.fixture(scope="module")
def server(module_folder):
    """A thousand leafs, issued at start."""
    made = leafcast.Leafcast(module_folder / "leafcast")
    settings = config(2, os.geteuid(), listen=[{"unix": {"path": made.socket}}])
    settings["log"]["level"] = "info"
    settings["secrets"].update({"n-%d" % i: {"profile": "workload", "dns": ["n-%d.example" % i]} for i in range(NAMES)})
    made.write_config(settings)
    module_folder.ending(made).start()

    def issued():
        return sum(s["state"] == "ok" and s["name"].startswith("n-") for s in made.status()["secrets"]) == NAMES
    wait.until(issued, 60, "all issued", poll_s=0.2)
    return made


@pytest.fixture
def client(server):
    with SdsClient("unix:" + server.socket) as made:
        yield made


@pytest.mark.parametrize("method", METHODS)
def test_a_thousand_names_on_one_stream(client, method):
    names = ["n-%d" % i for i in range(NAMES)]
    dialogue = open_dialogue(client, method).subscribe(*names)
    dialogue.take(*names)
    nonces = {a.nonce for a in dialogue.stream.answers}
    assert len(nonces) == len(dialogue.stream.answers) == NAMES


def test_a_thousand_streams_of_one_name(server, client):
    """As Envoy has them without ADS; the SETTINGS of the server allow them on one connection."""
    dialogues = [open_dialogue(client, "sds-delta").subscribe("n-%d" % i) for i in range(NAMES)]
    for i, dialogue in enumerate(dialogues):
        dialogue.take("n-%d" % i)
    assert server.status()["streams"] >= NAMES
    for dialogue in dialogues:
        dialogue.stream.cancel()
    wait.until(lambda: server.status()["streams"] < 10, 20, "all streams gone")


def test_rotation_of_one_reaches_its_stream_alone(server, client):
    dialogues = [open_dialogue(client, "sds-delta").subscribe("n-%d" % i) for i in range(50)]
    for i, dialogue in enumerate(dialogues):
        dialogue.take("n-%d" % i)
    server.cli("rotate", "n-7")
    dialogues[7].take("n-7")
    for dialogue in dialogues:
        dialogue.quiet()
