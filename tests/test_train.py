"""A run that is killed goes on as if nothing had happened, and says honestly what it did."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tiny
from kills import another_run

from roidepth_lessons import augmentation, dataset, drive_split, kitti, model, streets, train
from roidepth_lessons.__main__ import main
from roidepth_lessons.camera import Camera

SETTINGS = {"epochs": 3, "batch_size": 2, "height": 64, "width": 128}

KILLED = """
import os, signal, keras, tiny
from roidepth_lessons import model, train

model.build_network = tiny.toy_network


def kill_in_the_third(title, line):
    def kill(batch, logs=None):
        if title == "epoch 3 of 3" and batch == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    return keras.callbacks.LambdaCallback(on_train_batch_end=kill)


train.fit_progress = kill_in_the_third
train.train(train.Settings(data={root!r}, **{settings}), {run!r}, {out!r})
"""


@pytest.fixture(scope="module")
def unbroken(tiny_streets, tmp_path_factory):
    """(weights, run folder) of a run of three epochs of four batches that nothing disturbed."""
    folder = tmp_path_factory.mktemp("unbroken")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "build_network", tiny.toy_network)
        command = ["train", "--data", tiny_streets, "--out", folder / "out.keras", "--run", folder / "run"]
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in SETTINGS.items()]
        assert main([str(each) for each in command + flags]) == 0
    return model.RoiDepth.load(folder / "out.keras").network.get_weights(), folder / "run"


def settings(root, **changed):
    return train.Settings(data=str(root), **(SETTINGS | changed))


def assert_same_weights(network, weights):
    for got, wanted in zip(network.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_a_run_writes_weights_card_log_and_two_checkpoints(unbroken, tiny_streets):
    _, run = unbroken
    assert sorted(path.name for path in run.iterdir()) == [
        "epoch002.weights.h5",
        "epoch003.weights.h5",
        "log.jsonl",
        "settings.json",
    ]
    assert sorted(path.name for path in run.parent.iterdir()) == ["out.json", "out.keras", "run"]
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in log] == [1, 2, 3]
    assert set(log[0]) == {"epoch", "seconds", "loss", *(f"{name}_loss" for name in train.LOSSES)}
    assert log[-1]["loss"] < log[0]["loss"]
    card = json.loads((run.parent / "out.json").read_text())
    assert card["command"] == (
        f"python -m roidepth_lessons train --epochs 3 --batch-size 2 --height 64 --width 128 --data {tiny_streets} "
        "--out out.keras"
    )
    assert card["epochs"] == log
    assert card["epochs_not_logged"] == []
    assert card["training_seconds"] == round(sum(line["seconds"] for line in log))
    assert card["settings"]["seed"] == 1
    assert card["data"] == str(tiny_streets)


def test_the_weighted_sum_of_the_losses_is_the_loss(unbroken):
    for line in train.read_log(unbroken[1]).values():
        total = sum(weight * line[f"{name}_loss"] for name, weight in train.LOSS_WEIGHTS.items())
        assert line["loss"] == pytest.approx(total, rel=1e-3)


def test_killed_in_the_middle_of_an_epoch_and_run_again(unbroken, tiny_streets, toy_network, tmp_path):
    run, out = tmp_path / "run", tmp_path / "out.keras"
    code = KILLED.format(root=str(tiny_streets), settings=SETTINGS, run=str(run), out=str(out))
    here = Path(__file__).parent
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600, cwd=here)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert sorted(path.name for path in run.glob("*.h5")) == ["epoch001.weights.h5", "epoch002.weights.h5"]
    assert not out.exists()
    assert_same_weights(train.train(settings(tiny_streets), run, out), unbroken[0])
    losses, wanted = (
        [{name: value for name, value in line.items() if name != "seconds"} for line in train.read_log(each).values()]
        for each in (run, unbroken[1])
    )
    assert losses == wanted


def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    unbroken, tiny_streets, toy_network, tmp_path, monkeypatch, capsys
):
    run = shutil.copytree(unbroken[1], tmp_path / "run")
    newest, before = run / "epoch003.weights.h5", run / "epoch002.weights.h5"
    newest.write_bytes(newest.read_bytes()[:-3000])
    gone_on = []
    monkeypatch.setattr(
        train, "_run_epoch", lambda network, examples, settings, epoch, *rest: gone_on.append(epoch + 1)
    )
    network = train.train(settings(tiny_streets), run, tmp_path / "out.keras")
    assert f"{newest} can't be read" in capsys.readouterr().out
    assert gone_on == [3]
    assert list(train.read_log(run)) == [1, 2]
    assert json.loads((tmp_path / "out.json").read_text())["epochs_not_logged"] == [3]
    expected = model.build_network()
    expected.load_weights(before)
    assert_same_weights(network, expected.get_weights())


def test_only_damaged_checkpoints_are_an_error(unbroken, tiny_streets, toy_network, tmp_path):
    run = shutil.copytree(unbroken[1], tmp_path / "run")
    for path in run.glob("*.h5"):
        path.write_bytes(b"noise")
    with pytest.raises(ValueError, match=r"epoch002\.weights\.h5: neither this nor a newer .* remove .*run"):
        train.train(settings(tiny_streets), run, tmp_path / "out.keras")
    assert not (tmp_path / "out.keras").exists()


def test_a_finished_run_writes_the_same_weights_again(unbroken, tiny_streets, toy_network, tmp_path, monkeypatch):
    """What a kill between the last epoch and the writing of the weights needs."""
    monkeypatch.setattr(train, "_run_epoch", None)  # not called
    run = shutil.copytree(unbroken[1], tmp_path / "run")
    assert_same_weights(train.train(settings(tiny_streets), run, tmp_path / "sub" / "out.keras"), unbroken[0])


def test_killed_between_log_and_checkpoint(tmp_path):
    """The line is one too many then; going on takes it out."""

    class Stub:
        variables = []

        def __init__(self):
            self.loaded = None

        def fit(self, *arguments, **names):
            return keras.callbacks.History()

        def save_weights(self, path):
            raise KeyboardInterrupt

        def load_weights(self, path):
            self.loaded = path.name

    class Batches(list):
        def __init__(self, *arguments, ranges):
            super().__init__([1])
            asked.append((*arguments, ranges))

    asked = []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "Batches", Batches)
        patch.setattr(keras.callbacks.History, "history", {"loss": [2.0]}, raising=False)
        (tmp_path / "epoch001.weights.h5").write_bytes(b"")
        (tmp_path / "log.jsonl").write_text('{"epoch": 1, "seconds": 3, "loss": 3.0}\n')
        with pytest.raises(KeyboardInterrupt):
            train._run_epoch(Stub(), {0: []}, train.Settings(seed=7), 1, tmp_path)
    assert asked == [([], 16, 7, 1, None)]  # examples, batch size, what their order is a function of, no ranges
    assert list(train.read_log(tmp_path)) == [1, 2]
    stub = Stub()
    assert train._resume(stub, tmp_path, batches=4) == 1
    assert stub.loaded == "epoch001.weights.h5"
    assert train.read_log(tmp_path) == {1: {"epoch": 1, "seconds": 3, "loss": 3}}


def test_a_spoilt_log_does_not_spoil_the_card(unbroken, tmp_path):
    """Half a line, a line that was written twice, noise: what can be read counts, what is missing is said."""
    run = shutil.copytree(unbroken[1], tmp_path / "run")
    _, second, third = (run / "log.jsonl").read_text().splitlines()
    again = json.dumps(json.loads(second) | {"seconds": 77.0})
    lines = [second, third[:40], again, '{"epoch": 3}', "7"]
    (run / "log.jsonl").write_bytes("\n".join(lines).encode() + b"\n\xff\x00")
    train.write_card(run, tmp_path / "out.keras")
    card = json.loads((tmp_path / "out.json").read_text())
    assert card["epochs"] == [json.loads(again)]
    assert card["epochs_not_logged"] == [1, 3]
    assert card["training_seconds"] == 77
    (run / "log.jsonl").unlink()
    train.write_card(run, tmp_path / "out.keras")
    assert json.loads((tmp_path / "out.json").read_text())["epochs_not_logged"] == [1, 2, 3]


def test_a_card_says_what_the_weights_began_from(unbroken, tmp_path):
    def train_from(start, name):
        run = shutil.copytree(unbroken[1], tmp_path / name)
        settings = json.loads((run / "settings.json").read_text())
        (run / "settings.json").write_text(json.dumps(settings | {"start": start, "seed": 9}))
        train.write_card(run, tmp_path / f"{name}.keras")
        return json.loads((tmp_path / f"{name}.json").read_text())

    first = train_from(None, "first")
    second = train_from(str(tmp_path / "first.keras"), "second")
    third = train_from(str(tmp_path / "second.keras"), "third")
    assert first["began_from"] is None
    kept = ("command", "data", "training_seconds", "began_from")
    assert second["began_from"] == {name: first[name] for name in kept}
    assert third["began_from"] == {name: second[name] for name in kept}
    assert third["began_from"]["began_from"]["command"] == first["command"]
    assert train_from(str(tmp_path / "nowhere.keras"), "fourth")["began_from"] is None


def test_another_runs_folder_is_refused(unbroken, tiny_streets, tmp_path):
    _, run = unbroken
    before = sorted((path.name, path.read_bytes()) for path in run.iterdir())
    with pytest.raises(ValueError, match=r"settings\.json is of a run with other settings"):
        train.train(settings(tiny_streets, seed=2), run, tmp_path / "out.keras")
    assert sorted((path.name, path.read_bytes()) for path in run.iterdir()) == before
    (tmp_path / "epoch001.weights.h5").write_bytes(b"")
    with pytest.raises(ValueError, match=r"settings\.json"):  # nobody knows what these weights are
        train.train(settings(tiny_streets), tmp_path, tmp_path / "out.keras")


@pytest.mark.parametrize(
    ("name", "default", "other"),
    [("augmentation", "plain", "strong"), ("encoder", "residual", "efficientnet-lite0")],
)
def test_a_run_from_before_there_was_a_choice_goes_on(
    unbroken, tiny_streets, toy_network, tmp_path, name, default, other
):
    run = shutil.copytree(unbroken[1], tmp_path / "run")
    written = json.loads((run / "settings.json").read_text())
    assert written.pop(name) == default
    (run / "settings.json").write_text(json.dumps(written, indent=2))
    with pytest.raises(ValueError, match=r"settings\.json is of a run with other settings"):
        train.train(settings(tiny_streets, **{name: other}), run, tmp_path / "out.keras")
    assert_same_weights(train.train(settings(tiny_streets), run, tmp_path / "out.keras"), unbroken[0])
    assert json.loads((run / "settings.json").read_text())[name] == default
    assert json.loads((tmp_path / "out.json").read_text())["settings"][name] == default
    for spoilt in ("", "[]", json.dumps(written | {"another": 1})):
        (run / "settings.json").write_text(spoilt)
        with pytest.raises(ValueError, match=r"settings\.json is of a run with other settings"):
            train.train(settings(tiny_streets), run, tmp_path / "out.keras")


def test_strong_augmentation_reaches_the_batches_and_the_card(tiny_streets, toy_network, tmp_path, monkeypatch):
    asked, batches = [], dataset.Batches
    monkeypatch.setattr(dataset, "Batches", lambda *some, **named: asked.append(named) or batches(*some, **named))
    run = settings(tiny_streets, augmentation="strong", epochs=1)
    train.train(run, tmp_path / "run", tmp_path / "out.keras")
    assert asked[-1] == {"ranges": augmentation.Augmentation()}
    assert "--augmentation strong --out" in json.loads((tmp_path / "out.json").read_text())["command"]
    assert np.isfinite(train.read_log(tmp_path / "run")[1]["loss"])


def test_a_run_that_never_began_does_not_claim_its_folder(tiny_streets, toy_network, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"misspelt\.keras"):
        train.train(settings(tiny_streets, start=str(tmp_path / "misspelt.keras")), tmp_path, tmp_path / "out.keras")
    monkeypatch.setattr(train, "_run_epoch", lambda *arguments: None)
    train.train(settings(tiny_streets), tmp_path, tmp_path / "out.keras")
    assert (tmp_path / "out.keras").exists()


def test_training_can_start_from_a_weights_file(unbroken, tiny_streets, tmp_path, monkeypatch):
    monkeypatch.setattr(train, "_run_epoch", lambda *arguments: None)
    start = str(unbroken[1].parent / "out.keras")
    network = train.train(settings(tiny_streets, start=start), tmp_path / "run", tmp_path / "out.keras")
    assert_same_weights(network, unbroken[0])
    assert f"--from {start}" in json.loads((tmp_path / "out.json").read_text())["command"]


def test_the_encoder_is_chosen_on_the_command_line(tiny_streets, tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(
        model, "build_network", lambda encoder_name: asked.append(encoder_name) or tiny.toy_network(encoder_name)
    )
    monkeypatch.setattr(train, "_run_epoch", lambda *arguments: None)
    out = tmp_path / "out.keras"
    command = ["train", f"--data={tiny_streets}", f"--out={out}", *("--height=64 --width=128 --batch-size=2".split())]
    assert main([*command, "--encoder=efficientnet-lite0"]) == 0
    assert asked == ["efficientnet-lite0"]
    assert "--encoder efficientnet-lite0" in json.loads(out.with_suffix(".json").read_text())["command"]
    assert main([*command, "--encoder=efficientnet-lite0", f"--from={out}", f"--run={tmp_path / 'other'}"]) == 2
    assert "out.keras brings its own encoder: leave out either --from or --encoder" in capsys.readouterr().err
    assert main(command) == 0
    assert asked[1:] == ["residual"]


def test_an_encoder_that_is_not_there_is_named(tiny_streets, tmp_path):
    with pytest.raises(ValueError, match="must be one of residual, lean, efficientnet-lite0, got 'vgg'"):
        train.train(settings(tiny_streets, encoder="vgg"), tmp_path / "run", tmp_path / "out.keras")


def test_a_diverged_run_is_refused(tiny_streets, toy_network, tmp_path, monkeypatch):
    def fit(network, *arguments, **names):
        history = keras.callbacks.History()
        history.history = {"loss": [float("nan")], "depth_loss": [1.0]}
        return history

    monkeypatch.setattr(keras.Model, "fit", fit)
    with pytest.raises(ValueError, match=r"run: training diverged in epoch 1: .*nan.*--learning-rate"):
        train.train(settings(tiny_streets), tmp_path / "run", tmp_path / "out.keras")
    assert [path.name for path in tmp_path.glob("**/*") if path.suffix in (".h5", ".keras", ".jsonl")] == ["log.jsonl"]
    assert train.read_log(tmp_path / "run") == {}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"batch_size": 9}, "8 frames don't fill one batch of 9"),
        ({"height": 65}, "multiples of 32, got 65x128"),
        ({"width": 100}, "multiples of 32, got 64x100"),
        ({"augmentation": "wild"}, r"augmentation must be one of \['plain', 'strong', 'tilted'\], got 'wild'"),
    ],
)
def test_settings_that_do_not_suit(tiny_streets, toy_network, tmp_path, changed, message):
    with pytest.raises(ValueError, match=message) as caught:
        train.train(settings(tiny_streets, **changed), tmp_path / "run", tmp_path / "out.keras")
    assert "batch_size" not in changed or str(tiny_streets) in str(caught.value)


def test_the_name_of_the_weights_file(tiny_streets, tmp_path):
    with pytest.raises(ValueError, match=r"out\.h5.* must end in \.keras"):
        train.train(settings(tiny_streets), tmp_path / "run", tmp_path / "out.h5")


def test_without_a_folder_streets_are_drawn_once(toy_network, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(train, "DATA_FOLDER", tmp_path)
    monkeypatch.setattr(train, "_run_epoch", lambda network, shards, *rest: read.append(len(shards[0])))
    read, drawn = [], []
    draw_street = streets.draw_street
    monkeypatch.setattr(streets, "draw_street", lambda *arguments: drawn.append(1) or draw_street(*arguments))
    for count in (3, 2):  # of the three streets that are there, the second run uses two
        run = train.Settings(streets=count, epochs=1, batch_size=2, height=64, width=128, seed=6)
        train.train(run, tmp_path / f"run{count}", tmp_path / "out.keras")
    assert read == [3, 2]
    assert json.loads((tmp_path / "out.json").read_text())["data"] == "2 drawn streets, seed 6"
    assert len(list((tmp_path / "cache" / "streets_64x128_seed6" / "training" / "image_2").iterdir())) == 3
    assert len(drawn) in (0, 3)  # 0: drawn by worker processes


def test_the_learning_rate_rises_then_falls():
    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    train.compile_network(network, steps=200, learning_rate=1e-2)
    rates = [float(network.optimizer._learning_rate(step)) for step in range(201)]
    assert rates[0] == pytest.approx(1e-2 / 50)
    assert np.argmax(rates) == 10
    assert rates[10] == pytest.approx(1e-2)
    assert rates[200] == pytest.approx(1e-4)
    assert (np.diff(rates[10:]) < 0).all()


def test_progress_of_reading_ends_as_a_constant_line(tiny_streets, capsys):
    examples = train.read_examples(tiny_streets, 64, 128, kitti.frame_ids(tiny_streets)[:5])
    assert len(examples) == 5
    assert examples[0].image.shape == (64, 128, 3)
    said = capsys.readouterr().out
    assert said.endswith(f"\r{'read 5 of 5 frames':<78}\n")


def test_an_error_starts_on_a_line_of_its_own(tiny_streets, tmp_path, capsys):
    root = shutil.copytree(tiny_streets, tmp_path / "data")
    broken = root / "training" / "depth_2" / "000003.png"
    broken.write_bytes(broken.read_bytes()[:50])
    with pytest.raises(ValueError, match=r"000003\.png"):
        train.read_examples(root, 64, 128)
    said = capsys.readouterr().out
    assert said.startswith(f"\r{'read 1 of 8 frames':<78}")
    assert said.endswith(" \n")


# Drives --------------------------------------------------------------------------------------------------------------

DRIVES = dict(zip((f"{number:06d}" for number in range(8)), "aabbccde", strict=True))
"""The eight tiny streets as if they came from five drives."""


@pytest.fixture
def with_drives(tiny_streets, tmp_path):
    """The tiny streets in a folder that says which drive each is from."""
    root = shutil.copytree(tiny_streets, tmp_path / "root")
    (root / "streets.json").unlink()
    write_drives(root, DRIVES)
    return root


def write_drives(root, drives):
    rows = "".join(f"{frame_id}\t{drive}\n" for frame_id, drive in drives.items())
    (root / "drives.tsv").write_text("frame_id\traw_drive\n" + rows)


def test_training_holds_out_drives_and_says_which(with_drives, toy_network, tmp_path, capsys):
    run, out = tmp_path / "run", tmp_path / "out.keras"
    train.train(settings(with_drives, epochs=1, batch_size=3, fold=2), run, out)
    parts = {part: (run / f"{part}.txt").read_text().split() for part in drive_split.PARTS}
    assert sorted(sum(parts.values(), [])) == sorted(DRIVES)
    drives = {part: {DRIVES[frame_id] for frame_id in ids} for part, ids in parts.items()}
    assert sum(len(each) for each in drives.values()) == 5
    assert len(parts["validation"]) > 0 < len(parts["test"])
    first, _ = train.split_frames(settings(with_drives, fold=1), with_drives)
    assert first["test"] != parts["test"]
    card = json.loads(out.with_suffix(".json").read_text())
    assert card["drives_seen"] == sorted(drives["train"])
    assert "--fold 2" in card["command"]
    said = capsys.readouterr().out
    assert f"by drive: {len(parts['train'])} frames for train, " in said
    assert f"read {len(parts['train'])} of {len(parts['train'])} frames" in said
    for line in card["epochs"]:
        losses = [line[name] for name in line if name.startswith("validation_")]
        assert len(losses) == 1 + len(train.LOSSES)
        assert np.isfinite(losses).all()


def test_the_validation_loss_is_that_of_the_held_out_frames(toy_network, tiny_streets):
    network = model.build_network()
    train.compile_network(network, 10, 1e-3)
    examples = train.read_examples(tiny_streets, 64, 128, kitti.frame_ids(tiny_streets)[:5])
    batches = train._validation_batches(examples, batch_size=4)
    assert len(batches) * batches.batch_size == 5  # all of them, each once
    assert train._validation_batches(examples[:4], batch_size=4).batch_size == 4
    assert train._validation_batches([], 4) is None
    losses = network.evaluate(batches, verbose=0, return_dict=True)
    inputs, targets = dataset.Batches(examples, 1, augment=False)[2]
    np.testing.assert_array_equal(inputs["image"][0], examples[2].image)
    by_hand = []
    for index in range(5):
        inputs, targets = dataset.Batches(examples, 1, augment=False)[index]
        outputs, targets = (
            keras.tree.map_structure(keras.ops.convert_to_tensor, each)
            for each in (network.predict_on_batch(inputs), targets)
        )
        by_hand.append(
            sum(
                weight * float(keras.ops.mean(train.LOSSES[name](targets[name], outputs[name])))
                for name, weight in train.LOSS_WEIGHTS.items()
            )
        )
    assert losses["loss"] == pytest.approx(np.mean(by_hand), rel=1e-4)


def test_a_leaked_drive_stops_training(with_drives, toy_network, tmp_path, monkeypatch):
    """A split that puts one frame of a drive into training and another into the test is refused, whoever made it."""
    split = drive_split.split_by_drive

    def leaking(*arguments):
        splits = split(*arguments)
        moved = next(each for each in splits[0]["test"] if DRIVES[each] in "abc")
        splits[0]["test"].remove(moved)
        splits[0]["train"].append(moved)
        return splits

    monkeypatch.setattr(drive_split, "split_by_drive", leaking)
    with pytest.raises(ValueError, match=r"drive \w is in train \(frame \d+\) and in test \(frame \d+\)"):
        train.train(settings(with_drives), tmp_path / "run", tmp_path / "out.keras")
    assert not (tmp_path / "out.keras").exists()


def test_weights_that_have_seen_a_held_out_drive_are_refused(with_drives, toy_network, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(train, "_run_epoch", lambda *arguments: None)
    first = tmp_path / "first.keras"
    train.train(settings(with_drives), tmp_path / "run", first)
    seen = json.loads(first.with_suffix(".json").read_text())["drives_seen"]
    with pytest.raises(ValueError, match=r"trained on drive \w, of which frame \d+ is held out"):
        train.train(settings(with_drives, start=str(first), fold=2), tmp_path / "run2", tmp_path / "out.keras")
    # The same fold again, and from there on: what the first network has seen isn't forgotten.
    second, third = tmp_path / "second.keras", tmp_path / "third.keras"
    train.train(settings(with_drives, start=str(first)), tmp_path / "run3", second)
    assert json.loads(second.with_suffix(".json").read_text())["drives_seen"] == seen
    write_drives(with_drives, dict.fromkeys(DRIVES, "x"))
    train.train(settings(with_drives, start=str(second), folds=0), tmp_path / "run4", third)
    assert json.loads(third.with_suffix(".json").read_text())["drives_seen"] == [*seen, "x"]
    assert "all frames are for training; nothing is held out" in capsys.readouterr().out
    write_drives(with_drives, DRIVES)
    first.with_suffix(".json").unlink()
    train.train(settings(with_drives, start=str(first), fold=2), tmp_path / "run5", tmp_path / "out.keras")
    assert "first.keras: no card beside it" in capsys.readouterr().out


def test_evaluate_refuses_drives_that_the_weights_have_seen(with_drives, toy_network, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(train, "_run_epoch", lambda *arguments: None)
    run, out = tmp_path / "run", tmp_path / "out.keras"
    train.train(settings(with_drives), run, out)
    command = ["evaluate", str(with_drives), f"--weights={out}"]
    assert main(command) == 2
    said = capsys.readouterr()
    assert "the weights have been trained on drive" in said.err
    assert "--ids RUN/test.txt" in said.err
    assert main([*command, f"--ids={run / 'test.txt'}"]) == 0
    assert main([*command, f"--ids={run / 'train.txt'}"]) == 2
    assert main([*command, f"--ids={run / 'train.txt'}", "--seen"]) == 0
    (with_drives / "drives.tsv").unlink()
    capsys.readouterr()
    assert main([*command, f"--ids={run / 'test.txt'}"]) == 0
    assert "drives.tsv is missing" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changed", "drives", "message"),
    [
        ({"fold": 6}, DRIVES, "fold must be 1 to 5, the number of folds, got 6"),
        ({"folds": 2}, DRIVES, r"drives\.tsv: folds must be at least 3"),
        ({"folds": 6, "fold": 6}, DRIVES, r"drives\.tsv: folds must be at most the number of drives, 5, got 6"),
        ({}, {"000000": "a"}, r"drives\.tsv: .*the drive of frame 000001 is not known"),
    ],
)
def test_folds_that_do_not_suit(with_drives, toy_network, tmp_path, changed, drives, message):
    write_drives(with_drives, drives)
    with pytest.raises(ValueError, match=message):
        train.train(settings(with_drives, **changed), tmp_path / "run", tmp_path / "out.keras")


def test_larger_training_photos_make_larger_photos_in_prediction(tmp_path):
    """The focal length goes along with the weights; near the canonical one, nothing changes."""
    network = tiny.small_network()
    detector = model.RoiDepth(network)
    camera = Camera.from_focal_length(60.0, 32, 64)
    sizes = []
    for pixels in (None, 245.0, 120.0):
        if pixels:
            model.keep_photo_focal_length(network, pixels)
        sizes.append(detector.prepare(np.zeros((32, 64, 3), np.uint8), camera)[0].shape[:2])
    assert sizes == [(128, 256), (128, 256), (64, 128)]
    network.save(tmp_path / "out.keras")
    assert model.photo_focal_length(model.RoiDepth.load(tmp_path / "out.keras").network) == 120
    assert model.photo_focal_length(network) == 120
    assert model.photo_focal_length(tiny.toy_network()) == model.CANONICAL_FOCAL_LENGTH
    for wrong in (0, np.nan):
        with pytest.raises(ValueError, match="positive number of pixels"):
            model.keep_photo_focal_length(network, wrong)


@pytest.mark.parametrize(
    "chosen",
    [
        train.Settings(),
        train.Settings(data="some folder", start="w.keras", folds=3, fold=2, validation=0, augmentation="strong"),
        train.Settings(streets=7, epochs=2, batch_size=3, learning_rate=1e-4, height=64, width=96, seed=0, folds=0),
        train.Settings(encoder="efficientnet-lite0"),
    ],
)
def test_the_command_takes_its_own_flags_back(chosen, monkeypatch, tmp_path):
    taken = []
    monkeypatch.setattr(train, "train", lambda settings, run_folder, out, processes: taken.append(settings))
    assert main(["train", *train.flags(chosen), "--out", str(tmp_path / "out.keras")]) == 0
    assert taken == [chosen]


def test_a_second_training_in_a_folder_or_of_a_file_is_refused(tiny_streets, tmp_path):
    with another_run(tmp_path / "run"), pytest.raises(RuntimeError, match="run: process .* is at work on it"):
        train.train(settings(tiny_streets), tmp_path / "run", tmp_path / "out.keras")
    with another_run(tmp_path, "out.keras"), pytest.raises(RuntimeError, match=r"out\.keras: process .* is at work"):
        train.train(settings(tiny_streets), tmp_path / "other", tmp_path / "out.keras")
    assert not list(tmp_path.rglob("settings.json"))
