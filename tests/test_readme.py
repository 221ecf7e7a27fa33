"""The README's figures are those of the stored results, and what it points to is there."""

import json
import re
from pathlib import Path

import pytest

from roidepth_lessons import CLASSES, DATA_FOLDER, __main__, comparison, model, train
from roidepth_lessons.encoder import LEAN_BLOCKS, LEAN_CHANNELS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def result(name):
    return json.loads((DATA_FOLDER / name).read_text())


def row(start):
    """The row of the table of measurements that begins with these words."""
    (line,) = [line for line in README.splitlines() if line.startswith(f"| {start} ")]
    return line


def detection_figures(figures, precision="ap50"):
    return ", ".join(f"{name} {100 * each[precision]:.1f} %" for name, each in figures["detection"].items())


def brief_figures(figures, precision="ap50"):
    error = figures["distance"]["all"]["abs_rel"]
    return f"{detection_figures(figures, precision)}; distance error {100 * error:.1f} %"


def distance_figures(figures):
    distance, baseline = (figures[key]["all"]["abs_rel"] for key in ("distance", "baseline_box_height"))
    return f"{100 * distance:.1f} % (from the box height alone, on the same objects: {100 * baseline:.1f} %)"


@pytest.mark.parametrize(
    ("file", "where"), [("streets_test.json", "300 test streets"), ("kitti_zero_shot.json", "99 real frames")]
)
def test_accuracy_is_as_stored(file, where):
    figures = result(f"results/{file}")
    assert figures["frames"] == int(where.split()[0])
    assert detection_figures(figures) in row(f"{where}, AP50")
    assert distance_figures(figures) in row(f"{where}, distance error per object")
    depth = figures["depth"]
    share = f"{100 * depth['image']['abs_rel']:.1f} % and {100 * depth['inside_boxes']['abs_rel']:.1f} %"
    assert share in row(f"{where}, depth error over the image and inside boxes")


def test_distances_on_real_frames_are_as_stored():
    figures = result("results/kitti_zero_shot.json")
    car = figures["detection"]["Car"]
    right = ", ".join(f"{100 * car[f'apz{percent}']:.1f}" for percent in (5, 10, 15))
    assert f"{right} %" in row("99 real frames, cars found with the distance right")
    lidar, row_mean = (figures[f"baseline_{name}"]["all"]["abs_rel"] for name in ("lidar", "row_mean"))
    assert f"{100 * lidar:.1f} %, {100 * row_mean:.1f} %" in row("99 real frames, the same objects from LiDAR")


def test_weights_for_photos_are_as_stored():
    figures = result("results/kitti_zero_shot_192x640.json")
    assert detection_figures(figures, "ap50_moderate") in row("99 real frames, the weights for photos, AP")
    assert distance_figures(figures) in row("99 real frames, the same weights, distance error per object")


def test_the_cross_validation_is_as_stored():
    figures, held_out = (result(f"results/kitti_{name}.json") for name in ("cross_validated", "held_out"))
    assert (figures["frames"], figures["interval_groups"]) == (99, 29)
    car, distance, moderate = figures["detection"]["Car"], figures["distance"]["all"], figures["distance"]["moderate"]
    said = row("99 real frames, each by weights trained on other drives in three folds, AP")
    assert f"Car {100 * car['ap50_moderate']:.1f} %" in said
    assert ends(car["ap50_moderate_interval"]) in said
    said = row("99 real frames, each by weights trained on other drives, distance error per object")
    assert distance_figures(figures)[:-1] in said
    assert ends(distance["abs_rel_interval"]) in said
    assert f"LiDAR in the box: {100 * figures['baseline_lidar']['all']['abs_rel']:.1f} %" in said
    said = row(f"99 real frames, the same for the {moderate['count']} of {distance['count']} objects that count")
    assert f"{100 * moderate['abs_rel']:.1f} % (" in said
    assert ends(moderate["abs_rel_interval"]) in said
    assert f"box height: {100 * figures['baseline_box_height']['moderate']['abs_rel']:.1f} %)" in said
    car, distance = held_out["detection"]["Car"], held_out["distance"]["all"]
    said = row(f"of these, the first fold alone: {held_out['frames']} frames of {held_out['interval_groups']} drives")
    assert f"Car {100 * car['ap50_moderate']:.1f} %, distance error {100 * distance['abs_rel']:.1f} %" in said


def ends(interval):
    return " to ".join(f"{100 * end:.1f}" for end in interval)


def test_the_threshold_was_chosen_on_validation_streets():
    rows = result("results/streets_validation.json")["by_threshold"]
    f1 = {row["threshold"]: row["f1"] for row in rows}
    best = max(f1.values())
    assert [threshold for threshold in f1 if f1[threshold] > best - 0.02] == [0.35, 0.4, 0.45, 0.5]
    assert f1[model.THRESHOLD] > best - 0.02


@pytest.mark.parametrize("size", ["128x416", "384x1248"])
def test_speed_is_as_stored(size):
    figures = result(f"results/benchmark_{size}.json")
    text = f"{figures['roi_over_full']:.2f} of full decoding, {figures['roi_over_detect']:.2f} of detection alone"
    assert text in row(f"time of a frame with ROI depth, {size}")


def test_speed_by_number_of_boxes_is_as_stored():
    cases = result("results/benchmark_boxes_384x1248.json")["cases"]
    none, *some = (f"{cases[count]['planned_over_full']:.2f}" for count in ("0", "5", "15", "40"))
    said = row("the same by number of boxes, drawn from 99 real frames' labels, 384x1248")
    assert f"{none} of full decoding without a box, {some[0]} with 5, {some[1]} with 15, {some[2]} with 40" in said


def test_the_lean_encoder_is_as_stored():
    real = result("results/benchmark_boxes_384x1248_lean.json")["cases"]["real"]
    text = f"{real['planned_over_full']:.2f} of full decoding, {real['planned_over_detect']:.2f} of detection alone"
    assert text in row("the lean encoder, boxes of 99 real frames' labels, 384x1248")
    for file, where in (
        ("streets_test_lean", "the lean encoder after 18 epochs, as it is here, on 300 test streets"),
        ("streets_test_lean_6_epochs", "the lean encoder after 6 epochs, like the shipped weights"),
        ("streets_test_lean_12_epochs", "the lean encoder after 12 epochs"),
    ):
        figures = result(f"results/{file}.json")
        inside = f"depth inside boxes {100 * figures['depth']['inside_boxes']['abs_rel']:.1f} %"
        assert f"{brief_figures(figures)}, {inside}" in row(where)
    said = brief_figures(result("results/kitti_zero_shot_lean.json"), "ap50_moderate")
    assert said in row("the lean encoder on 99 real frames, AP at overlap 0.5 by KITTI's rules, moderate")


def test_the_lean_weights_were_trained_for_eighteen_epochs():
    card = result("weights/streets_lean.json")
    before = card["began_from"]
    assert [card["data"], before["data"], before["began_from"]["data"]] == [
        f"12000 drawn streets, seed {seed}" for seed in (3, 2, 1)
    ]
    assert before["began_from"]["began_from"] is None
    epochs = [train.Settings().epochs * ("--epochs" not in each["command"]) for each in (before["began_from"], before)]
    assert sum(epochs) + len(card["epochs"]) == 18


def test_what_the_lean_encoder_loses_in_a_brief_training_is_as_stored():
    stored = result("results/encoder_width.json")
    usual, lean = (
        {run["seed"]: run["ap50"] for run in stored["runs"] if (run["channels"], run["blocks"]) == encoder}
        for encoder in (([24, 48, 64, 96, 128], [2, 2, 2, 2]), ([*LEAN_CHANNELS], [*LEAN_BLOCKS]))
    )
    said = row(f"the lean encoder minus the usual one after {stored['steps']} steps, {len(lean)} seeds, AP50 in points")
    for name in CLASSES:
        differences = comparison.paired(*([each[seed][name] for seed in sorted(usual)] for each in (lean, usual)))
        assert f"{name} {100 * differences['mean']:.1f} ({ends(differences['interval'])})" in said


def test_alternatives_are_as_stored():
    times = result("results/benchmark_alternatives_384x1248.json")["times_roi"]
    said = row("beside a detector and a depth network of its own, and")
    assert f"{times['two_networks']:.1f} and {times['vision_transformer']:.1f} times as long" in said


KINDS = ("onnx", "litert", "openvino")


def runtimes_said():
    runs = result("results/runtimes_128x416_threads_2.json")["runtimes"]
    both = (", ".join(f"{runs[f'{kind} {bits}']['roi']['ratio']:.2f}" for kind in KINDS) for bits in ("float", "int8"))
    return "{} of its time, with 8 bits {}".format(*both)


def loss_said():
    runs = result("results/runtimes_loss.json")["streets"]["runtimes"]
    rows = [runs[f"{kind} int8"] for kind in KINDS]
    shares = [f"{100 * row['distance_error']:.2f} % and {100 * row['ap50']['Car']:.1f} %" for row in rows]
    row = runs["keras float"]
    return f"{', '.join(shares)} (Keras: {100 * row['distance_error']:.2f} % and {100 * row['ap50']['Car']:.1f} %)"


def mutants_said():
    modules = result("results/mutants.json")
    caught, tried = (sum(each[kind] for each in modules.values()) for kind in ("caught", "tried"))
    least = min(modules, key=lambda name: modules[name]["share"])
    share = f"least in `{least}`, {100 * modules[least]['share']:.0f} %"
    return f"{caught} of {tried} in {len(modules)} modules; {share}"


def backends_said():
    runs = result("results/backends.json")["tests"]
    failed = sum(each["failed"] for each in runs.values())
    return f"JAX {runs['jax']['passed']:,}, PyTorch {runs['torch']['passed']:,} passed; {failed} failed"


def kills_said():
    runs = result("results/kills.json")
    return ", ".join(f"`{name}` {runs[name]['kills']}" for name in ("streets", "train", "study"))


def test_backends_and_kills_are_as_stored():
    assert f" {backends_said()} " in row("tests of the package on the other backends")
    assert f" {kills_said()} " in row("times that a run was killed and begun again, and ended as the unbroken one")


def test_runtimes_and_mutants_are_as_stored():
    assert f" {runtimes_said()} " in row("a frame with ROI depth in ONNX Runtime, LiteRT and OpenVINO")
    assert f" {loss_said()} " in row("120 test streets, 8 bits in these three, distance error and Car AP50")
    assert f" {mutants_said()} " in row("mutants of ground-floor modules")


def test_planned_work_is_as_stored():
    work = result("results/planned_work_384x1248.json")["work"]["planned_windows"]
    assert f"mean {100 * work['mean']:.1f} %, most {100 * work['max']:.0f} %" in row("work of the depth head")


def test_training_is_as_its_card_says():
    card = result("weights/streets.json")
    assert f"{card['settings']['streets']:,} drawn streets" in README
    assert f"{card['training_seconds']:,} s" in README
    card = result("weights/streets_192x640.json")
    assert f"on {card['settings']['streets']:,} larger ones more, in {card['training_seconds']:,} s" in README


def test_every_command_is_in_the_table_and_no_other():
    named = re.findall(r"^\| `(\w+)[^`]*` \| ", README, flags=re.MULTILINE)
    commands = next(action for action in __main__._parser()._actions if action.choices).choices
    assert set(commands) <= set(named)


def test_links_and_modules_are_there():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), f"README.md links to {target}"
    floors = README[README.index("| floor | modules |") :].split("\n\n")[0]
    named = set(re.findall(r"`([a-z_]+)`", floors)) - {"check"}
    modules = {path.stem for path in (ROOT / "roidepth_lessons").glob("[a-z]*.py")}
    assert named == {name for name in modules if not name.startswith(("street_", "exercises_", "draw_"))}
