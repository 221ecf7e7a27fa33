"""What a reader may copy runs on every backend of Keras: the same tests again, under JAX and under PyTorch.

The course itself needs neither; ``pip install -e .[jax,torch]`` brings them. All test files of the package are run by
``python tests/backends.py tests``.
"""

import ast
import importlib.util
import os
from pathlib import Path

import backends
import pytest

HERE = Path(__file__).resolve().parent
FEW = ("test_toys.py", "test_multitask.py", "test_weighing.py", "test_depth.py", "test_detection.py")


def files_to_run():
    """(backend, test file): a few, or with ROIDEPTH_BACKENDS=all, as in CI, all files of the package."""
    if os.environ.get("ROIDEPTH_BACKENDS") != "all":
        return [(backend, file) for file in FEW for backend in ("jax", "torch")]
    others = [file for file in backends.package_files() if file not in (*FEW, *backends.TENSORFLOW_ONLY)]
    return [(backend, file) for file in (*FEW, *others) for backend in ("jax", "torch")]


def needs(backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed here (see the extras in pyproject.toml)")


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_the_shipped_weights_find_the_same_objects_on(backend):
    needs(backend)
    found = backends.compare(sorted(backends.SAMPLE.glob("*.png"))[:2], [backend])
    assert set(found) == {"streets.keras", "streets_192x640.keras", "streets_lean.keras"}
    for figures in found.values():
        assert figures[backend]["objects"] == figures["tensorflow"]["objects"] > 0
        assert backends.same_objects(figures[backend]), figures[backend]


@pytest.mark.parametrize(("backend", "file"), files_to_run())
def test_what_may_be_copied_on(backend, file):
    needs(backend)
    figures = backends.run_tests(backend, file)
    assert figures["failures"] == []
    assert figures["passed"] > 0
    if file in FEW:
        assert figures["passed"] > 10
        assert all(reason.startswith("only on TensorFlow") for reason in figures["skipped_because"])


def test_what_is_left_out_on_other_backends_is_there():
    for name in backends.TENSORFLOW_ONLY:
        file, _, test = name.partition("::")
        test = test.partition("[")[0]
        tree = ast.parse((HERE / file).read_text())
        assert not test or test in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert all((HERE / file).is_file() for file in backends.NOT_OF_THE_PACKAGE)


def row(image="a.png", names=("Car", "Cyclist"), distance=20.0, left=3.0, score=0.5):
    each = {"box": [left, 2.0, 30.0, 40.0], "distance_m": distance, "surface_distance_m": 19.0, "score": score}
    return {"image": image, "head_work": 0.25, "objects": [each | {"class": name} for name in names]}


def test_differences_are_relative_and_found():
    before = [row(), row("b.png", ())]
    assert backends.same_objects(backends.differences(before, before))
    near = backends.differences(before, [row(distance=20.01, left=3.005, score=0.5002), row("b.png", ())])
    assert backends.same_objects(near)
    assert [near[name] for name in ("distance", "box_pixels", "score")] == pytest.approx([5e-4, 5e-3, 4e-4])
    for other in (row(distance=20.1), row(left=3.1), row(score=0.51), row(names=("Car",)), row(names=("Car", "Car"))):
        assert not backends.same_objects(backends.differences(before, [other, row("b.png", ())]))
    with pytest.raises(ValueError, match="not predictions of the same photos"):
        backends.differences(before, [row("c.png"), row("b.png", ())])
