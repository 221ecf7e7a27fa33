"""One command that makes the weights: from streets, or from any folder in the KITTI layout.

A run lives in a folder: ``settings.json``, ``log.jsonl`` (a line per epoch), and after every epoch the weights with
the optimizer's state. A run that was killed goes on from its last full epoch and ends with the same weights as one
that was not, since the order of the data is a function of the epoch.
"""

import json
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np

from . import DATA_FOLDER, __version__, dataset, depth, detection, kitti, model, streets

LOSSES = {
    "heatmap": detection.heatmap_loss,
    "box": detection.box_loss,
    "object": detection.object_loss,
    "depth": depth.depth_loss,
}
LOSS_WEIGHTS = {"heatmap": 1.0, "box": 2.0, "object": 1.0, "depth": 3.0}


@dataclass(frozen=True)
class Settings:
    """What a run depends on.

    Args:
        streets: How many training streets to draw, if no folder is given.
        epochs: Passes over the training frames.
        batch_size: Frames per step.
        learning_rate: The highest, after the warm-up.
        height, width: Size of the training images in pixels, multiples of 32.
        seed: Seed of streets, start weights and order.
        data: Folder in the KITTI layout, or None for streets.
        start: Weights file to start from, or None.
    """

    streets: int = 12000
    epochs: int = 6
    batch_size: int = 16
    learning_rate: float = 2e-3
    height: int = 128
    width: int = 416
    seed: int = 1
    data: str | None = None
    start: str | None = None


VALIDATION_SEED, TEST_SEED = 100_002, 100_003
"""Seeds of the streets that choose settings, and of those that are only ever reported."""


def street_folder(count, seed, height=128, width=416):
    """A folder of streets in ``data/cache``, drawn if need be."""
    folder = DATA_FOLDER / "cache" / f"streets_{height}x{width}_seed{seed}"
    streets.write_streets(folder, count, seed=seed, height=height, width=width)
    return folder


def read_examples(root, height, width, limit=None):
    """All frames of a folder in the KITTI layout as a list of `dataset.Example`, with progress on one line."""
    examples = []
    frame_ids = kitti.frame_ids(root)[:limit]
    for frame_id in frame_ids:
        examples.append(dataset.make_example(kitti.read_frame(root, frame_id), height, width))
        if len(examples) % 50 == 0 or len(examples) == len(frame_ids):
            print(f"\rread {len(examples)} of {len(frame_ids)} frames", end="", flush=True)
    print()
    return examples


def compile_network(network, steps, learning_rate):
    """Both tasks' losses in one weighted sum, AdamW, warm-up over the first twentieth, cosine decay."""
    warm_up = max(1, steps // 20)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=learning_rate / 50,
        decay_steps=max(1, steps - warm_up),
        alpha=0.01,
        warmup_target=learning_rate,
        warmup_steps=warm_up,
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=0.01, global_clipnorm=10.0)
    network.compile(optimizer=optimizer, loss=LOSSES, loss_weights=LOSS_WEIGHTS)


def train(settings, run_folder, out):
    """Trains a network and writes it.

    Args:
        settings: `Settings`.
        run_folder: Where checkpoints and the log go. An unfinished run there goes on, if its settings are the same.
        out: ``.keras`` file to write.

    Returns:
        The trained network.

    Raises:
        ValueError: if `run_folder` holds a run with other settings, or the sizes don't suit.
    """
    run_folder, out = Path(run_folder), Path(out)
    if settings.height % 32 or settings.width % 32:
        raise ValueError(f"height and width must be multiples of 32, got {settings.height}x{settings.width}")
    if out.suffix != ".keras":
        raise ValueError(f"{out}: the name of a weights file must end in .keras")
    _claim_run(run_folder, settings)
    keras.utils.set_random_seed(settings.seed)
    network = model.RoiDepth.load(settings.start).network if settings.start else model.build_network()
    size = settings.height, settings.width
    root = settings.data or street_folder(settings.streets, settings.seed, *size)
    examples = read_examples(root, *size, limit=None if settings.data else settings.streets)
    compile_network(network, settings.epochs * (len(examples) // settings.batch_size), settings.learning_rate)
    network.optimizer.build(network.trainable_variables)
    for epoch in range(_resume(network, run_folder), settings.epochs):
        _run_epoch(network, examples, settings, epoch, run_folder)
    bare = _finish(network, out)
    write_card(run_folder, out)
    return bare


def write_card(run_folder, out):
    """Writes ``NAME.json`` beside the weights: what made them, on what, how long it took, the losses on the way."""
    settings = json.loads((run_folder / "settings.json").read_text())
    epochs = [json.loads(line) for line in (run_folder / "log.jsonl").read_text().splitlines()]
    changed = {name: value for name, value in settings.items() if value != Settings.__dataclass_fields__[name].default}
    flags = "".join(f" --{'from' if name == 'start' else name.replace('_', '-')} {changed[name]}" for name in changed)
    card = {
        "command": f"python -m roidepth_lessons train{flags} --out {out.name}",
        "data": settings["data"] or f"{settings['streets']} drawn streets, seed {settings['seed']}",
        "settings": settings,
        "training_seconds": round(sum(each["seconds"] for each in epochs)),
        "versions": {"python": platform.python_version(), "keras": keras.__version__, "package": __version__},
        "backend": keras.backend.backend(),
        "epochs": epochs,
    }
    text = json.dumps(card, indent=2) + "\n"
    kitti.write_atomically(out.with_suffix(".json"), lambda file: file.write(text.encode()))


def _run_epoch(network, examples, settings, epoch, run_folder):
    started = time.monotonic()
    batches = dataset.Batches(examples, settings.batch_size, settings.seed, epoch)
    progress = Progress(len(batches), f"epoch {epoch + 1} of {settings.epochs}")
    history = network.fit(batches, epochs=1, verbose=0, callbacks=[progress])
    losses = {name: round(values[0], 5) for name, values in history.history.items()}
    if not all(np.isfinite(list(losses.values()))):
        raise ValueError(f"training diverged in epoch {epoch + 1}: {losses}; a lower learning rate may help")
    _save_checkpoint(network, run_folder, epoch + 1)
    line = {"epoch": epoch + 1, "seconds": round(time.monotonic() - started, 1), **losses}
    with open(run_folder / "log.jsonl", "a") as log:
        log.write(json.dumps(line) + "\n")


def _claim_run(run_folder, settings):
    run_folder.mkdir(parents=True, exist_ok=True)
    path = run_folder / "settings.json"
    wanted = json.dumps(asdict(settings), indent=2)
    if path.exists() and path.read_text() != wanted:
        raise ValueError(f"{path} is of a run with other settings; choose another folder or remove this one")
    kitti.write_atomically(path, lambda file: file.write(wanted.encode()))


def _save_checkpoint(network, run_folder, epoch):
    temporary = run_folder / ".writing.weights.h5"
    network.save_weights(temporary)
    temporary.replace(run_folder / f"epoch{epoch:03d}.weights.h5")
    for old in sorted(run_folder.glob("epoch*.weights.h5"))[:-1]:
        old.unlink()


def _resume(network, run_folder):
    """Loads the newest checkpoint, if there is one. Returns how many epochs are done."""
    checkpoints = sorted(run_folder.glob("epoch*.weights.h5"))
    if not checkpoints:
        return 0
    network.load_weights(checkpoints[-1])
    return int(checkpoints[-1].name[5:8])


def _finish(network, out):
    out.parent.mkdir(parents=True, exist_ok=True)
    bare = model.compose(*(network.get_layer(name) for name in ("encoder", "detection_head", "depth_head")))
    temporary = out.with_name(f".writing_{out.name}")
    bare.save(temporary)
    temporary.replace(out)
    return bare


class Progress(keras.callbacks.Callback):
    """One line that counts while an epoch runs, and ends as a constant text."""

    def __init__(self, steps, title):
        super().__init__()
        self.steps, self.title, self.started = steps, title, time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        """Rewrites the line."""
        left = (time.monotonic() - self.started) / (batch + 1) * (self.steps - batch - 1)
        text = f"{self.title}: step {batch + 1} of {self.steps}, loss {logs['loss']:.3f}, {left:.0f} s left"
        print(f"\r{text:<78}", end="", flush=True)

    def on_epoch_end(self, epoch, logs=None):
        """Ends the line."""
        print(f"\r{self.title + ': done':<78}", flush=True)
