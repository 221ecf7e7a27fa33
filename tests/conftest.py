"""What several test files share: networks and streets so small that training takes seconds."""

import keras
import pytest
import tiny
from backends import TENSORFLOW_ONLY

from roidepth_lessons import model, streets


def pytest_collection_modifyitems(items):
    if keras.backend.backend() == "tensorflow":
        return
    for item in items:
        file = item.path.name
        names = file, f"{file}::{getattr(item, 'originalname', None)}", f"{file}::{item.name}"
        reason = next(filter(None, map(TENSORFLOW_ONLY.get, names)), None)
        if reason:
            item.add_marker(pytest.mark.skip(reason=f"only on TensorFlow: {reason}"))


@pytest.fixture(scope="session")
def tiny_streets(tmp_path_factory):
    """Eight streets of 64x128 pixels in the KITTI layout. Tests that damage files work on a copy."""
    root = tmp_path_factory.mktemp("streets")
    streets.write_streets(root, 8, seed=5, height=64, width=128, workers=1, progress=False)
    return root


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory):
    """A weights file of a network that has learnt nothing: every score is about 5 %."""
    keras.utils.set_random_seed(3)
    path = tmp_path_factory.mktemp("weights") / "tiny.keras"
    tiny.small_network().save(path)
    return path


@pytest.fixture
def toy_network(monkeypatch):
    """`train` builds `tiny.toy_network`."""
    monkeypatch.setattr(model, "build_network", tiny.toy_network)
