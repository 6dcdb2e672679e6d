"""Parameters and fixtures of the conformance tests: four methods of asking, on servers of each shape.

The numbers in the names of the tests are those of a checklist of 58 assertions about an SDS server for Envoy.
"""
import os

import pytest
from checklist import BOTH, SHAPES as EVERY_SHAPE
from harness.dialogue import Dialogue
from harness.target import Target

METHODS, SHAPES = list(BOTH), EVERY_SHAPE
if os.environ.get("LEAFCAST_SANITIZED"):
    SHAPES = [(4, "unix"), (4, "tcp")]


@pytest.fixture(scope="module", params=SHAPES, ids=lambda s: "%s-w%d" % (s[1], s[0]))
def target(request, module_folder):
    """On the model every shape is the same."""
    return Target(request.config.getoption("--target"), module_folder, *request.param)


@pytest.fixture
def client(target):
    with target.client() as made:
        yield made


@pytest.fixture(params=METHODS)
def method(request):
    return request.param


@pytest.fixture(params=[False, True], ids=["sds", "ads"])
def ads(request):
    return request.param


def open_dialogue(client, method, node=None):
    ads, kind = method.split("-")
    return Dialogue(getattr(client, kind)(ads=ads == "ads", node=node))


@pytest.fixture
def dialogue(client, method):
    return open_dialogue(client, method)


@pytest.fixture
def sotw(client, ads):
    return Dialogue(client.sotw(ads=ads))


@pytest.fixture
def delta(client, ads):
    return Dialogue(client.delta(ads=ads))
