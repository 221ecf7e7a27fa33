"""Several processes train as one does, and go on after one of them was killed. The engine needs JAX.

Most of the time goes into starting processes that compile. So one pair shows all: one of it is killed, both are started
again, and what they end with is compared with one process that nothing disturbed.
"""

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tiny
from kills import another_run

from roidepth_lessons import dataset, distributed, kitti, model, streets, train
from roidepth_lessons.__main__ import main

HERE = Path(__file__).resolve().parent
SETTINGS = {"epochs": 3, "batch_size": 4, "height": 64, "width": 128, "shards": 2}

PROGRAM = """
import os, signal, sys


class Hidden:
    def find_spec(self, name, *rest):
        if name == "tensorflow":
            raise ModuleNotFoundError(name)


sys.meta_path.insert(0, Hidden())  # it isn't needed, and is slow to import
import keras, tiny
from roidepth_lessons import model, train
from roidepth_lessons.__main__ import main

model.build_network = tiny.toy_network


def kill_in_the_third(title, line):
    def kill(batch, logs=None):
        if title == "epoch 3 of 3":
            os.kill(os.getpid(), signal.SIGKILL)

    return keras.callbacks.LambdaCallback(on_train_batch_end=kill)


if sys.argv.pop(1) == "killed":
    train.fit_progress = kill_in_the_third
sys.exit(main(sys.argv[1:]))
"""

QUICK = {
    "KERAS_BACKEND": "jax",
    "PYTHONPATH": str(HERE.parent),
    "XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
"""Nothing here computes so much that optimised code would be worth its compilation, nor compiling it twice."""

needs_jax = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="jax is not installed here (see the extras in pyproject.toml)"
)


def start(root, out, cache, *more, killed=False):
    """Starts a training of the toy network on JAX; what it compiles is kept in the folder `cache`."""
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in SETTINGS.items()]
    command = ["train", "--data", str(root), "--out", str(out), *flags, *more]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "killed" if killed else "whole", *command],
        cwd=HERE, env=os.environ | QUICK | {"JAX_COMPILATION_CACHE_DIR": str(cache)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def start_pair(root, out, cache, killed=None):
    """Starts two processes that train together; `killed` of them kills itself in the third epoch."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    together = ["--processes=2", f"--job-addresses=127.0.0.1:{port}"]
    return [start(root, out, cache, *together, f"--process={index}", killed=index == killed) for index in range(2)]


def ends(processes):
    """[(exit code, stdout, stderr)], when all have ended."""
    try:
        said = [process.communicate(timeout=900) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, *each) for process, each in zip(processes, said, strict=True)]


@dataclass
class Run:
    """What a training left."""

    weights: list
    losses: list
    card: dict
    said: list

    @classmethod
    def of(cls, out, ended):
        log = train.read_log(out.parent / "out_run")
        losses = [{name: value for name, value in line.items() if name != "seconds"} for line in log.values()]
        network = model.RoiDepth.load(out).network
        return cls(network.get_weights(), losses, json.loads(out.with_suffix(".json").read_text()), ended)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture(scope="module")
def alone(tiny_streets, cache, tmp_path_factory):
    out = tmp_path_factory.mktemp("alone") / "out.keras"
    ended = ends([start(tiny_streets, out, cache)])
    assert ended[0][0] == 0, ended[0][2]
    return Run.of(out, ended)


@dataclass
class Broken:
    """What two processes left, the second of which was killed in the third epoch."""

    out: Path
    said: list
    files: list


@pytest.fixture(scope="module")
def broken(tiny_streets, cache, tmp_path_factory):
    out = tmp_path_factory.mktemp("together") / "out.keras"
    said = ends(start_pair(tiny_streets, out, cache, killed=1))
    return Broken(out, said, sorted(path.relative_to(out.parent).as_posix() for path in out.parent.rglob("*")))


@pytest.fixture(scope="module")
def together(tiny_streets, cache, broken):
    ended = ends(start_pair(tiny_streets, broken.out, cache))
    assert [each[0] for each in ended] == [0, 0], ended
    return Run.of(broken.out, ended)


@needs_jax
def test_one_killed_ends_the_other_and_what_was_finished_is_kept(broken):
    (code, _, error), (killed, _, last_words) = broken.said
    assert (code, killed) == (2, -signal.SIGKILL), error + last_words
    assert "another process has stopped" in error
    assert "training goes on from the last checkpoint" in error
    kept = ["epoch001.weights.h5", "epoch002.weights.h5", "log.jsonl", "settings.json"]  # no lock, and no weights yet
    assert broken.files == ["out_run", *(f"out_run/{name}" for name in kept)]


@needs_jax
def test_both_started_again_go_on_from_the_last_checkpoint(together):
    said = together.said[0][1]
    assert "epoch 3 of 3" in said
    assert "epoch 2 of 3" not in said
    assert [line["epoch"] for line in together.losses] == [1, 2, 3]


@needs_jax
def test_two_processes_train_as_one_with_the_same_batches(alone, together):
    """Weights, losses, and the running means of the normalisation: they are of the whole batch, not of a part."""
    assert len(alone.losses) == 3
    for got, wanted in zip(together.losses, alone.losses, strict=True):
        assert got == pytest.approx(wanted, rel=2e-5, abs=2e-5)  # rounded to 5 places
    start_weights = tiny.toy_network().get_weights()
    assert max(np.abs(a - b).max() for a, b in zip(alone.weights, start_weights, strict=True)) > 0.01
    for got, wanted in zip(together.weights, alone.weights, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-6)


@needs_jax
def test_each_reads_its_half_and_the_first_writes(alone, together):
    assert "read 8 of 8 frames" in alone.said[0][1]
    for _, said, _ in together.said:
        assert "read 4 of 4 frames" in said
    assert ["wrote " in said for _, said, _ in together.said] == [True, False]
    assert [run.card["processes"] for run in (alone, together)] == [1, 2]
    assert alone.card["settings"] == together.card["settings"]
    assert together.card["backend"] == "jax"
    assert "--shards 2" in together.card["command"]


# What needs no JAX ---------------------------------------------------------------------------------------------------


class Alike(distributed.Processes):
    """As if the other processes had the same values as this one, and each one device."""

    @property
    def devices(self):
        return self.count

    def gather(self, values):
        return np.stack([np.asarray(values, np.float32)] * self.count)


@pytest.fixture
def read(monkeypatch):
    """The identifiers of the frames that were read."""
    ids, read_frame = [], kitti.read_frame
    monkeypatch.setattr(kitti, "read_frame", lambda root, each: ids.append(each) or read_frame(root, each))
    return ids


def test_the_second_process_reads_its_own_frames_and_writes_nothing(
    tiny_streets, toy_network, tmp_path, read, monkeypatch
):
    run = train.Settings(data=str(tiny_streets), epochs=1, batch_size=2, height=64, width=128, shards=2)
    steps, compile_network = [], train.compile_network
    monkeypatch.setattr(
        train, "compile_network", lambda network, *rest: steps.append(rest[0]) or compile_network(network, *rest)
    )
    monkeypatch.setattr(keras.Model, "fit", lambda *rest, **more: SimpleNamespace(history={"loss": [1.0]}))
    before = sorted(path for path in tiny_streets.rglob("*"))
    with another_run(tmp_path / "run"), another_run(tmp_path, "out.keras"):  # as the first of its processes does
        held = sorted(tmp_path.rglob("*"))
        train.train(run, tmp_path / "run", tmp_path / "out.keras", Alike(2, 1))
        assert sorted(tmp_path.rglob("*")) == held
    assert read == ["000001", "000003", "000005", "000007"]
    assert steps == [4]
    assert sorted(path for path in tiny_streets.rglob("*")) == before


def test_the_first_processes_of_two_trainings_do_not_share_a_folder(tiny_streets, tmp_path):
    run = train.Settings(data=str(tiny_streets), epochs=1, batch_size=2, height=64, width=128, shards=2)
    with another_run(tmp_path / "run"), pytest.raises(RuntimeError, match="run: process .* is at work on it"):
        train.train(run, tmp_path / "run", tmp_path / "out.keras", Alike(2, 0))
    assert not (tmp_path / "run" / "settings.json").exists()


@pytest.fixture(scope="module")
def examples(tiny_streets):
    return train.read_examples(tiny_streets, 64, 128)


@pytest.mark.parametrize(("frames", "shards", "count"), [(8, 2, 2), (8, 4, 2), (7, 2, 2), (8, 4, 4)])
def test_the_parts_of_the_processes_make_the_batches_of_one(examples, frames, shards, count):
    settings = train.Settings(batch_size=4, shards=shards, seed=3, augmentation="strong")
    dealt = {shard: examples[:frames][shard::shards] for shard in range(shards)}
    length = frames // shards // (4 // shards)

    def batches(mine, epoch):
        return train._epoch_batches({shard: dealt[shard] for shard in mine}, settings, epoch, length)

    for epoch in (0, 1):
        whole = batches(range(shards), epoch)
        parts = [batches(distributed.Processes(count, index).shards(shards), epoch) for index in range(count)]
        assert [len(each) for each in (whole, *parts)] == [length] * (count + 1)
        for index in range(length):
            inputs, targets = whole[index]
            pieces = [part[index] for part in parts]
            assert all(len(piece[0]["image"]) == 4 // count for piece in pieces)
            for kind, wanted in enumerate((inputs, targets)):
                for name, array in wanted.items():
                    np.testing.assert_array_equal(np.concatenate([piece[kind][name] for piece in pieces]), array)


def test_every_frame_of_every_shard_has_its_turn_and_orders_differ(examples):
    """Distinct images, so that a batch tells which frames it was made of; without augmentation of the camera."""
    settings = train.Settings(batch_size=2, shards=2, seed=3)
    dealt = {shard: examples[shard::2] for shard in (0, 1)}
    orders = {shard: dataset.Batches(each, 1, 3, 0, shard=shard).order for shard, each in dealt.items()}
    assert [sorted(order) for order in orders.values()] == [[0, 1, 2, 3]] * 2
    assert len(train._epoch_batches(dealt, settings, 0, 4)) == 4
    same = dataset.Batches(examples[:4], 1, 3, 0)
    np.testing.assert_array_equal(same.order, orders[0])  # shard 0 of any number is what a single one is
    first, second = (dataset.Batches([examples[0]], 1, 3, 0, shard=shard)[0][0]["image"] for shard in (0, 1))
    assert not np.array_equal(first, second)


def test_joined_batches_of_a_shard_that_is_too_short(examples):
    parts = [dataset.Batches(each, 2) for each in (examples[:4], examples[4:7])]
    assert len(dataset.JoinedBatches(parts, 1)) == 1
    with pytest.raises(ValueError, match=r"wanted 2 batches of each part, they have \[2, 1\]"):
        dataset.JoinedBatches(parts, 2)


def test_the_focal_length_is_that_of_all_processes_frames(examples):
    class Other(distributed.Processes):
        def gather(self, values):
            return np.stack([values, np.where(np.arange(len(values)) < 2, 500.0, np.nan)])

    mine = [examples[0]] * 3
    here = examples[0].camera[0]
    assert train._median_focal_length(mine, 5, Other(2, 0)) == pytest.approx(here)
    assert train._median_focal_length(mine[:1], 3, Other(2, 0)) == 500


@pytest.mark.parametrize(
    ("changed", "count", "message"),
    [
        ({"batch_size": 3, "shards": 2}, 2, "--batch-size must be a multiple of 2, .* got 3"),
        ({"batch_size": 6, "shards": 3}, 2, "--shards must be a multiple of 2, the number of processes; got 3"),
        ({"batch_size": 12, "shards": 2}, 2, "8 frames don't fill one batch of 12 of 2 shards"),
    ],
)
def test_what_can_not_be_shared_evenly(tiny_streets, toy_network, tmp_path, changed, count, message):
    run = train.Settings(data=str(tiny_streets), height=64, width=128, **changed)
    with pytest.raises(ValueError, match=message):
        train.train(run, tmp_path / "run", tmp_path / "out.keras", Alike(count, 0))
    assert not (tmp_path / "out.keras").exists()


def test_processes_that_do_not_agree_are_named():
    class Other(distributed.Processes):
        def gather(self, values):
            return np.stack([values, values, np.asarray(values) + 1])

    distributed.ALONE.agree("settings", {"seed": 1})
    Alike(3, 1).agree("settings", {"seed": 1})
    with pytest.raises(ValueError, match=r"settings: not the same in process 0 and in process 2; here: \{'seed': 1\}"):
        Other(3, 1).agree("settings", {"seed": 1})
    np.testing.assert_array_equal(distributed.ALONE.gather([1, 2]), [[1, 2]])
    with pytest.raises(ValueError, match="3 shards can't be shared evenly among 2 processes"):
        distributed.Processes(2).shards(3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("host:1", 2, None), "need all three: --job-addresses HOST:PORT, --processes N and --process I"),
        ((None, 2, 0), "need all three"),
        (("host:1", 2, 2), "--process must be 0 to 1, since --processes is 2; got 2"),
        (("host", 2, 0), "--job-addresses: wanted HOST:PORT, got 'host'"),
        (("host:1,:2", 2, 0), "--job-addresses: wanted HOST:PORT, got ':2'"),
        (("a:1,b:2", 3, 0), "--job-addresses names 2 of 3 processes"),
        (("a:1,b:2", 2, 0, "torch"), "the backend is torch: .* set KERAS_BACKEND=jax"),
    ],
)
def test_arguments_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        distributed.check_job(*arguments)


def test_arguments_that_fit():
    for addresses in ("10.0.0.1:1234", "a.b-c:1,d:2", "[::1]:80"):
        distributed.check_job(addresses, 2, 1, "jax")


def test_the_command_says_which_backend_it_needs(tiny_streets, tmp_path, capsys, monkeypatch):
    if train.keras.backend.backend() == "jax":
        pytest.skip("this is the backend that is needed")
    together = ["--processes=2", "--job-addresses=127.0.0.1:1", "--process=1"]
    command = ["train", f"--data={tiny_streets}", f"--out={tmp_path / 'out.keras'}"]
    assert main([*command, *together]) == 2
    assert "set KERAS_BACKEND=jax" in capsys.readouterr().err
    assert main([*command, *together[:2]]) == 2
    assert "need all three" in capsys.readouterr().err


# Streets in shards ---------------------------------------------------------------------------------------------------


def files_of(root):
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_shards_drawn_at_the_same_time_make_the_folder_of_one_run(tiny_streets, tmp_path):
    """Byte for byte; and each says that it has written its own frames, none of them twice."""
    command = [sys.executable, "-m", "roidepth_lessons", "streets", str(tmp_path / "out"), "--count=8", "--seed=5"]
    command += ["--height=64", "--width=128", "--workers=1", "--shards=3"]
    drawing = [
        subprocess.Popen([*command, f"--shard={shard}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for shard in range(3)
    ]
    for (code, said, error), wanted in zip(ends(drawing), (3, 3, 2), strict=True):
        assert code == 0, error
        assert f"{wanted} of {wanted} streets" in said
    assert files_of(tmp_path / "out") == files_of(tiny_streets)


def test_a_shard_writes_only_its_own_and_leaves_the_files_of_others_alone(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(streets, "_write_street", lambda root, index, **kind: drawn.append(index))
    folder = tmp_path / "training" / "image_2"
    streets.write_streets(tmp_path, 7, seed=5, height=64, width=128, workers=1, progress=False, shard=1, shards=3)
    assert drawn == [1, 4]
    folder.mkdir(parents=True)
    others, own = folder / ".000003.png.0123abcd.tmp", folder / ".000004.png.0123abcd.tmp"
    for path in (others, own):
        path.write_bytes(b"")
    streets.write_streets(tmp_path, 7, seed=5, height=64, width=128, workers=1, progress=False, shard=1, shards=3)
    assert (others.exists(), own.exists()) == (True, False)
    streets.write_streets(tmp_path, 7, seed=5, height=64, width=128, workers=1, progress=False)
    assert not others.exists()
    for shard, shards in ((3, 3), (0, 0), (-1, 2)):
        with pytest.raises(ValueError, match="shard must be 0 to"):
            streets.write_streets(tmp_path, 7, seed=5, height=64, width=128, shard=shard, shards=shards)


def test_a_shard_waits_for_nobody_but_who_draws_the_same_frames(tmp_path, capsys):
    size = ["--count=6", "--seed=5", "--height=32", "--width=64", "--workers=1"]
    with another_run(tmp_path, "run", (0, 3)):
        assert main(["streets", str(tmp_path), *size, "--shard=1", "--shards=3"]) == 0
        capsys.readouterr()
        for flags in (["--shard=0", "--shards=3"], ["--shard=1", "--shards=2"], []):
            assert main(["streets", str(tmp_path), *size, *flags]) == 2
            assert "is at work on it" in capsys.readouterr().err
    assert [path.stem for path in sorted(tmp_path.glob("training/label_2/*.txt"))] == ["000001", "000004"]
    assert main(["streets", str(tmp_path), *size]) == 0
    assert len(list(tmp_path.glob("training/label_2/*.txt"))) == 6


def test_streets_for_training_are_drawn_in_shares(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(streets, "write_streets", lambda root, count, **named: asked.append((count, named)))
    monkeypatch.setattr(train, "DATA_FOLDER", tmp_path)
    train.street_folder(6, 2, 64, 128, distributed.Processes(3, 2))
    assert asked == [(6, {"seed": 2, "height": 64, "width": 128, "shard": 2, "shards": 3})]
