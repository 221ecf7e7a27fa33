"""The house has floors: who may import whom, and that a module of the ground floor works when it is copied alone."""

import ast
import os
import subprocess
import sys

import pytest

from roidepth_lessons import DATA_FOLDER

PACKAGE = DATA_FOLDER.parent / "roidepth_lessons"
GROUND = (
    "camera", "encoder", "detection", "depth", "roi", "metrics", "draw", "multitask", "weighing", "toys",
    "pretrained", "world", "checks", "session", "comparison", "kitti_rules", "drive_split", "compiled",
    "processes", "distributed",
)  # fmt: skip
WITHOUT_KERAS = (
    "camera", "metrics", "draw", "world", "checks", "session", "processes", "comparison", "kitti_rules", "drive_split",
    "distributed",
)  # fmt: skip
FIRST_FLOOR = ("frames", "model", *(path.stem for path in sorted(PACKAGE.glob("draw_*.py"))))

ALONE = """
import doctest, importlib, os, shutil, sys
sys.modules["roidepth_lessons"] = None  # as if it were not installed
target, *modules = sys.argv[1:]
for path in modules:
    name = os.path.basename(path)[:-3]
    folder = os.path.join(target, name)
    os.makedirs(folder)
    shutil.copy(path, folder)
    os.chdir(folder)
    sys.path.insert(0, folder)
    module = importlib.import_module(name)
    assert module.__file__.startswith(folder), module.__file__
    outcome = doctest.testmod(module)
    assert outcome.attempted > 0, name + " shows no example"
    assert outcome.failed == 0, name
    sys.path.remove(folder)
    del sys.modules[name]
print("imported:", *sorted({"keras", "tensorflow"} & set(sys.modules)))
"""

LIGHT = """
import sys
sys.path.insert(0, sys.argv[1])
import roidepth_lessons.__main__, roidepth_lessons.streets, roidepth_lessons.kitti, roidepth_lessons.installation
print("imported:", *sorted({"keras", "tensorflow", "matplotlib"} & set(sys.modules)))
"""


def siblings(name):
    """Modules of the package that a module's text imports, wherever in it; the package itself is ''."""
    found = set()
    for node in ast.walk(ast.parse((PACKAGE / f"{name}.py").read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            found |= {node.module} if node.module else {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == PACKAGE.name:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {each.name for each in node.names if each.name.split(".")[0] == PACKAGE.name}
    return found


def standing(names):
    return [name for name in names if (PACKAGE / f"{name}.py").exists()]


def run(script, *arguments):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-I", "-c", script, *map(str, arguments)],
        capture_output=True, text=True, env=environment, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("name", standing(GROUND))
def test_the_ground_floor_imports_no_sibling(name):
    assert siblings(name) == set()


@pytest.mark.parametrize("name", standing(FIRST_FLOOR))
def test_the_first_floor_imports_only_the_ground_floor(name):
    constants = {"CLASSES", "DATA_FOLDER", "__version__"}
    assert siblings(name) - constants <= set(GROUND)


STREETS = (
    "label_statistics", "street_noise", "street_solids", "street_shapes", "street_scenery", "street_layout",
    "street_scene", "street_rays", "street_shadows", "street_light", "street_labels", "streets",
)  # fmt: skip


def test_modules_of_streets_import_only_what_comes_before_them():
    below = {"camera", "frames", "kitti", "session", "processes", "CLASSES", "DATA_FOLDER", "__version__"}
    assert {path.stem for path in PACKAGE.glob("street*.py")} == {*STREETS} - {"label_statistics"}
    for i, name in enumerate(STREETS):
        assert siblings(name) <= below | {*STREETS[:i]}


def test_what_is_known_of_exercises_needs_only_the_ground_floor():
    paths = list(PACKAGE.glob("exercises_*.py"))
    assert paths
    assert all({"checks"} <= siblings(path.stem) <= set(GROUND) for path in paths)


def test_the_search_for_siblings_finds_them():
    assert {"kitti", "camera", "__version__"} <= siblings("streets")
    assert {"model", "dataset", "streets"} <= siblings("train")


def test_modules_without_keras_work_alone_and_stay_without_it(tmp_path):
    assert run(ALONE, tmp_path, *(PACKAGE / f"{name}.py" for name in standing(WITHOUT_KERAS))) == "imported:"


def test_modules_with_keras_work_alone(tmp_path):
    names = [name for name in standing(GROUND) if name not in WITHOUT_KERAS]
    assert "keras" in run(ALONE, tmp_path, *(PACKAGE / f"{name}.py" for name in names))


def test_streets_kitti_and_the_command_line_start_without_keras():
    assert run(LIGHT, PACKAGE.parent) == "imported:"
