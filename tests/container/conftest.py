"""Builds both images once, from a copy of the repository with every example and a probe among its scripts."""

import os
from pathlib import Path

import pytest

from local.docker import images as building
from local.docker.engine import EngineError, find_engine
from tests.container.support import BINARY, Supervised, copy_tree

BUILT_MINUTES = 30  # from nothing: a base image, the torch wheel, two images, on two busy cores


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.container)
            item.add_marker(pytest.mark.timeout(BUILT_MINUTES * 60))


@pytest.fixture(scope="session")
def engine():
    try:
        return find_engine()
    except EngineError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def tree(tmp_path_factory):
    """A copy of what the image is made of, to which tests may add files."""
    return copy_tree(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="session")
def images(engine, tree, tmp_path_factory):
    log = tmp_path_factory.mktemp("logs")
    return {
        target: building.build(engine, target, root=tree, name=f"hf-lambda-test:{target}", log=log / target)
        for target in building.TARGETS
    }


@pytest.fixture
def containers(engine, images, tmp_path):
    """Starts functions over an empty cache; what is left at the end is removed."""
    cache, state = tmp_path / "cache", tmp_path / "state"
    cache.mkdir()
    started = Supervised(engine, cache, state, BINARY, images=images)
    started.adopt_cache()
    yield started
    started.stop_all()
    started.remove_all()
