"""On a full disk or in a read-only folder, a command says which file can't be written, and leaves no half of it."""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import matplotlib.figure
import numpy as np
import pytest

from roidepth_lessons import __main__, draw, kitti
from roidepth_lessons.__main__ import main


@contextmanager
def room(size):
    """Files of this process and its children can't grow beyond so many bytes: the system says no, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())


@pytest.mark.parametrize("workers", [1, 2])
def test_streets(tmp_path, capfd, workers):
    with room(3000):
        code = main(["streets", str(tmp_path), "--count=4", "--seed=1", f"--workers={workers}"])
    complaint = capfd.readouterr().err
    assert code == 2
    assert complaint.count("\n") == 1
    assert f"can't be written: File too large: '{tmp_path / 'training' / 'image_2'}" in complaint
    assert files(tmp_path) == ["streets.json"]


def test_checkpoint_weights_figure_and_result(tmp_path):
    import tiny

    from roidepth_lessons import train

    network = tiny.toy_network()
    figure = matplotlib.figure.Figure()
    figure.alt_text = "nothing"
    writers = {
        "epoch001.weights.h5": lambda path: train._save_checkpoint(network, path.parent, 1),
        "out.keras": lambda path: train._finish(network, path),
        "figure.png": lambda path: draw.save(figure, path),
        "result.json": lambda path: __main__._write_json(path, list(range(9999))),
    }
    for name, write in writers.items():
        with room(500), pytest.raises(OSError, match=f"can't be written: File too large: '{tmp_path / name}"):
            write(tmp_path / name)
        assert files(tmp_path) == []
        write(tmp_path / name)
        assert files(tmp_path) == [name]
        (tmp_path / name).unlink()


def test_what_was_there_stays(tmp_path):
    path = tmp_path / "scan.bin"
    kitti.write_velodyne(path, np.ones((10, 3)))
    before = path.read_bytes()
    with room(1000), pytest.raises(OSError, match=r"can't be written: .*scan\.bin"):
        kitti.write_velodyne(path, np.ones((1000, 3)))
    assert path.read_bytes() == before
    assert files(tmp_path) == ["scan.bin"]


AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
"""Root may write everywhere."""


@pytest.fixture
def read_only():
    """A folder in which only root could write."""
    trial = [*AS_NOBODY, sys.executable, "-c", "import roidepth_lessons.__main__"]
    if AS_NOBODY and (not shutil.which(AS_NOBODY[0]) or subprocess.run(trial, capture_output=True).returncode):
        pytest.skip("root, and nobody else can run Python from here")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o555)
        yield Path(folder)
        os.chmod(folder, 0o755)


@pytest.mark.parametrize(
    "command",
    [
        "streets {folder}/new --count 1 --seed 1",
        "train --out {folder}/new.keras",
        "train --out {folder}/new/new.keras --run /tmp",
        "train --out /tmp/new.keras --run {folder}",
        "predict {photo} --figure {folder}/new.png",
        "evaluate {root} --json {folder}/new.json",
    ],
)
def test_read_only_folders(read_only, command):
    sample = __main__.DATA_FOLDER / "sample"
    words = command.format(folder=read_only, root=sample, photo=sample / "training" / "image_2" / "000000.png").split()
    done = subprocess.run(
        [*AS_NOBODY, sys.executable, "-m", "roidepth_lessons", *words],
        capture_output=True,
        text=True,
        cwd=Path(__main__.__file__).parent.parent,
        timeout=300,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert str(read_only) in done.stderr
    assert "Keras" not in done.stderr
    assert files(read_only) == []
