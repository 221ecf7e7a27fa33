"""One command that makes the weights: from streets, or from any folder in the KITTI layout.

A run lives in a folder: ``settings.json``, ``log.jsonl`` (a line per epoch), and after every epoch the weights with
the optimizer's state (the last two are kept). A run that was killed goes on from its last full epoch and ends with
the same weights as one that was not, since the order of the data is a function of seed and epoch.

Of real frames whose drives are known (``drives.tsv``), some drives are trained on and others held out: ``train.txt``,
``validation.txt`` and ``test.txt`` in the run's folder say which frames are which.

Several processes, on machines that share the folders, can train together (`distributed`): each reads its own shards of
the frames, the first writes. The batches depend on the number of shards, not on who reads them, so a run that several
processes began may go on in one.
"""

import itertools
import json
import platform
import random
import tempfile
import textwrap
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np

from . import (
    DATA_FOLDER,
    __version__,
    augmentation,
    dataset,
    depth,
    detection,
    distributed,
    drive_split,
    kitti,
    model,
    multitask,
    streets,
)
from .processes import only_run
from .session import ProgressLine, fit_progress

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
        augmentation: "plain" or "strong", see `augmentation.STRENGTHS`.
        encoder: One of `model.ENCODERS`. A file to start from brings its own.
        folds, fold: If the drives of the folder are known, they are dealt out into so many groups, and this one, from 1
            on, is the test (`drive_split.split_by_drive`). 0 folds: train on all frames, nothing is held out.
        validation: How many of those groups are held out for choosing; 0 if nothing is chosen.
        shards: Training frame i belongs to shard ``i % shards``, and every batch takes equally many of each: so that
            several processes can each read their own shards only. Other shards, other batches.
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
    augmentation: str = "plain"
    encoder: str = "residual"
    folds: int = 5
    fold: int = 1
    validation: int = 1
    shards: int = 1


NO_CARD = "{}: no card beside it, so nobody can say which drives it has seen"
"""What is said of weights that :func:`drives_seen` knows nothing of."""
SPLIT_SEED = 0
"""The same split for every training, whatever its own seed is."""
VALIDATION_SEED, TEST_SEED = 100_002, 100_003
"""Seeds of the streets that choose settings, and of those that are only ever reported."""


def street_folder(count, seed, height=128, width=416, processes=distributed.ALONE):
    """A folder of streets in ``data/cache``, drawn if need be; of several processes, each draws its share."""
    folder = DATA_FOLDER / "cache" / f"streets_{height}x{width}_seed{seed}"
    share = {"shard": processes.index, "shards": processes.count}
    streets.write_streets(folder, count, seed=seed, height=height, width=width, **share)
    return folder


def split_frames(settings, root):
    """Which frames of a folder a run trains on, and which it holds out.

    Args:
        settings: `Settings`.
        root: Folder in the KITTI layout, perhaps with a ``drives.tsv``.

    Returns:
        ``(parts, drives)``: lists of frame identifiers by `drive_split.PARTS`, and what `kitti.read_drives` says.
        Without a ``drives.tsv``, or with 0 folds, all are for training (of streets, as many as the settings say).

    Raises:
        ValueError: if ``drives.tsv`` is damaged or leaves out a frame, or if there is no such fold.
        FileNotFoundError: if there is no frame.
    """
    if settings.folds and kitti.drives_file(root).is_file():
        splits, drives = read_folds(root, settings.folds, settings.validation)
        if not 1 <= settings.fold <= settings.folds:
            raise ValueError(f"fold must be 1 to {settings.folds}, the number of folds, got {settings.fold}")
        return splits[settings.fold - 1], drives
    frame_ids, path = kitti.frame_ids(root), kitti.drives_file(root)
    limit = None if settings.data else settings.streets
    drives = kitti.read_drives(path) if path.is_file() else {}
    return {"train": frame_ids[:limit], "validation": [], "test": []}, drives


def read_folds(root, folds, validation=1):
    """All splits of a folder by its drives, and the drive of each frame, as ``drives.tsv`` says.

    Args:
        root: Folder in the KITTI layout.
        folds: How many.
        validation: How many of them each split holds out for choosing.

    Returns:
        ``(splits, drives)``: see `drive_split.split_by_drive` and `kitti.read_drives`.

    Raises:
        ValueError: if ``drives.tsv`` is missing, damaged or leaves out a frame, or there are too few drives.
        FileNotFoundError: if there is no frame.
    """
    path = kitti.drives_file(root)
    if not path.is_file():
        raise ValueError(
            f"{path} is missing: it says from which drive each frame is, and the folds are made of drives; "
            "`python -m roidepth_lessons drives DEVKIT ROOT` makes it"
        )
    frame_ids, drives = kitti.frame_ids(root), kitti.read_drives(path)
    try:
        return drive_split.split_by_drive(frame_ids, drives, folds, SPLIT_SEED, validation), drives
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def drives_seen(weights):
    """The drives that a network was trained on, as the card beside its weights file says; None if there is no card.

    Raises:
        ValueError: if the card is damaged.
    """
    card = _read_card(weights)
    return None if card is None else card.get("drives_seen", [])


def _read_card(weights):
    """The card beside a weights file; None if there is none.

    Raises:
        ValueError: if the card is damaged: to take it for none would let the network be tested on what it has seen.
    """
    path = Path(weights).with_suffix(".json")
    if not path.exists():
        return None
    card = kitti.read_json(path)
    drives = card.get("drives_seen", []) if isinstance(card, dict) else None
    if not isinstance(drives, list) or not all(isinstance(each, str) for each in drives):
        raise ValueError(f"{path} is damaged: wanted a card of weights with the list drives_seen")
    return card


def read_examples(root, height, width, frame_ids=None):
    """Frames of a folder in the KITTI layout as a list of `dataset.Example`, with progress on one line.

    Args:
        root: The folder.
        height, width: Of the examples, in pixels.
        frame_ids: Which frames; default: all.
    """
    examples = []
    frame_ids = kitti.frame_ids(root) if frame_ids is None else frame_ids
    with ProgressLine() as line:
        for frame_id in frame_ids:
            examples.append(dataset.make_example(kitti.read_frame(root, frame_id), height, width))
            line.show(f"read {len(examples)} of {len(frame_ids)} frames")
        line.end(f"read {len(examples)} of {len(frame_ids)} frames")
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


def train(settings, run_folder, out, processes=distributed.ALONE):
    """Trains a network and writes it.

    Args:
        settings: `Settings`.
        run_folder: Where checkpoints and the log go. An unfinished run there goes on, if its settings are the same.
        out: ``.keras`` file to write.
        processes: Who trains together, from `distributed.joined`. Each calls this with the same arguments; folders of
            the same name must be the same folders for all.

    Returns:
        The trained network.

    Raises:
        ValueError: if `run_folder` holds a run with other settings or only checkpoints that can't be read, if the
            sizes don't suit, if nobody knows the augmentation or the encoder, if the weights of the latter are not
            installed, if those to start from have seen a drive that is held out now, if there are fewer frames than a
            batch takes, if batches and shards can't be shared evenly, if the processes were started with different
            settings or see different files, or if the loss is no longer a number.
        RuntimeError: if another training, not one of `processes`, is at work in this folder, or makes the same weights.
        FileNotFoundError, ValueError: if a file of the data or the weights to start from is missing or damaged.
    """
    run_folder, out = Path(run_folder), Path(out)
    if settings.height % 32 or settings.width % 32:
        raise ValueError(f"height and width must be multiples of 32, got {settings.height}x{settings.width}")
    if out.suffix != ".keras":
        raise ValueError(f"{out}: the name of a weights file must end in .keras")
    if settings.augmentation not in augmentation.STRENGTHS:
        raise ValueError(f"augmentation must be one of {[*augmentation.STRENGTHS]}, got {settings.augmentation!r}")
    _check_shards(settings, processes)
    if not processes.first:  # the first holds the folder for all, and writes
        return _train(settings, run_folder, out, processes)
    with only_run(run_folder), only_run(out.parent, out.name):
        for place in (run_folder, out, out.with_suffix(".json")):
            kitti.clear_temporaries(place)
        return _train(settings, run_folder, out, processes)


def _train(settings, run_folder, out, processes):
    processes.agree("settings and version", [asdict(settings), __version__])
    if processes.first:
        _claim_run(run_folder, settings)
    keras.utils.set_random_seed(settings.seed)
    network = _start_network(settings)
    size = settings.height, settings.width
    root = settings.data or street_folder(settings.streets, settings.seed, *size, processes)
    processes.gather(0)  # until all have drawn their streets
    parts, seen = _hold_out(settings, root, run_folder if processes.first else None)
    processes.agree(f"frames of {root}", parts)
    count = len(parts["train"]) // settings.shards // (settings.batch_size // settings.shards)
    if count == 0:
        shards = f" of {settings.shards} shards" * (settings.shards > 1)
        frames = f"{len(parts['train'])} frames"
        raise ValueError(f"{root}: {frames} don't fill one batch of {settings.batch_size}{shards}")
    dealt = {shard: parts["train"][shard :: settings.shards] for shard in processes.shards(settings.shards)}
    examples = read_examples(root, *size, sum(dealt.values(), []))
    held_out = read_examples(root, *size, parts["validation"]) if parts["validation"] else []
    validation = _validation_batches(held_out, settings.batch_size)
    model.keep_photo_focal_length(network, _median_focal_length(examples, len(parts["train"]), processes))
    compile_network(network, settings.epochs * count, settings.learning_rate)
    rest = iter(examples)
    shards = {shard: list(itertools.islice(rest, len(ids))) for shard, ids in dealt.items()}
    multitask.make_variables(network, *_epoch_batches(shards, settings, 0, count)[0])
    done = _resume(network, run_folder, count, processes)
    for epoch in range(done, settings.epochs):
        _run_epoch(network, shards, settings, epoch, run_folder, validation, count, processes)
    bare = _finish(network, out, processes)
    if processes.first:
        write_card(run_folder, out, seen, processes.count)
    return bare


def _check_shards(settings, processes):
    """Raises a ValueError if every batch can't take equally many frames of each shard, and each process equally many
    shards.
    """
    if settings.batch_size % settings.shards:
        raise ValueError(
            f"--batch-size must be a multiple of {settings.shards}, the number of processes or of --shards, since "
            f"every batch is shared evenly among them; got {settings.batch_size}"
        )
    if settings.shards % processes.count:
        raise ValueError(
            f"--shards must be a multiple of {processes.count}, the number of processes; got {settings.shards}"
        )
    if processes.count > 1 and settings.batch_size % processes.devices:
        raise ValueError(
            f"--batch-size must be a multiple of {processes.devices}, the number of devices of all "
            f"{processes.count} processes; got {settings.batch_size}"
        )


def _median_focal_length(examples, frames, processes):
    """Of all processes' training frames, in pixels; `frames` is how many there are in all."""
    lengths = np.full(frames, np.nan, np.float32)
    lengths[: len(examples)] = [each.camera[0] for each in examples]
    return np.nanmedian(processes.gather(lengths))


def _hold_out(settings, root, run_folder):
    """Splits the frames, writes down the parts, and sees to it that the start has seen nothing of what is held out.

    Without a run folder, as in all processes but the first, nothing is written.

    Returns:
        ``(parts, seen)``; the second: all drives that the trained network will have seen, sorted.
    """
    parts, drives = split_frames(settings, root)
    held_out = parts["validation"] + parts["test"]
    seen = drives_seen(settings.start) if settings.start else []
    if held_out:
        if seen is None:
            print(NO_CARD.format(settings.start))
        drive_split.check_unseen(held_out, drives, seen or [])
        drive_split.check_split(parts, drives)
        for part in drive_split.PARTS if run_folder else ():
            text = "".join(f"{frame_id}\n" for frame_id in parts[part])
            kitti.write_text(run_folder / f"{part}.txt", text)
        print(f"by drive: {', '.join(f'{len(parts[part])} frames for {part}' for part in drive_split.PARTS)}")
    elif settings.data and not (Path(root) / "streets.json").is_file():
        print(f"{root}: all frames are for training; nothing is held out, so what is measured on them says little")
    return parts, sorted({*(seen or []), *(drives[frame_id] for frame_id in parts["train"] if frame_id in drives)})


def _validation_batches(examples, batch_size):
    """All held-out frames, unchanged, in batches of one size; None without any."""
    if not examples:
        return None
    size = next(size for size in range(min(batch_size, len(examples)), 0, -1) if len(examples) % size == 0)
    return dataset.Batches(examples, size, augment=False)


def _start_network(settings):
    if not settings.start:
        return model.build_network(encoder_name=settings.encoder)
    if settings.encoder != Settings.encoder:
        raise ValueError(f"{settings.start} brings its own encoder: leave out either --from or --encoder")
    return model.RoiDepth.load(settings.start).network


def write_card(run_folder, out, seen=(), processes=1):
    """Writes ``NAME.json`` beside the weights: what made them, on what, how long it took, the losses on the way.

    Args:
        run_folder: The run.
        out: The weights file.
        seen: The drives that the network was trained on, those of the weights it began from included.
        processes: How many trained together, when the run ended.

    ``epochs_not_logged`` lists the epochs, if any, of which the run folder holds no readable line; ``began_from`` says
    the same of the weights that training began from, as far back as there are cards.
    """
    settings = kitti.read_json(run_folder / "settings.json")
    epochs = read_log(run_folder)
    card = {
        "command": " ".join(["python -m roidepth_lessons train", *flags(Settings(**settings)), "--out", out.name]),
        "data": settings["data"] or f"{settings['streets']} drawn streets, seed {settings['seed']}",
        "settings": settings,
        "began_from": _history(settings["start"]),
        "drives_seen": list(seen),
        "training_seconds": round(sum(each["seconds"] for each in epochs.values())),
        "versions": {"python": platform.python_version(), "keras": keras.__version__, "package": __version__},
        "backend": keras.backend.backend(),
        "processes": processes,
        "epochs": list(epochs.values()),
        "epochs_not_logged": [number + 1 for number in range(settings["epochs"]) if number + 1 not in epochs],
    }
    kitti.write_json(out.with_suffix(".json"), card)


def _history(weights):
    """What the card beside some weights says of their making; None without weights or card."""
    card = _read_card(weights) if weights else None
    if card is None:
        return None
    return {name: card.get(name) for name in ("command", "data", "training_seconds", "began_from")}


def flags(settings):
    """The options of ``train`` that give these settings, as a list of words; what is the default is left out."""
    default, words = asdict(Settings()), {"start": "from"}
    changed = {name: value for name, value in asdict(settings).items() if value != default[name]}
    return [
        word for name, value in changed.items() for word in (f"--{words.get(name, name.replace('_', '-'))}", str(value))
    ]


def read_log(run_folder):
    """The log of a run as a dictionary from epoch (1 is the first) to its line, in order.

    A line that was cut short is left out; of an epoch that was logged twice, the last line counts.
    """
    path = Path(run_folder) / "log.jsonl"
    lines = {}
    for text in path.read_text(errors="replace").splitlines() if path.exists() else ():
        try:
            line = json.loads(text)
            epoch, seconds = int(line["epoch"]), float(line["seconds"])
            if np.isfinite(seconds):
                lines[epoch] = line | {"seconds": seconds}
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            continue
    return dict(sorted(lines.items()))


def _write_log(run_folder, lines):
    text = "".join(json.dumps(line) + "\n" for line in lines.values())
    kitti.write_text(run_folder / "log.jsonl", text)


def _epoch_batches(shards, settings, epoch, count):
    """The `count` batches of an epoch, or this process's part of them; `shards`: {number: examples} that it reads."""
    ranges = augmentation.STRENGTHS[settings.augmentation]
    if settings.shards == 1:
        return dataset.Batches(shards[0], settings.batch_size, settings.seed, epoch, ranges=ranges)
    size = settings.batch_size // settings.shards
    parts = [
        dataset.Batches(examples, size, settings.seed, epoch, ranges=ranges, shard=shard)
        for shard, examples in shards.items()
    ]
    return dataset.JoinedBatches(parts, count)


def _run_epoch(network, shards, settings, epoch, run_folder, validation=None, count=None, processes=distributed.ALONE):
    started = time.monotonic()
    batches = _epoch_batches(shards, settings, epoch, count)
    with ProgressLine() as line:
        progress = fit_progress(f"epoch {epoch + 1} of {settings.epochs}", line)
        history = network.fit(batches, epochs=1, verbose=0, callbacks=[progress])
    losses = {name: values[0] for name, values in history.history.items()}
    if validation is not None:  # all of it in every process: the mean of equal losses is the loss
        held_out = network.evaluate(validation, verbose=0, return_dict=True)
        losses |= {f"validation_{name}": value for name, value in held_out.items()}
    losses = {name: round(value, 5) for name, value in losses.items()}
    if not all(np.isfinite(list(losses.values()))):
        raise ValueError(
            f"{run_folder}: training diverged in epoch {epoch + 1}: {losses}; "
            "try a lower --learning-rate, in another run folder"
        )
    line = {"epoch": epoch + 1, "seconds": round(time.monotonic() - started, 1), **losses}
    # The log comes first: a kill in between leaves a line too many, which `_resume` takes out again.
    if processes.first:
        _write_log(run_folder, read_log(run_folder) | {epoch + 1: line})
    _save_checkpoint(network, run_folder, epoch + 1, processes)


def _claim_run(run_folder, settings):
    path = run_folder / "settings.json"
    # A run without a checkpoint, perhaps stopped by a misspelt argument, has nothing that could be spoilt.
    if _checkpoints(run_folder) and _read_settings(path) != asdict(settings):
        raise ValueError(f"{path} is of a run with other settings; choose another folder or remove this one")
    kitti.write_json(path, asdict(settings))


def _read_settings(path):
    """The settings of a run as a dictionary, or None if there are none that can be read.

    A setting that is newer than the run has its default, which stands for what was done before there was a choice.
    """
    try:
        return asdict(Settings()) | kitti.read_json(path)
    except (OSError, ValueError, TypeError):
        return None


def _checkpoints(run_folder):
    """{epochs done: file}, the newest last."""
    return {int(path.name[5:8]): path for path in sorted(run_folder.glob("epoch[0-9][0-9][0-9].weights.h5"))}


def _save_checkpoint(network, run_folder, epoch, processes=distributed.ALONE):
    if not processes.first:
        return _throw_away(network.save_weights, "unused.weights.h5")
    _save(network, network.save_weights, run_folder / f"epoch{epoch:03d}.weights.h5", ".weights.h5")
    for old in list(_checkpoints(run_folder).values())[:-2]:
        old.unlink()
    return None


def _throw_away(save, name):
    """Saves to a file that nobody wants: while Keras saves, it computes the learning rate, and with JAX, what one of
    several processes computes with shared variables all must compute.
    """
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder) / name)


def _save(network, save, path, suffix):
    """Has Keras write a file, whole or not at all.

    HDF5 takes Python down with it when it can't write to the end. So the room is taken beforehand: that fails properly.
    """
    optimizer = getattr(network, "optimizer", None)
    variables = network.variables + (optimizer.variables if optimizer else [])
    room = 1_000_000 + 2 * sum(4 * int(np.prod(each.shape)) for each in variables)

    def save_with_room(temporary):
        with open(temporary, "wb") as file:
            file.write(bytes(room))
        save(temporary)

    kitti.save_atomically(path, save_with_room, suffix)


def _resume(network, run_folder, batches, processes=distributed.ALONE):
    """Goes back to the newest checkpoint that can be read. Returns how many epochs are done."""
    done = _load_checkpoint(network, run_folder)
    processes.agree(f"the newest checkpoint in {run_folder}", done)
    if processes.first:
        _write_log(run_folder, {epoch: line for epoch, line in read_log(run_folder).items() if epoch <= done})
    # `fit` shuffles the batches once an epoch with Python's own generator: bring it to where it would be by now.
    for _ in range(done):
        random.shuffle(list(range(batches)))
    return done


def _load_checkpoint(network, run_folder):
    checkpoints = _checkpoints(run_folder)
    for done, path in reversed(checkpoints.items()):
        try:
            network.load_weights(path)
            return done
        except Exception as error:  # Keras and h5py raise many kinds for a damaged file
            reason = textwrap.shorten(str(error) or repr(error), 200)
            print(f"{path} can't be read ({reason}); going back to the checkpoint before")
    if checkpoints:
        raise ValueError(f"{path}: neither this nor a newer checkpoint can be read; remove {run_folder} to start anew")
    return 0


def _finish(network, out, processes=distributed.ALONE):
    bare = model.compose(*(network.get_layer(name) for name in ("encoder", "detection_head", "depth_head")))
    if not processes.first:
        _throw_away(bare.save, out.name)
        return bare
    _save(bare, bare.save, out, ".keras")
    return bare
