"""How wide must the depth head be? Heads of several widths on one trained encoder: python tests/head_width.py

A heavy depth head flatters a method that leaves most of it out. So heads of other widths are trained, two seeds
each, on the features of the shipped encoder, which stays as it is, and so does the detection head: all are measured
on the same boxes of the same validation streets (seed 100002). The heads see windows of the features at random places;
since they are closed under cropping, that is the same as decoding the frame and cutting the windows out of it. Written
to ``data/results/head_width.json`` after every run; a second call makes what is missing.
"""

import argparse
import json
import time
from itertools import product

import numpy as np

from roidepth_lessons import DATA_FOLDER, SHIPPED_WEIGHTS
from roidepth_lessons.session import start

OUT = DATA_FOLDER / "results" / "head_width.json"
WIDTHS = (6, 4), (12, 8), (24, 16), (48, 32), (96, 64)
"""Channels at stride 4 and at stride 2; the course's head has 48 and 32."""
WINDOW = 16, 52
"""Cells of a training window: half the rows and half the columns of a street."""
BATCH_SIZE, LEARNING_RATE = 8, 2e-3


def read_features(network, examples):
    """The encoder's padded features of every example, and its depth targets: two lists of float16 and float32."""
    from roidepth_lessons import dataset, depth

    features, targets = [], []
    for example in examples:
        inputs = [example.image[None].astype("float32"), example.camera[None].astype("float32")]
        padded = depth.pad_features(network.get_layer("encoder").predict_on_batch(inputs))
        features.append(np.asarray(padded)[0].astype("float16"))
        targets.append(dataset.encode(example)["depth"])
    return features, targets


def random_windows(features, targets, generator):
    """One batch: windows at random places of random examples."""
    from roidepth_lessons import depth

    rows, columns = WINDOW
    inputs, truth = [], []
    for index in generator.choice(len(features), BATCH_SIZE, replace=False):
        height, width = (size - 2 * depth.HALO for size in features[index].shape[:2])
        top, left = generator.integers(height - rows + 1), generator.integers(width - columns + 1)
        bottom, right = top + rows + 2 * depth.HALO, left + columns + 2 * depth.HALO
        inputs.append(features[index][top:bottom, left:right].astype("float32"))
        pixels = np.s_[4 * top : 4 * (top + rows), 4 * left : 4 * (left + columns)]
        truth.append(targets[index][pixels])
    return np.stack(inputs), np.stack(truth)


def train_head(width, seed, features, targets, steps):
    """A depth head of these channels, trained on windows of the features."""
    import keras

    from roidepth_lessons import depth

    keras.utils.set_random_seed(seed)
    head = depth.build_depth_head(features[0].shape[-1], width)
    schedule = keras.optimizers.schedules.CosineDecay(
        LEARNING_RATE / 50, steps, alpha=0.01, warmup_target=LEARNING_RATE, warmup_steps=steps // 20
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=0.01, global_clipnorm=10.0)
    head.compile(optimizer=optimizer, loss=depth.depth_loss)
    generator = np.random.default_rng(seed)
    for _ in range(steps):
        head.train_on_batch(*random_windows(features, targets, generator))
    return head


def measure(network, head, root):
    """Errors of the distances, and of the depth inside boxes, with this head in place of the network's own."""
    from roidepth_lessons import evaluate, model

    program = model.RoiDepth(model.compose(network.get_layer("encoder"), network.get_layer("detection_head"), head))
    figures = evaluate.evaluate(program, root)
    return {
        "distance": figures["distance"]["all"]["abs_rel"],
        "inside_boxes": figures["depth"]["inside_boxes"]["abs_rel"],
        "image": figures["depth"]["image"]["abs_rel"],
        "objects": figures["distance"]["all"]["count"],
    }


def stored_runs(out=OUT):
    """The runs that are in the file already."""
    return json.loads(out.read_text())["runs"] if out.exists() else []


def keep_run(run, figures, out=OUT):
    """Prints a run and adds it to the file, which keeps those that another process has made meanwhile."""
    from roidepth_lessons import kitti

    print(json.dumps(run), flush=True)
    kitti.write_json(out, {**figures, "runs": [*stored_runs(out), run]})


def parse(arguments, description, steps):
    """The options of an experiment on widths; `steps` is the default of one of them."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--streets", type=int, default=1200)
    parser.add_argument("--validation", type=int, default=150)
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args(arguments)


def main(arguments=None):
    """Trains what is missing, measures it, and writes the table."""
    options = parse(arguments, __doc__, steps=1200)
    start(threads=options.threads)
    from roidepth_lessons import depth, model, study_book, train

    network = model.RoiDepth.load(SHIPPED_WEIGHTS).network
    settings = {name: vars(options)[name] for name in ("streets", "validation", "steps")}
    settings |= {"window": list(WINDOW), "batch_size": BATCH_SIZE, "learning_rate": LEARNING_RATE}
    made = [(tuple(run["channels"]), run["seed"]) for run in stored_runs()]
    waiting = [(width, seed) for seed, width in product(options.seeds, WIDTHS) if (width, seed) not in made]
    validation = train.street_folder(options.validation, 100002)
    examples = train.read_examples(train.street_folder(options.streets, 100004), 128, 416) if waiting else []
    features, targets = read_features(network, examples)
    own = {"channels": None, "seed": None, **measure(network, network.get_layer("depth_head"), validation)}
    for width, seed in waiting:
        began = time.perf_counter()
        head = train_head(width, seed, features, targets, options.steps)
        work = depth.HeadWork(head)
        run = {
            "channels": list(width), "seed": seed, "parameters": head.count_params(),
            **measure(network, head, validation), "operations_384x1248": float(work(96, 312)),
            "seconds": round(time.perf_counter() - began),
        }  # fmt: skip
        keep_run(run, {**settings, "shipped_head": own, **study_book.facts("python tests/head_width.py")})


if __name__ == "__main__":
    main()
