"""The experiment of lesson 10: every recipe is measured on every drive by a network that never saw it."""

import json
import shutil
import time

import numpy as np
import pytest
import tiny
from kills import another_run, start, wait_for_end

from roidepth_lessons import (
    LARGE_STREET_WEIGHTS,
    SHIPPED_WEIGHTS,
    evaluate,
    kitti,
    measures,
    metrics,
    model,
    roads,
    train,
)

DRIVES = dict(zip((f"{number:06d}" for number in range(8)), "aabbccde", strict=True))
SETTINGS = roads.Settings(height=64, width=128, streets=2, street_epochs=1, real_epochs=1, street_batch=2, real_batch=2)
RECIPES = (
    roads.Recipe("varied", False, "residual", "plain"),
    roads.Recipe(None, True, "residual", "plain"),
    roads.Recipe("varied", True, "residual", "plain"),
)


@pytest.fixture(scope="module")
def root(tiny_streets, tmp_path_factory):
    """Eight tiny streets as if they were photos of five drives."""
    folder = shutil.copytree(tiny_streets, tmp_path_factory.mktemp("real") / "root")
    (folder / "streets.json").unlink()
    rows = "".join(f"{frame_id}\t{drive}\n" for frame_id, drive in DRIVES.items())
    (folder / "drives.tsv").write_text("frame_id\traw_drive\n" + rows)
    return folder


@pytest.fixture(scope="module")
def rows(root):
    """What a network that knows nothing sees in each photo: measured once, since it takes seconds."""
    network = model.RoiDepth(tiny.toy_network())
    return {frame_id: evaluate.measure_frame(network, kitti.read_frame(root, frame_id), "auto") for frame_id in DRIVES}


@pytest.fixture(scope="module")
def finished(root, rows, tmp_path_factory):
    """(results, work folder, what was trained) of a whole experiment in which training changes nothing."""
    work, trained = tmp_path_factory.mktemp("work"), []
    with pytest.MonkeyPatch.context() as patch:
        train_nothing_and_see_the_same(patch, rows, trained)
        results = roads.run(root, work / "roads.json", work / "work", SETTINGS, RECIPES)
        count = len(trained)
        assert roads.run(root, work / "roads.json", work / "work", SETTINGS, RECIPES) == results
        assert len(trained) == count  # nothing twice
    return results, work, trained


def train_nothing_and_see_the_same(patch, rows, trained):
    """Trainings write nothing but their cards, and are noted in `trained`; every network sees `rows`."""

    def train_nothing(settings, out, run_folder):
        parts, drives = train.split_frames(settings, settings.data)
        seen = {drives[frame_id] for frame_id in parts["train"] if drives}
        trained.append((settings, out.stem))
        out.parent.mkdir(parents=True, exist_ok=True)
        card = {"settings": {"start": settings.start}, "training_seconds": 60, "drives_seen": sorted(seen)}
        out.with_suffix(".json").write_text(json.dumps(card))

    patch.setattr(roads, "_train", train_nothing)
    patch.setattr(model.RoiDepth, "load", lambda path: path)
    patch.setattr(evaluate, "measure_frame", lambda network, frame, mode: dict(rows[frame.name]))


def test_what_is_trained(finished):
    _, _, trained = finished
    names = [name for _, name in trained]
    after = [index for index, name in enumerate(names) if name.startswith("varied_real")]
    assert names.index("varied_residual_plain") < min(after)  # they begin there
    assert sorted(names) == [
        *(f"None_real_residual_plain_fold{fold}" for fold in (1, 2, 3)),
        *(f"varied_real_residual_plain_fold{fold}" for fold in (1, 2, 3)),
        "varied_residual_plain",
    ]
    by_name = {name: settings for settings, name in trained}
    assert by_name["varied_real_residual_plain_fold2"].start.endswith("varied_residual_plain.keras")
    assert by_name["None_real_residual_plain_fold2"].start is None
    real = [each for each in by_name.values() if not each.data.endswith("streets")]
    assert {(each.fold, each.folds, each.validation) for each in real} == {(1, 3, 0), (2, 3, 0), (3, 3, 0)}


def test_results_hold_every_recipe_over_all_frames_and_drives(finished):
    results, work, _ = finished
    assert json.loads((work / "roads.json").read_text()) == results
    assert (results["frames"], results["drives"]) == (8, 5)
    assert list(results["recipes"]) == [each.name for each in RECIPES]
    for figures in results["recipes"].values():
        assert (figures["frames"], figures["interval_over"], figures["interval_groups"]) == (8, "drives", 5)
    seconds = [each["training_seconds"] for each in results["recipes"].values()]
    assert seconds == [60, 60, 120]  # the last began from streets
    text = roads.table(results)
    assert all(each.name in text for each in RECIPES)
    assert "varied streets, before real photos" in text


def test_a_fold_is_never_measured_by_weights_that_saw_its_drive(root, finished, tmp_path):
    _, work, _ = finished
    copy = shutil.copytree(work / "work", tmp_path / "work")
    shutil.rmtree(copy / "measured")
    card = copy / "weights" / "None_real_residual_plain_fold1.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"drives_seen": sorted(set("abcde"))}))
    with pytest.raises(ValueError, match=r"trained on drive \w, of which frame \d+ is held out"):
        roads.run(root, tmp_path / "roads.json", copy, SETTINGS, RECIPES[1:2])


def test_another_run_is_refused_and_drives_must_be_known(root, finished, tmp_path):
    _, work, _ = finished
    with pytest.raises(ValueError, match=r"run\.json is of a run with other settings"):
        roads.run(root, tmp_path / "roads.json", work / "work", roads.Settings(), RECIPES)
    bare = shutil.copytree(root, tmp_path / "bare")
    (bare / "drives.tsv").unlink()
    with pytest.raises(ValueError, match=r"drives\.tsv is missing"):
        roads.run(bare, tmp_path / "roads.json", tmp_path / "new", SETTINGS, RECIPES)


def test_the_full_training_is_cross_validated_from_weights_of_streets(root, rows, tmp_path, monkeypatch):
    trained = []
    train_nothing_and_see_the_same(monkeypatch, rows, trained)
    settings = train.Settings(height=64, width=128, folds=4, validation=0, augmentation="tilted")
    results = roads.cross_validate(root, tmp_path / "full.json", tmp_path / "work", settings)
    by_name = {name: each for each, name in trained}
    assert sorted(by_name) == ["fold1", "fold2", "fold3", "fold4"]
    for fold in (1, 2, 3, 4):
        each = by_name[f"fold{fold}"]
        assert (each.fold, each.folds, each.validation, each.augmentation) == (fold, 4, 0, "tilted")
        assert (each.data, each.start) == (str(root), str(LARGE_STREET_WEIGHTS))
    assert json.loads((tmp_path / "full.json").read_text()) == results
    assert (results["frames"], results["interval_over"], results["interval_groups"]) == (8, "drives", 5)
    cards = [json.loads(path.with_suffix(".json").read_text()) for path in (SHIPPED_WEIGHTS, LARGE_STREET_WEIGHTS)]
    assert results["training_seconds"] == 60 + sum(each["training_seconds"] for each in cards)
    assert "AP50" in measures.table(results)
    with pytest.raises(ValueError, match=r"run\.json is of a run with other settings"):
        roads.cross_validate(root, tmp_path / "full.json", tmp_path / "work", roads.FULL)


def test_draws_are_means_over_the_drives_drawn_whatever_the_order_of_the_rows(rows):
    frame_ids, rows = list(rows), [dict(row) for row in rows.values()]
    generator = np.random.default_rng(0)
    for row in rows:  # a network that knows nothing matches nothing: say what was found
        count = int(generator.integers(1, 4))
        row["pairs"] = {"kind": np.zeros(count), "true_distance": np.full(count, 10.0)}
        row["pairs"]["distance"] = generator.uniform(5, 15, count)
    groups = [DRIVES[frame_id] for frame_id in frame_ids]
    draws = roads._draws(rows, groups)
    names = sorted(set(groups))
    for sample, times in enumerate(metrics.draw_groups(names, roads.SAMPLES)[:20]):
        errors = []
        for name, count in zip(names, times, strict=True):
            for row, group in zip(rows, groups, strict=True):
                if group == name:
                    errors += [abs(row["pairs"]["distance"] / 10 - 1)] * int(count)
        assert draws["abs_rel"][sample] == pytest.approx(np.concatenate(errors).mean(), abs=1e-5)
    turned = roads._draws(rows[::-1], groups[::-1])
    assert turned["abs_rel"] == draws["abs_rel"]
    moderate = measures.resampled_precision(rows, "Car", np.ones((1, 8), int))
    by_level = measures.kitti_precision(rows)["Car"]["ap50_moderate"]
    assert moderate == pytest.approx([by_level])


def test_ingredients_are_compared_pair_by_pair():
    recipes = [
        roads.Recipe("varied", real, "residual", strength) for real in (False, True) for strength in ("plain", "strong")
    ]
    base = np.linspace(0.2, 0.4, roads.SAMPLES)
    shift = {(False, "plain"): 0, (False, "strong"): 0.02, (True, "plain"): 0.1, (True, "strong"): 0.2}
    draws = {
        each.name: {
            "ap50_moderate": [*(base + shift[each.real, each.augmentation])],
            "abs_rel": [None, *(base[1:] - shift[each.real, each.augmentation])],
        }
        for each in recipes
    }
    rows = {(row["ingredient"], row["measure"]): row for row in roads.compare(recipes, draws)}
    assert len(rows) == 4
    real = rows["real photos, after streets", "ap50_moderate"]
    assert real["pairs"] == 2
    assert real["mean"] == pytest.approx((0.1 + 0.18) / 2)
    assert list(real["differences"].values()) == pytest.approx([0.1, 0.18])
    assert real["interval"] == pytest.approx((0.14, 0.14))
    strong = rows["strong augmentation", "abs_rel"]
    assert strong["mean"] == pytest.approx(-(0.02 + 0.1) / 2)
    assert strong["interval"] == pytest.approx((-0.06, -0.06))


def test_all_recipes_are_there_and_every_ingredient_has_pairs():
    assert len(set(each.name for each in roads.RECIPES)) == 11
    draws = {each.name: {measure: [0.5] * 3 for measure in roads.MEASURES} for each in roads.RECIPES}
    rows = roads.compare(roads.RECIPES, draws)
    pairs = {row["ingredient"]: row["pairs"] for row in rows}
    assert pairs == {
        "real photos, after streets": 4,
        "varied streets, before real photos": 3,
        "varied looks instead of plain ones": 2,
        "an encoder from ImageNet": 3,
        "strong augmentation": 3,
    }


def test_a_training_waits_for_the_weights_that_it_begins_with(tmp_path, monkeypatch):
    first, second = tmp_path / "first.keras", tmp_path / "second.keras"
    ended = []

    def train_slowly(settings, out, run_folder):
        time.sleep(0 if settings.start else 0.3)
        ended.append(settings.start)

    monkeypatch.setattr(roads, "_train", train_slowly)
    roads.train_all({first: train.Settings(), second: train.Settings(start=str(first))}, tmp_path)
    assert ended == [None, str(first)]


def test_a_training_that_fails_names_its_log_and_ends_the_others(tmp_path):
    settings = {tmp_path / f"{name}.keras": train.Settings(data=str(tmp_path / name)) for name in "abcd"}
    with pytest.raises(RuntimeError, match=r"the training of .\.keras failed; .*output\.txt says why"):
        roads.train_all(settings, tmp_path, processes=1)
    assert "error:" in (tmp_path / "runs" / "a" / "output.txt").read_text()
    assert not (tmp_path / "runs" / "d").exists()


def test_a_killed_experiment_leaves_no_training_behind(tmp_path):
    """What `roads` starts: here a training that would go on for a minute."""
    code = f"""
import sys, time, types
from pathlib import Path
from roidepth_lessons import roads, train
roads.CHILD = '''
import os, time
from roidepth_lessons import processes
processes.end_with_parent()
open({str(tmp_path / "number")!r}, "w").write(str(os.getpid()))
time.sleep(60)
'''
print("ready", flush=True)
roads._train(train.Settings(), Path({str(tmp_path / "a.keras")!r}), Path({str(tmp_path / "run")!r}))
"""
    assert "end_with_parent" in roads.CHILD
    with start(code) as parent:
        assert parent.stdout.readline() == "ready\n"
        while not (tmp_path / "number").exists() or not (tmp_path / "number").read_text():
            time.sleep(0.02)
        parent.kill()
    wait_for_end(int((tmp_path / "number").read_text()))


def test_a_second_experiment_in_a_folder_is_refused(root, finished, tmp_path):
    with another_run(tmp_path / "work"), pytest.raises(RuntimeError, match="work: process .* is at work on it"):
        roads.run(root, tmp_path / "roads.json", tmp_path / "work", SETTINGS, RECIPES)
    assert not (tmp_path / "work" / "run.json").exists()
