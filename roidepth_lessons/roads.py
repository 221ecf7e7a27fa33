"""The experiment of lesson 10: what do streets, photos, ImageNet, augmentation and varied looks bring on real roads?

Every *recipe* is a way to a network. Those that train on real photos are made by cross-validation over drives: each
drive is tested once, by a network that saw nothing of it; so all recipes are measured on the same photos. Nothing is
chosen on them: rates and lengths are the same for all, and stand in `Settings`.

A run lives in a folder: weights and measurements that are there are not made again, so that a killed run goes on.
"""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from . import (
    CLASSES,
    DATA_FOLDER,
    LARGE_STREET_WEIGHTS,
    augmentation,
    drive_split,
    evaluate,
    kitti,
    measures,
    metrics,
    model,
    streets,
    train,
)
from .processes import only_run
from .session import ProgressLine
from .study_book import facts

RESULTS = DATA_FOLDER / "results" / "roads.json"
WORK = DATA_FOLDER / "cache" / "roads"
FULL_RESULTS = RESULTS.with_name("kitti_cross_validated.json")
FULL_WORK = WORK.with_name("roads_full")
MEASURES = {"ap50_moderate": "Car AP50, moderate", "abs_rel": "distance, AbsRel"}
SAMPLES = 1000
"""Bootstrap samples of drives, the same for every recipe, so that recipes can be compared drive by drive."""


@dataclass(frozen=True)
class Recipe:
    """A way to a network.

    Args:
        streets: "varied" or "plain" looks (`street_layout.lay_out`) of the streets that it begins with, or None.
        real: Whether it trains on real photos, after the streets if there are any.
        encoder: One of `model.ENCODERS`: the last begins with weights from ImageNet.
        augmentation: One of `augmentation.STRENGTHS`, for all of its training.
    """

    streets: str | None
    real: bool
    encoder: str
    augmentation: str

    @property
    def name(self):
        """In words: "varied streets, then real; efficientnet-lite0; strong"."""
        data = ", then ".join([f"{self.streets} streets"] * bool(self.streets) + ["real"] * self.real)
        return f"{data}; {self.encoder}; {self.augmentation}"


OWN, _, IMAGENET = model.ENCODERS
PLAIN, STRONG, *_ = augmentation.STRENGTHS
WAYS = (("varied", False), (None, True), ("varied", True))
"""Streets alone, real photos alone, and the one after the other."""
RECIPES = (
    *(Recipe(*way, OWN, STRONG) for way in WAYS),
    *(Recipe(*way, IMAGENET, STRONG) for way in WAYS),
    *(Recipe(*way, OWN, PLAIN) for way in WAYS),
    *(Recipe("plain", real, OWN, STRONG) for real in (False, True)),
)
"""Three ways, then each of them with one ingredient changed (plain looks need streets). All combinations would be
twenty, for twice the hours."""

INGREDIENTS = {
    "real photos, after streets": ("real", False, True),
    "varied streets, before real photos": ("streets", None, "varied"),
    "varied looks instead of plain ones": ("streets", "plain", "varied"),
    "an encoder from ImageNet": ("encoder", OWN, IMAGENET),
    "strong augmentation": ("augmentation", PLAIN, STRONG),
}
"""What is compared: a field of `Recipe`, its value without and with the ingredient."""


@dataclass(frozen=True)
class Settings:
    """What the whole experiment depends on: the same for every recipe.

    Args:
        folds: Of the cross-validation over drives. Nothing is chosen, so all but the tested fold are trained on.
        height, width: Of the training images in pixels.
        streets, street_epochs: How many streets, and how often each is seen.
        real_epochs: How often each real training photo is seen.
        street_batch, real_batch: Images per step.
        street_rate, real_rate: Highest learning rates.
        seed: Of start weights and order.
    """

    folds: int = 3
    height: int = 96
    width: int = 320
    streets: int = 3000
    street_epochs: int = 2
    real_epochs: int = 18
    street_batch: int = 16
    real_batch: int = 8
    street_rate: float = 2e-3
    real_rate: float = 1e-3
    seed: int = 1


QUICK = Settings(height=64, width=192, streets=16, street_epochs=1, real_epochs=1)
"""Shows that everything runs; its figures mean nothing."""


def run(root, out=RESULTS, work=WORK, settings=None, recipes=RECIPES, processes=2):
    """Makes what is not there yet, and writes the results.

    Args:
        root: Folder in the KITTI layout, with LiDAR and ``drives.tsv``.
        out: ``.json`` file to write: figures alone, no photo and no weights.
        work: Folder for weights and measurements.
        settings: `Settings`.
        recipes: `Recipe`s.
        processes: How many trainings run at once.

    Returns:
        What was written: ``settings``, ``frames``, ``drives``; ``recipes``, by name what `measures.summarise` returns,
        with ``training_seconds``; ``ingredients``, see :func:`compare`; and `study_book.facts`.

    Raises:
        ValueError: if `work` holds a run with other settings or on other frames, or if ``drives.tsv`` is missing.
        RuntimeError: if a training fails; names its log. If another process is at work in `work`.
    """
    settings, root, work = settings or Settings(), Path(root).resolve(), Path(work).resolve()
    splits, drives = _folds(root, settings.folds)
    with only_run(work):
        _claim(work, settings, drives)
        _draw_streets(recipes, work, settings)
        trainings = street_trainings(recipes, work, settings) | real_trainings(recipes, root, work, settings)
        train_all(trainings, work, processes)
        figures = {}
        for number, recipe in enumerate(recipes, start=1):
            print(f"recipe {number} of {len(recipes)}: {recipe.name}")
            weights = [fold_weights(recipe, fold, work) for fold in range(1, settings.folds + 1)]
            figures[recipe.name] = _measured(_measured_path(recipe, work), weights, root, splits, drives)
        results = {
            "settings": asdict(settings),
            "frames": len(drives),
            "drives": len(set(drives.values())),
            "recipes": {name: each["figures"] for name, each in figures.items()},
            "ingredients": compare(recipes, {name: each["draws"] for name, each in figures.items()}),
            **facts("python -m roidepth_lessons roads ROOT"),
        }
        return _store(out, results)


FULL = train.Settings(
    height=192, width=640, epochs=30, batch_size=8, learning_rate=1e-3, augmentation="tilted", folds=3, validation=0
)
"""The training on photos that the README advises. Size and augmentation were chosen on 17 photos of 6 drives, the
validation part of the first of five folds; they are among those that are tested here."""


def cross_validate(root, out=FULL_RESULTS, work=FULL_WORK, training=FULL, start=LARGE_STREET_WEIGHTS, processes=2):
    """Trains on real photos once per fold of drives, and measures each photo by a network that never saw its drive.

    Args:
        root, out, work, processes: See :func:`run`.
        training: `train.Settings`; data, start and fold are filled in.
        start: Weights file that every training begins with.

    Returns:
        What was written: ``settings``; what `measures.summarise` returns, over all photos; ``training_seconds`` of a
        fold, in the mean, with those of `start`; and `study_book.facts`.

    Raises:
        ValueError, RuntimeError: see :func:`run`.
    """
    root, work, start = Path(root).resolve(), Path(work).resolve(), Path(start).resolve()
    splits, drives = _folds(root, training.folds)
    with only_run(work):
        _claim(work, training, drives)
        trainings = {
            work / "weights" / f"fold{fold}.keras": replace(training, data=str(root), start=str(start), fold=fold)
            for fold in range(1, training.folds + 1)
        }
        train_all(trainings, work, processes)
        figures = _measured(work / "measured.json", list(trainings), root, splits, drives)["figures"]
        command = facts("python -m roidepth_lessons roads ROOT --full")
        return _store(out, {"settings": asdict(training), **figures, **command})


def _folds(root, folds):
    """All splits, without drives held out for choosing, and the drive of each frame that is there."""
    splits, known = train.read_folds(root, folds, validation=0)
    return splits, {frame_id: known[frame_id] for frame_id in kitti.frame_ids(root)}


def _claim(work, settings, drives):
    path, facts_of_run = work / "run.json", {"settings": asdict(settings), "drives": drives}
    if path.is_file() and kitti.read_json(path) != facts_of_run:
        raise ValueError(f"{path} is of a run with other settings or frames; choose another folder or remove this one")
    kitti.write_json(path, facts_of_run)


def _store(path, content):
    """Writes it, and returns it as it will be read again."""
    kitti.write_json(path, content)
    return kitti.read_json(path)


# Weights -------------------------------------------------------------------------------------------------------------


def street_weights(recipe, work):
    """The file of a recipe's network that has learnt streets; None if it begins without them."""
    if recipe.streets is None:
        return None
    return work / "weights" / f"{recipe.streets}_{recipe.encoder}_{recipe.augmentation}.keras"


def fold_weights(recipe, fold, work):
    """The file that is tested on a fold, 1 to `Settings.folds`: that of the streets, if nothing real is learnt."""
    if not recipe.real:
        return street_weights(recipe, work)
    name = f"{recipe.streets}_real_{recipe.encoder}_{recipe.augmentation}_fold{fold}.keras"
    return work / "weights" / name


def street_trainings(recipes, work, settings):
    """`train.Settings` by weights file: a recipe's streets are learnt once, for all folds."""
    return {
        street_weights(recipe, work): train.Settings(
            data=str(_street_folder(recipe.streets, work)),
            epochs=settings.street_epochs,
            batch_size=settings.street_batch,
            learning_rate=settings.street_rate,
            encoder=recipe.encoder,
            **_common(recipe, settings),
        )
        for recipe in recipes
        if recipe.streets
    }


def real_trainings(recipes, root, work, settings):
    """`train.Settings` by weights file: each recipe that learns from photos, once per fold."""
    return {
        fold_weights(recipe, fold, work): train.Settings(
            data=str(root),
            start=str(street_weights(recipe, work)) if recipe.streets else None,
            epochs=settings.real_epochs,
            batch_size=settings.real_batch,
            learning_rate=settings.real_rate,
            encoder=train.Settings.encoder if recipe.streets else recipe.encoder,  # the start brings its own
            folds=settings.folds,
            fold=fold,
            validation=0,
            **_common(recipe, settings),
        )
        for recipe in recipes
        if recipe.real
        for fold in range(1, settings.folds + 1)
    }


def _common(recipe, settings):
    """What all trainings of a recipe share, for `train.Settings`."""
    same = {name: getattr(settings, name) for name in ("height", "width", "seed")}
    return same | {"augmentation": recipe.augmentation}


def _street_folder(looks, work):
    return work / "data" / f"{looks}_streets"


def _draw_streets(recipes, work, settings):
    for looks in sorted({each.streets for each in recipes if each.streets}):
        size = settings.height, settings.width
        streets.write_streets(_street_folder(looks, work), settings.streets, settings.seed, *size, looks=looks)


def train_all(trainings, work, processes=2):
    """Runs the ``train`` command for every weights file that is not there yet, some at once; each writes a log.

    Args:
        trainings: `train.Settings` by weights file. One that begins with the weights of another waits for it, so the
            other has to come first.
        work: Folder for runs and logs.
        processes: How many at once, with one thread each.

    Raises:
        RuntimeError: if a training fails; names its log. Those under way are ended first, the others not begun.
    """
    missing = {out: each for out, each in trainings.items() if not out.with_suffix(".json").is_file()}  # written last
    with ProgressLine() as line, ThreadPoolExecutor(processes) as pool:
        line.show(f"trainings: {len(missing)} to go")
        begun = {}
        for out, settings in missing.items():
            first = begun.get(settings.start and Path(settings.start))
            begun[out] = pool.submit(_train_after, first, settings, out, work / "runs" / out.stem)
        try:
            for count, done in enumerate(as_completed(begun.values()), start=1):
                done.result()
                line.show(f"trainings: {len(missing) - count} to go")
        finally:
            pool.shutdown(cancel_futures=True)
        line.end(f"trainings: {len(missing)} made, {len(trainings) - len(missing)} were there")


def _train_after(first, settings, out, run_folder):
    if first:
        first.result()
    _train(settings, out, run_folder)


CHILD = """
import sys
from roidepth_lessons import processes
from roidepth_lessons.__main__ import main
processes.end_with_parent()
sys.exit(main())
"""
"""The command line for a process that must not go on alone when whoever started it is killed."""


def _train(settings, out, run_folder):
    run_folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-c", CHILD, "train", *train.flags(settings)]
    with open(run_folder / "output.txt", "a") as log:
        command += ["--run", run_folder, "--out", out, "--threads", "1"]  # others run beside it
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, cwd=DATA_FOLDER.parent
        )
        with process:  # holds the other end of its standard input
            process.wait()
    if process.returncode:
        raise RuntimeError(f"the training of {out.name} failed; {log.name} says why")


def _seconds(weights):
    """Of a training, with that of the weights that it began from."""
    card = kitti.read_json(weights.with_suffix(".json"))
    start = card["settings"]["start"]
    return card["training_seconds"] + (_seconds(DATA_FOLDER.parent / start) if start else 0)  # else it is absolute


# Measuring -----------------------------------------------------------------------------------------------------------


def _measured_path(recipe, work):
    name = recipe.name.replace("; ", "_").replace(", then ", "_").replace(" ", "_")
    return work / "measured" / f"{name}.json"


def _measured(path, weights_of_folds, root, splits, drives):
    """``{"figures", "draws"}`` of the networks that are tested on the folds, from a file if they were measured before.

    Args:
        path: The file.
        weights_of_folds: A weights file for each fold.
        root: Folder in the KITTI layout.
        splits, drives: See `train.read_folds`.
    """
    if path.is_file():
        return kitti.read_json(path)
    rows, order, seconds = [], [], []
    for fold, (weights, parts) in enumerate(zip(weights_of_folds, splits, strict=True), start=1):
        drive_split.check_unseen(parts["test"], drives, train.drives_seen(weights) or [])
        seconds.append(_seconds(weights))
        network = model.RoiDepth.load(weights)
        with ProgressLine() as line:
            for frame_id in parts["test"]:
                rows.append(evaluate.measure_frame(network, kitti.read_frame(root, frame_id), "auto"))
                line.show(f"fold {fold}: measured {frame_id}")
            line.end(f"fold {fold}: measured {len(parts['test'])} photos")
        order += parts["test"]
    groups = [drives[frame_id] for frame_id in order]
    evaluate.add_row_means(rows, root, order, groups)
    figures = measures.summarise(rows, "auto", groups, "drives") | {"training_seconds": round(float(np.mean(seconds)))}
    return _store(path, {"figures": figures, "draws": _draws(rows, groups)})


def _draws(rows, groups):
    """`MEASURES` of bootstrap samples of drives, the same samples for every recipe: lists of `SAMPLES` numbers or None.

    ``rows`` may come in any order: the samples are drawn of the sorted drives.
    """
    names = sorted(set(groups))
    times = metrics.draw_groups(names, SAMPLES)[:, [names.index(group) for group in groups]]
    errors, counts = np.zeros((2, len(rows)))
    for index, row in enumerate(rows):
        pairs = row["pairs"]
        errors[index] = np.abs(pairs["distance"] / pairs["true_distance"] - 1).sum()
        counts[index] = len(pairs["kind"])
    with np.errstate(invalid="ignore"):
        abs_rel = (times @ errors) / (times @ counts)
    draws = {"ap50_moderate": measures.resampled_precision(rows, CLASSES[0], times), "abs_rel": abs_rel}
    return {name: [round(float(x), 5) if np.isfinite(x) else None for x in each] for name, each in draws.items()}


def compare(recipes, draws):
    """What each ingredient brings: the mean difference over all pairs of recipes that differ in it alone.

    Args:
        recipes: `Recipe`s.
        draws: By the name of a recipe, what :func:`_draws` says of it.

    Returns:
        A list of dicts: ``ingredient``, ``measure``, ``pairs`` (how many), ``mean`` and ``interval`` (low, high), the
        mean difference (with - without) of the samples of drives and its middle 95 %; ``differences``, the mean of each
        pair by the name of its recipe with the ingredient. An ingredient without a pair is left out; what nobody could
        measure is None.
    """
    rows = []
    for ingredient, (field, without, with_it) in INGREDIENTS.items():
        pairs = _pairs(recipes, field, without, with_it)
        for measure in MEASURES if pairs else ():
            differences = np.array(
                [[_numbers(draws[each.name][measure]) for each in pair] for pair in pairs]
            )  # (pairs, with and without, samples)
            differences = differences[:, 0] - differences[:, 1]
            rows.append(
                {
                    "ingredient": ingredient,
                    "measure": measure,
                    "pairs": len(pairs),
                    "mean": _mean(differences),
                    "interval": metrics.percentile_interval(differences.mean(axis=0)),
                    "differences": {pair[0].name: _mean(each) for pair, each in zip(pairs, differences, strict=True)},
                }
            )
    return rows


def _mean(values):
    """The mean of those that are numbers; None if none is."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else None


def _numbers(values):
    return [np.nan if each is None else each for each in values]


def _pairs(recipes, field, without, with_it):
    """(with, without) for every recipe that has a counterpart without the ingredient and is else the same."""
    known = {tuple(asdict(each).items()): each for each in recipes}
    pairs = []
    for each in recipes:
        other = known.get(tuple((asdict(each) | {field: without}).items()))
        if getattr(each, field) == with_it and other is not None:
            pairs.append((each, other))
    return pairs


def table(results):
    """The results as lines of text: a row per recipe, a row per ingredient."""
    lines = [
        f"{results['frames']} real photos of {results['drives']} drives, {results['settings']['folds']} folds; "
        "intervals over drives, 95 %",
        f"{'recipe':<62}{'Car AP50, moderate':>26}{'AP70':>8}{'distance, AbsRel':>26}{'found':>7}{'minutes':>9}",
    ]
    for name, figures in results["recipes"].items():
        car, distance = figures["detection"]["Car"], figures["distance"]["all"]
        precision = _with_interval(car["ap50_moderate"], car["ap50_moderate_interval"])
        error = _with_interval(distance["abs_rel"], distance["abs_rel_interval"])
        lines.append(
            f"{name:<62}{precision:>26}{_percent(car['ap70_moderate']):>8}{error:>26}{distance['count']:>7}"
            f"{figures['training_seconds'] / 60:>9.1f}"
        )
    lines += ["", f"{'what it brings, in points (1/100)':<40}{'':<20}{'pairs':>6}{'difference':>12}{'95 %':>18}"]
    for row in results["ingredients"]:
        mean = "-" if row["mean"] is None else f"{100 * row['mean']:+.1f}"
        ends = "-" if row["interval"] is None else " to ".join(f"{100 * end:+.1f}" for end in row["interval"])
        lines.append(f"{row['ingredient']:<40}{MEASURES[row['measure']]:<20}{row['pairs']:>6}{mean:>12}{ends:>18}")
    return "\n".join(lines)


def _percent(value):
    return "-" if value is None else f"{100 * value:.1f}"


def _with_interval(value, interval):
    return _percent(value) if interval is None else f"{_percent(value)} ({' to '.join(map(_percent, interval))})"
