import dataclasses
import json

import numpy as np
import pytest
import tiny

from roidepth_lessons import depth, metrics, study, study_answers, study_book
from roidepth_lessons.__main__ import main
from roidepth_lessons.study_book import BOTH, HALVES, NINE_TO_ONE, QUICK, Job, Settings

JOB = Job("main", "joint, weight 1", BOTH, "images", 1, 0.002, 3)


def job(**changes):
    return dataclasses.replace(JOB, **changes)


def source(arm, **changes):
    return study.Source(QUICK, job(arm=arm, **changes), study.ARMS[arm])


# Arms ----------------------------------------------------------------------------------------------------------------


def test_every_arm_sees_the_same_images_in_the_same_order():
    first = source("joint, weight 1")
    for arm in ("detection alone", "depth alone", "joint, shuffled depth"):
        other = source(arm)
        for step in range(5):  # two batches an epoch, so three epochs
            ours, theirs = first.batch(step), other.batch(step)
            np.testing.assert_array_equal(ours[0]["image"], theirs[0]["image"])
            np.testing.assert_array_equal(ours[1]["heatmap"], theirs[1]["heatmap"])
            assert theirs[2] == list(study.ARMS[arm].tasks)


def test_by_turns_each_task_goes_through_the_batches_in_the_same_order():
    joint, turns = source("joint, weight 1"), source("by turns, one Adam")
    for step in range(6):
        inputs, _, tasks, presence = turns.batch(step)
        assert tasks == [("detection", "depth")[step % 2]]
        assert presence is None
        np.testing.assert_array_equal(inputs["image"], joint.batch(step // 2)[0]["image"])


class Numbered:
    """Instead of `dataset.Batches`: the numbers of the examples, so that it can be seen which ones came."""

    made = ()

    def __init__(self, examples, batch_size, seed, epoch):
        Numbered.made = (*Numbered.made, (seed, epoch))
        self.examples, self.batch_size = examples, batch_size
        self.order = np.random.default_rng([seed, epoch]).permutation(len(examples))

    def __getitem__(self, index):
        chosen = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        return {"number": np.array([self.examples[each] for each in chosen])}, {}


def test_every_epoch_and_every_seed_has_an_order_of_its_own(monkeypatch):
    monkeypatch.setattr(study, "draw_examples", lambda seed, *rest: list(range(8)))
    monkeypatch.setattr(study.dataset, "Batches", Numbered)
    one, two = (source("joint, weight 1", seed=seed) for seed in (1, 2))
    epochs = [np.concatenate([one.batch(step)[0]["number"] for step in steps]) for steps in ((0, 1), (2, 3))]
    assert all(sorted(numbers) == list(range(8)) for numbers in epochs)
    assert Numbered.made[-2:] == ((1, 0), (1, 1))
    two.batch(0)
    assert Numbered.made[-1] == (2, 0)


def test_seeds_have_streets_of_their_own():
    one, two = (source("joint, weight 1", seed=seed).all for seed in (1, 2))
    assert not any(np.array_equal(a.image, b.image) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize(("regime", "boxes"), [(BOTH, 20), (HALVES, 10), (NINE_TO_ONE, 18)])
def test_who_is_labelled(regime, boxes):
    masks = study.labelled(regime, ["detection", "depth"], 20)
    assert masks["detection"].sum() == boxes
    assert masks["depth"].sum() == (20 if regime == BOTH else 20 - boxes)
    assert regime == BOTH or not (masks["detection"] & masks["depth"]).any()


def test_with_half_the_labels_every_way_sees_each_label_where_it_is(monkeypatch):
    monkeypatch.setattr(study, "draw_examples", lambda seed, *rest: list(range(8)))
    monkeypatch.setattr(study.dataset, "Batches", Numbered)
    mixed = source("joint, weight 1", regime=HALVES)
    for step in range(6):
        inputs, _, _, presence = mixed.batch(step)
        np.testing.assert_array_equal(presence["detection"], inputs["number"] < 4)
        np.testing.assert_array_equal(presence["depth"], inputs["number"] >= 4)
    turns = source("by turns, one Adam", regime=HALVES)
    for step in range(4):
        inputs, _, (task,), presence = turns.batch(step)
        assert presence is None
        assert ((inputs["number"] < 4) == (task == "detection")).all()
    assert (source("depth alone", regime=HALVES).batch(1)[0]["number"] >= 4).all()


def test_shuffled_depth_is_that_of_another_street_and_nothing_else_changes():
    examples = study.draw_examples(7, 6, 64, 96)
    partners = study.shuffled_depth(examples, seed=1)
    assert not any(np.array_equal(a.depth, b.depth) for a, b in zip(examples, partners, strict=True))
    assert sorted(each.depth.sum() for each in examples) == sorted(each.depth.sum() for each in partners)
    plain, shuffled = source("joint, weight 1").batch(0), source("joint, shuffled depth").batch(0)
    np.testing.assert_array_equal(plain[1]["box"], shuffled[1]["box"])
    assert not np.array_equal(plain[1]["depth"], shuffled[1]["depth"])


def test_all_arms_start_from_the_same_weights_and_the_wider_head_has_the_other_heads_parameters():
    trainings = {}
    for name in (
        "detection alone",
        "joint, learnt weights",
        "by turns, an Adam per task",
        "detection alone, wider head",
    ):
        study.keras.utils.set_random_seed(5)
        trainings[name] = study.prepare_training(study.ARMS[name], job(seed=5), QUICK).network
    first, *others = (network.get_layer("encoder").get_weights() for network in trainings.values())
    for other in others:
        assert all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    plain = trainings["detection alone"]
    joint = study.used_parameters(plain, ["detection", "depth"])
    wider = study.used_parameters(trainings["detection alone, wider head"], ["detection"])
    assert study.used_parameters(plain, ["detection"]) < joint <= wider < 1.1 * joint


@pytest.mark.parametrize(
    ("arm", "steps"), [("joint, weight 1", 40), ("by turns, one Adam", 40), ("by turns, an Adam per task", 20)]
)
def test_the_learning_rate_ends_with_the_job(arm, steps):
    training = study.prepare_training(study.ARMS[arm], job(arm=arm, steps=40), QUICK)
    schedule = training.optimizer.get_config()["learning_rate"]["config"]
    assert schedule["warmup_steps"] + schedule["decay_steps"] == steps


@pytest.fixture
def toys(monkeypatch):
    """Runs with the toy encoder."""

    def build_parts(settings, wider):
        head = study.two_maps(tiny.CHANNELS, 8)
        return tiny.toy_encoder(), head, depth.build_depth_head(tiny.CHANNELS, (8, 8))

    monkeypatch.setattr(study, "build_parts", build_parts)


# Runs ----------------------------------------------------------------------------------------------------------------


def test_a_run_can_be_repeated_to_the_bit_and_says_what_it_did(toys):
    again = [study.run(job(arm="by turns, one Adam", steps=4), QUICK) for _ in range(2)]
    for each in again:
        assert each.pop("seconds") > 4 * each.pop("seconds_per_step") > 0
    assert again[0] == again[1]
    assert again[0]["updates"] == {"detection": 2, "depth": 2}
    assert again[0]["images"] == 16
    assert set(again[0]["test"]) >= {"ap50", "ap50_Car", "abs_rel", "abs_rel_boxes"}
    other = study.run(job(arm="by turns, one Adam", steps=4, rate=0.001), QUICK)
    assert other["weights"] != again[0]["weights"]


def test_to_be_watched_after_every_epoch_changes_nothing(toys, monkeypatch):
    watched = study.run(job(steps=4), QUICK)
    assert [len(each) for each in watched["history"].values()] == [2, 2]
    for name, history in watched["history"].items():
        assert history[-1] == watched[name] != history[0]
    monkeypatch.setattr(study, "WATCHED", ())
    unwatched = study.run(job(steps=4), QUICK)
    assert "history" not in unwatched
    assert unwatched["weights"] == watched["weights"]


def test_tuning_never_looks_at_the_test_streets_and_one_task_is_not_measured_on_the_other(toys):
    result = study.run(job(stage="tuning", arm="depth alone", seed=0), QUICK)
    assert "test" not in result
    assert result["validation"]["ap50"] is None
    assert result["validation"]["abs_rel"] > 0


def test_a_training_that_diverges_has_no_figures(toys):
    result = study.run(job(arm="detection alone", rate=1e18), QUICK)
    assert result["test"] is None


def test_perfect_outputs_measure_as_perfect(monkeypatch):
    examples = study.draw_examples(7, 6, 64, 96)
    found = [{"boxes": e.boxes, "labels": e.labels, "scores": np.ones(len(e.labels))} for e in examples]
    exact = np.stack([each.depth for each in examples]) * study.dataset.DEPTH_STEP
    monkeypatch.setattr(study, "predict", lambda network, some: (found, np.where(exact > 0, 1.1 * exact, 1)))
    figures = study.measure(None, examples, ["detection", "depth"])
    assert figures["ap50"] == 1
    assert figures["abs_rel"] == pytest.approx(0.1, abs=1e-5)
    assert figures["abs_rel_boxes"] == pytest.approx(0.1, abs=1e-5)


def test_predict_agrees_with_the_losses_maps():
    network = study.prepare_training(study.ARMS["joint, weight 1"], JOB, QUICK).network
    examples = study.draw_examples(7, 6, 64, 96)
    found, depths = study.predict(network, examples, size=4)
    one = examples[5]
    outputs = network.predict_on_batch({"image": one.image[None].astype("float32"), "camera": one.camera[None]})
    np.testing.assert_allclose(depths[5], np.exp(outputs["depth"][0, ..., 0]), rtol=1e-4)
    assert depths.min() >= depth.NEAREST * 0.999
    best = found[5]["scores"].max()
    assert best == pytest.approx(1 / (1 + np.exp(-outputs["heatmap"].max())), abs=1e-4)


# The book ------------------------------------------------------------------------------------------------------------


def line_of(job, ap50=0.5, abs_rel=0.2, seconds=0.1):
    measured = {"ap50": ap50, "abs_rel": abs_rel}
    clock = {"seconds_per_step": seconds, "seconds": 3600 * seconds}
    return dataclasses.asdict(job) | {"validation": measured, "test": measured} | clock


def test_the_jobs_of_all_stages():
    settings, arms, lines, counts = Settings(), list(study.ARMS), [], {}
    for stage, jobs_of in study_book.stages(settings, arms).items():
        jobs = jobs_of(lines)
        counts[stage] = len(jobs)
        assert all(each.stage == stage and each.arm in study.ARMS for each in jobs)
        lines += [
            line_of(each, ap50=0.3 + 10 * each.rate, seconds=0.1 if "surgery" not in each.arm else 0.2) for each in jobs
        ]
    assert counts == {"tuning": 13 * len(settings.rates), "main": 65, "labels": 50, "budgets": 40}
    assert len({study_book.key_of(line) for line in lines}) == len(lines)
    assert {line["rate"] for line in lines if line["stage"] != "tuning"} == {max(settings.rates)}
    steps = {(line["arm"], line["budget"]): line["steps"] for line in lines if line["stage"] == "budgets"}
    assert steps["by turns, one Adam", "updates"] == 2 * settings.steps
    assert steps["joint, gradient surgery", "time"] == settings.steps // 2
    assert {(line["seed"], line["steps"]) for line in lines if line["stage"] == "tuning"} == {(0, settings.steps // 2)}
    assert 0 not in {line["seed"] for line in lines if line["stage"] != "tuning"}


def test_the_rate_is_chosen_on_the_validation_streets():
    lines = [line_of(job(stage="tuning", seed=0, rate=rate), *figures) for rate, figures in
             {0.001: (0.5, 0.3), 0.002: (0.5, 0.2), 0.004: (0.4, 0.2)}.items()]  # fmt: skip
    assert study_book.chosen_rate(lines, JOB.arm) == 0.002
    lines[1]["validation"] = None  # diverged
    assert study_book.chosen_rate(lines, JOB.arm) in (0.001, 0.004)
    depth_alone = [line_of(job(stage="tuning", seed=0, rate=rate), None, 0.3) for rate in (0.001, 0.002)]
    depth_alone[1]["validation"] = None  # no figure is no figure, even where all scores are below 0
    assert study_book.chosen_rate(depth_alone, JOB.arm) == 0.001
    with pytest.raises(ValueError, match="no rate"):
        study_book.chosen_rate(lines, "depth alone")


def test_what_is_in_the_book_is_not_made_again(tmp_path, monkeypatch):
    made = []

    def run_jobs(jobs, settings, workers):
        for each in jobs:
            made.append(each)
            if len(made) == 5:
                raise KeyboardInterrupt
            yield line_of(each)

    monkeypatch.setattr(study_book, "run_jobs", run_jobs)
    path, arms = tmp_path / "book.jsonl", list(study.ARMS)
    with pytest.raises(KeyboardInterrupt):
        study_book.run_study(path, QUICK, arms)
    settings, lines = study_book.read_lines(path)
    assert settings == QUICK
    assert len(lines) == 4
    study_book.run_study(path, QUICK, arms)
    assert len(made) == 1 + len({study_book.key_of(dataclasses.asdict(each)) for each in made})  # the interrupted one
    lines = study_book.read_lines(path)[1]
    assert {"commit", "command", "processor"} <= set(lines[0])
    before = len(made)
    study_book.run_study(path, QUICK, arms)
    assert len(made) == before


def test_a_book_that_was_cut_short_a_strange_one_and_one_of_other_settings(tmp_path):
    path = tmp_path / "book.jsonl"
    assert study_book.read_lines(path, QUICK) == (QUICK, [])
    study_book.write_lines(path, QUICK, [line_of(JOB), line_of(job(seed=2))])
    path.write_text(path.read_text()[:-20])
    assert [line["seed"] for line in study_book.read_lines(path)[1]] == [1]
    more = dataclasses.replace(QUICK, seeds=9)
    assert study_book.read_lines(path, more)[0] == more
    with pytest.raises(ValueError, match="other settings"):
        study_book.read_lines(path, Settings())
    path.write_text("not JSON\n{}\n")
    with pytest.raises(ValueError, match="line 1"):
        study_book.read_lines(path)
    path.write_text('{"a": 1}\n{"b": 2}\n')
    with pytest.raises(ValueError, match="not a book"):
        study_book.read_lines(path)


def test_a_worker_makes_a_run_and_a_broken_job_is_reported(capfd):
    (result,) = study_book.run_jobs([job(arm="depth alone", steps=2)], QUICK)
    assert result["arm"] == "depth alone"
    assert result["test"]["abs_rel"] > 0
    with pytest.raises(RuntimeError, match="no such arm"):
        list(study_book.run_jobs([job(arm="no such arm")], QUICK))
    assert "no such arm" in capfd.readouterr().err


# The answers ---------------------------------------------------------------------------------------------------------


def book(**by_arm):
    """Lines of the main stage: {arm: [(ap50, abs_rel) per seed]}."""
    return [
        line_of(job(arm=arm, seed=seed), *figures)
        for arm, rows in by_arm.items()
        for seed, figures in enumerate(rows, start=1)
    ]


LINES = book(
    **{
        "detection alone": [(0.50, None), (0.60, None), (0.40, None)],
        "depth alone": [(None, 0.20), (None, 0.22), (None, 0.21)],
        "joint, weight 1": [(0.51, 0.21), (0.62, 0.23), (0.43, 0.22)],
        "joint, weight 3": [(0.49, 0.18), (0.60, 0.19), (0.39, 0.20)],
    }
)
ARMS = ("detection alone", "depth alone", "joint, weight 1", "joint, weight 3")


def test_compare_pairs_seed_by_seed():
    row, _ = study_answers.compare(LINES, "ap50", ARMS)
    assert row["arm"] == "joint, weight 1"
    assert row["differences"] == pytest.approx([0.01, 0.02, 0.03])
    assert row["mean"] == pytest.approx(0.02)
    low, high = row["bootstrap_interval"]
    assert 0.01 <= low < 0.02 < high <= 0.03
    rows = study_answers.compare(LINES, "abs_rel", ARMS)
    assert [each["arm"] for each in rows] == ["joint, weight 1", "joint, weight 3"]
    assert rows[0]["p_holm"] == 0  # 0.01 in every seed: no spread at all
    assert rows[1]["p_holm"] == pytest.approx(rows[1]["p"])
    assert study_answers.compare(LINES[::-1], "ap50", ARMS)[0]["differences"] == row["differences"]


def test_a_seed_that_diverged_is_left_out_of_its_pairs():
    lines = json.loads(json.dumps(LINES))
    next(line for line in lines if (line["arm"], line["seed"]) == ("joint, weight 1", 2))["test"] = None
    assert study_answers.compare(lines, "ap50", ARMS)[0]["differences"] == pytest.approx([0.01, 0.03])


def test_another_budget_falls_back_to_the_main_run_only_without_a_run_of_its_own():
    longer = line_of(job(arm="joint, weight 3", budget="time", stage="budgets", seed=1), 0.9, 0.1)
    values = study_answers.values_of([*LINES, longer], "joint, weight 3", "ap50", budget="time")
    assert values == {1: 0.9}
    assert study_answers.values_of([*LINES, longer], "joint, weight 1", "ap50", budget="time")[2] == 0.62
    assert study_answers.values_of([*LINES, longer], "joint, weight 3", "ap50")[1] == 0.49


def test_the_best_weight_is_chosen_on_the_validation_streets():
    lines = json.loads(json.dumps(LINES))
    assert study_answers.best_joint(lines, ARMS) == "joint, weight 3"
    diverged = json.loads(json.dumps(lines))
    next(line for line in diverged if line["arm"] == "joint, weight 3")["validation"] = None
    assert study_answers.best_joint(diverged, ARMS) == "joint, weight 1"
    for line in lines:
        line["test"] = {"ap50": 0.0, "abs_rel": 1.0} if line["arm"] == "joint, weight 3" else line["test"]
    assert study_answers.best_joint(lines, ARMS) == "joint, weight 3"


def test_the_table_has_every_comparison_there_is_and_no_other():
    text = study_answers.table(LINES, ARMS)
    assert text.count("equal images") == 2
    assert "+2.00" in text
    assert "half of the streets" not in text
    assert study_answers.effort(LINES) == text.splitlines()[0] == "12 runs, 1.2 hours of processor time in all"
    assert study_answers.table([], ()).endswith("no two runs to compare yet")


def test_the_command_prints_the_table_of_a_book_and_repeats_a_run(tmp_path, capsys, monkeypatch):
    path = tmp_path / "book.jsonl"
    study_book.write_lines(path, QUICK, LINES)
    assert main(["study", "--out", str(path), "--table"]) == 0
    assert "joint, weight 3" in capsys.readouterr().out
    assert main(["study", "--out", str(path), "--again", "joint, weight 7"]) == 2
    assert "there are" in capsys.readouterr().err
    stored = LINES[6] | {"weights": "abc"}
    study_book.write_lines(path, QUICK, [stored])
    for now, code in ((stored, 0), (stored | {"weights": "abd"}, 1)):
        monkeypatch.setattr(study_book, "run_jobs", lambda jobs, settings, workers, now=now: iter([now]))
        assert main(["study", "--out", str(path), "--again", "joint, weight 1", "--seed", str(stored["seed"])]) == code
    assert "abc before, abd now" in capsys.readouterr().out


def test_inside_boxes_and_truth():
    example = study.draw_examples(7, 6, 64, 96)[0]
    truth = study.truth_of(example)
    assert len(truth["boxes"]) == len(truth["labels"]) == len(truth["ignored"])
    assert (truth["labels"][truth["ignored"]] == -1).all()
    assert metrics.average_precision([truth], [{"boxes": [], "labels": [], "scores": []}], ["a", "b", "c"])
