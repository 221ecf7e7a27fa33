"""The experiment of lesson 09: how should two tasks be trained, and does learning depth help detection?

One run trains a small network in one way (an *arm*), from the start weights, the streets and the order of its *seed*,
which all arms share, and measures it. `study_book` runs them all and keeps a line per run; `study_answers` compares.

Detection here is centres and boxes alone (``heatmap`` and ``box``). The shipped network's third map, ``object``, learns
distances itself; it is left out, so that what detection gains from metres it can only have from the depth branch.
"""

import functools
import hashlib
import time
from dataclasses import dataclass

import keras
import numpy as np

from . import CLASSES, dataset, depth, detection, encoder, metrics, model, multitask, streets, weighing
from .study_book import BOTH, REGIMES, WATCHED
from .train import LOSSES, TEST_SEED, VALIDATION_SEED

TASKS = {"detection": ("heatmap", "box"), "depth": ("depth",)}
LOSS_WEIGHTS = {"heatmap": 1.0, "box": 2.0}
"""Weights within detection, as in `train.LOSS_WEIGHTS`; depth's is what the arms differ in."""

STREETS_SEED = 200_000
"""Training streets of seed s are ``draw_street([STREETS_SEED + s, index], height, width)``."""


@dataclass(frozen=True)
class Arm:
    """One way to train.

    Args:
        tasks: Which tasks are trained.
        depth_weight: Fixed weight of the depth loss; detection's is 1.
        weighing: ``None`` (fixed weights), ``"uncertainty"`` or ``"surgery"``.
        by_turns: One task per step, in turn, rather than all at once.
        one_optimizer: As in `multitask.TaskTraining`.
        shuffled: Whether every street gets the depth map of another one.
        wider: Whether the detection head gets as many parameters more as the depth head would have had.
    """

    tasks: tuple = tuple(TASKS)
    depth_weight: float = 1.0
    weighing: str | None = None
    by_turns: bool = False
    one_optimizer: bool = True
    shuffled: bool = False
    wider: bool = False


ARMS = {
    "detection alone": Arm(tasks=("detection",)),
    "depth alone": Arm(tasks=("depth",)),
    **{f"joint, weight {weight:g}": Arm(depth_weight=weight) for weight in (0.1, 0.3, 1.0, 3.0, 10.0)},
    "joint, learnt weights": Arm(weighing="uncertainty"),
    "joint, gradient surgery": Arm(weighing="surgery"),
    "by turns, one Adam": Arm(by_turns=True),
    "by turns, an Adam per task": Arm(by_turns=True, one_optimizer=False),
    "joint, shuffled depth": Arm(shuffled=True),
    "detection alone, wider head": Arm(tasks=("detection",), wider=True),
}


def run(job, settings):
    """Trains and measures.

    Args:
        job: A `study_book.Job`.
        settings: `study_book.Settings`.

    Returns:
        A dict that JSON can hold: ``images`` that passed the encoder in training, ``updates`` per task, ``parameters``,
        ``seconds_per_step`` and ``seconds`` of the whole run, both of processor time, so that a busy machine doesn't
        count; ``weights`` (a hash of the trained ones), ``validation`` and, unless the job is one of
        tuning, ``test``: what :func:`measure` returns; both None if the training diverged. The arms of
        `study_book.WATCHED` also have a ``history`` of both, a list with a figure per epoch.
    """
    arm, started = ARMS[job.arm], time.process_time()
    keras.utils.set_random_seed(job.seed)
    training = prepare_training(arm, job, settings)
    source, network = Source(settings, job, arm), training.network
    sets = ("validation",) if job.stage == "tuning" else ("validation", "test")
    epoch = settings.streets // settings.batch_size
    seconds, history = {}, {name: [] for name in sets}
    for step in range(job.steps):
        inputs, targets, tasks, presence = source.batch(step)
        began = time.process_time()
        training.step(inputs, targets, tasks=tasks, presence=presence)
        seconds.setdefault(tuple(tasks), []).append(time.process_time() - began)
        if job.stage == "main" and job.arm in WATCHED and (step + 1) % epoch == 0:
            for name, figures in history.items():
                figures.append(_measure_unless_diverged(network, held_out(settings, name), arm.tasks))
    figures = {name: _measure_unless_diverged(network, held_out(settings, name), arm.tasks) for name in sets}
    return {
        "images": job.steps * settings.batch_size,
        "updates": {name: sum(len(each) for tasks, each in seconds.items() if name in tasks) for name in arm.tasks},
        "parameters": used_parameters(network, arm.tasks),
        "seconds_per_step": round(float(np.mean([np.median(each) for each in seconds.values()])), 4),
        "seconds": round(time.process_time() - started, 1),
        "weights": hash_of(network),
        **figures,
        **({"history": history} if history["validation"] else {}),
    }


# Networks ------------------------------------------------------------------------------------------------------------


def build_parts(settings, wider=False):
    """Encoder, detection head and depth head, as small as the settings say; the encoder's start is the same always."""
    channels = settings.neck_channels
    shared = encoder.build_encoder(settings.channels, (1,) * (len(settings.channels) - 1), channels)
    head, depth_head = two_maps(channels, channels), depth.build_depth_head(channels, settings.depth_channels)
    if wider:
        wanted = head.count_params() + depth_head.count_params()
        width = next(width for width in range(channels, 999) if two_maps(channels, width).count_params() >= wanted)
        head = two_maps(channels, width)
    return shared, head, depth_head


def two_maps(feature_channels, channels):
    """A detection head without its map of distances and dimensions."""
    head = detection.build_detection_head(feature_channels, channels)
    outputs = {name: head.output[name] for name in TASKS["detection"]}
    return keras.Model(head.input, outputs, name="detection_head")


def prepare_training(arm, job, settings):
    """The `multitask.TaskTraining` of an arm: Adam, a short warm-up, and a cosine that ends with the job."""
    optimizers = len(arm.tasks) if arm.by_turns and not arm.one_optimizer else 1
    steps = job.steps // optimizers
    warm_up = max(1, steps // 20)
    rate = keras.optimizers.schedules.CosineDecay(
        job.rate / 50, max(1, steps - warm_up), alpha=0.01, warmup_target=job.rate, warmup_steps=warm_up
    )
    ways = {
        None: lambda: None,
        "uncertainty": lambda: weighing.LearntUncertainty(TASKS),
        "surgery": weighing.GradientSurgery,
    }
    return multitask.TaskTraining(
        model.compose(*build_parts(settings, arm.wider)),
        TASKS,
        {name: LOSSES[name] for outputs in TASKS.values() for name in outputs},
        keras.optimizers.Adam(rate),
        {**LOSS_WEIGHTS, "depth": arm.depth_weight},
        arm.one_optimizer,
        ways[arm.weighing](),
    )


def used_parameters(network, tasks):
    """Parameters that a network of these tasks needs at prediction."""
    heads = {"detection": "detection_head", "depth": "depth_head"}
    return sum(network.get_layer(name).count_params() for name in ["encoder", *(heads[task] for task in tasks)])


def hash_of(network):
    """A short hash of all weights: equal if and, for all one will ever see, only if they are equal to the bit."""
    digest = hashlib.sha256()
    for values in network.get_weights():
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()[:16]


# Data ----------------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=3)
def draw_examples(seed, count, height, width):
    """Streets as `dataset.Example`: the same for the same seed, drawn once per process."""
    return [
        dataset.make_example(streets.draw_street([seed, index], height, width), height, width) for index in range(count)
    ]


def held_out(settings, name):
    """The validation or the test streets; of the seeds that the whole course validates and tests with."""
    seed, count = {
        "validation": (VALIDATION_SEED, settings.validation_streets),
        "test": (TEST_SEED, settings.test_streets),
    }[name]
    return draw_examples(seed, count, settings.height, settings.width)


def labelled(regime, tasks, count):
    """Which streets have labels of which task.

    Args:
        regime: "both": all have both; "halves": the first half has boxes, the rest depth; "9 to 1": nine tenths have
            boxes, the rest depth.
        tasks: Names of tasks.
        count: Number of streets.

    Returns:
        ``{task: (count,) bool}``.
    """
    boxes = np.arange(count) < round(REGIMES[regime] * count)
    masks = {"detection": boxes, "depth": np.ones(count, bool) if regime == BOTH else ~boxes}
    return {name: masks[name] for name in tasks}


class Source:
    """Which batch a step trains on, and what of it: a function of seed and step alone.

    An arm that trains one task at a time draws its batches from the streets that are labelled for that task; one that
    trains both at once draws from all streets and says which of them have which label.
    """

    def __init__(self, settings, job, arm):
        examples = draw_examples(STREETS_SEED + job.seed, settings.streets, settings.height, settings.width)
        self.settings, self.job, self.arm = settings, job, arm
        self.masks = labelled(job.regime, arm.tasks, len(examples))
        self.alone = arm.by_turns or len(arm.tasks) == 1
        self.examples = {
            name: [each for each, known in zip(examples, mask, strict=True) if known]
            for name, mask in self.masks.items()
        }
        self.all = examples
        self.partners = shuffled_depth(examples, job.seed) if arm.shuffled else None
        self._epochs = {}

    def batch(self, step):
        """Returns ``(inputs, targets, tasks, presence)`` as `multitask.TaskTraining.step` wants them."""
        if self.alone:
            tasks = [self.arm.tasks[step % len(self.arm.tasks)]]
            turn = step // len(self.arm.tasks)
            inputs, targets, _ = self._one(tasks[0], self.examples[tasks[0]], turn)
            return inputs, targets, tasks, None
        inputs, targets, chosen = self._one("all", self.all, step)
        if self.partners:
            targets["depth"] = self._one("partners", self.partners, step)[1]["depth"]
        presence = None
        if self.job.regime != BOTH:
            presence = {name: mask[chosen] for name, mask in self.masks.items()}
        return inputs, targets, list(self.arm.tasks), presence

    def _one(self, name, examples, turn):
        size = self.settings.batch_size
        epoch, index = divmod(turn, len(examples) // size)
        if self._epochs.get(name, (None,))[0] != epoch:
            self._epochs[name] = epoch, dataset.Batches(examples, size, self.job.seed, epoch)
        batches = self._epochs[name][1]
        inputs, targets = batches[index]
        return inputs, targets, batches.order[index * size : (index + 1) * size]


def shuffled_depth(examples, seed):
    """The same streets, each with the depth and the instances of another: the control that keeps everything but sense.

    Rotating a random order by one leaves no street its own depth.
    """
    order = np.random.default_rng([seed, 9]).permutation(len(examples))
    partner = np.empty(len(examples), int)
    partner[order] = np.roll(order, 1)
    return [examples[index] for index in partner]


# Measures ------------------------------------------------------------------------------------------------------------


def measure(network, examples, tasks):
    """What a network is worth on some streets.

    Args:
        network: One of `model.compose`.
        examples: `dataset.Example`.
        tasks: Which of its tasks were trained: the others are not measured.

    Returns:
        ``ap50``, mean over the classes that there are, and ``ap50_CLASS``, 0 to 1; ``abs_rel`` of the depth map over
        all pixels with depth, ``abs_rel_boxes`` over those inside labelled boxes. None for a task that was not trained.
    """
    found, depths = predict(network, examples)
    figures = dict.fromkeys(("ap50", *(f"ap50_{name}" for name in CLASSES), "abs_rel", "abs_rel_boxes"))
    if "detection" in tasks:
        precision = metrics.average_precision([truth_of(each) for each in examples], found, CLASSES)
        figures |= {f"ap50_{name}": each["ap50"] for name, each in precision.items()}
        there = [each["ap50"] for each in precision.values() if each["count"]]
        figures["ap50"] = float(np.mean(there)) if there else None
    if "depth" in tasks:
        true = np.stack([each.depth for each in examples]) * dataset.DEPTH_STEP
        figures["abs_rel"] = metrics.depth_errors(depths, true)["abs_rel"]
        inside = np.stack([metrics.inside_boxes(each.boxes, *each.depth.shape) for each in examples])
        figures["abs_rel_boxes"] = metrics.depth_errors(depths, true, inside)["abs_rel"]
    return {name: value if value is None else round(value, 5) for name, value in figures.items()}


def _measure_unless_diverged(network, examples, tasks):
    finite = all(np.isfinite(values).all() for values in network.get_weights())
    return measure(network, examples, tasks) if finite else None


def predict(network, examples, size=50):
    """Candidates of every street as `metrics.average_precision` wants them, and (n, height, width) canonical metres."""
    found, depths = [], []
    for first in range(0, len(examples), size):
        some = examples[first : first + size]
        images, cameras = np.stack([each.image for each in some]), np.stack([each.camera for each in some])
        outputs = network.predict_on_batch({"image": images.astype(np.float32), "camera": cameras})
        depths.append(np.exp(outputs["depth"][..., 0]))
        unused = np.zeros((*outputs["box"].shape[:3], len(detection.OBJECT_FIELDS)), np.float32)
        peaks = detection.per_image(detection.decode({**outputs, "object": unused}))
        found += [model.within_photo(one, *images.shape[1:3]) for one in peaks]
    return found, np.concatenate(depths)


def truth_of(example):
    """Boxes and ignored regions of an `Example` as `metrics.average_precision` wants them."""
    objects, ignored = len(example.boxes), len(example.ignored_boxes)
    return {
        "boxes": np.concatenate([example.boxes, example.ignored_boxes]),
        "labels": np.concatenate([example.labels, np.full(ignored, -1)]),
        "ignored": np.arange(objects + ignored) >= objects,
    }
