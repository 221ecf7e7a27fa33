"""Is the encoder too wide? Networks with leaner encoders, trained alike: python tests/encoder_width.py

No trick with windows makes a frame cheaper than detection, so a leaner detector is the one way to a smaller share of
full decoding. Networks of several widths are trained from random weights, several seeds each, briefly and on the same
streets, and measured on the same validation streets (seed 100002). The depth head is the course's own in all of them.
Written to ``data/results/encoder_width.json`` after every run; a second call makes what is missing.
"""

import time
from itertools import product

from head_width import keep_run, parse, stored_runs

from roidepth_lessons import CLASSES, DATA_FOLDER
from roidepth_lessons.session import start

OUT = DATA_FOLDER / "results" / "encoder_width.json"
ENCODERS = (
    ((24, 48, 64, 96, 128), (2, 2, 2, 2)),
    ((16, 24, 48, 96, 128), (1, 2, 2, 2)),
    ((16, 24, 48, 128, 192), (1, 2, 2, 2)),
    ((16, 24, 48, 64, 96), (1, 1, 1, 1)),
)
"""Channels at strides 2 to 32, blocks at strides 4 to 32: the course's, the lean one, the lean one with more channels
where cells are few, and a still leaner one."""
BATCH_SIZE, LEARNING_RATE = 16, 2e-3


def train_network(channels, blocks, seed, examples, steps):
    """A network with such an encoder, trained on both tasks."""
    import keras

    from roidepth_lessons import dataset, model, train

    keras.utils.set_random_seed(seed)
    network = model.build_network(channels=channels, blocks=blocks)
    train.compile_network(network, steps, LEARNING_RATE)
    epoch = len(dataset.Batches(examples, BATCH_SIZE))
    for number in range(-(-steps // epoch)):
        batches = dataset.Batches(examples, BATCH_SIZE, seed, number)
        network.fit(batches, steps_per_epoch=min(epoch, steps - number * epoch), verbose=0)
    return network


def measure(network, root):
    """Work of a frame of 384x1248, and what the network finds on the streets of a folder."""
    from roidepth_lessons import benchmark, evaluate, model

    program = model.RoiDepth(network)
    figures = evaluate.evaluate(program, root)
    return {
        "detection_384x1248": benchmark.detection_work(program, 384, 1248),
        "head_384x1248": float(program.head_work(96, 312)),
        "ap50": {name: figures["detection"][name]["ap50"] for name in CLASSES},
        "distance": figures["distance"]["all"]["abs_rel"],
        "inside_boxes": figures["depth"]["inside_boxes"]["abs_rel"],
    }


def main(arguments=None):
    """Trains what is missing, measures it, and writes the table."""
    options = parse(arguments, __doc__, steps=600)
    start(threads=options.threads)
    from roidepth_lessons import study_book, train

    settings = {name: vars(options)[name] for name in ("streets", "validation", "steps")}
    settings |= {"batch_size": BATCH_SIZE, "learning_rate": LEARNING_RATE}
    made = [(run["channels"], run["blocks"], run["seed"]) for run in stored_runs(OUT)]
    waiting = [([*channels], [*blocks], seed) for (channels, blocks), seed in product(ENCODERS, options.seeds)]
    waiting = [run for run in waiting if run not in made]
    validation = train.street_folder(options.validation, 100002)
    examples = train.read_examples(train.street_folder(options.streets, 100004), 128, 416) if waiting else []
    for channels, blocks, seed in waiting:
        began = time.perf_counter()
        network = train_network(channels, blocks, seed, examples, options.steps)
        run = {"channels": channels, "blocks": blocks, "seed": seed, "parameters": network.count_params()}
        run |= {**measure(network, validation), "seconds": round(time.perf_counter() - began)}
        keep_run(run, {**settings, **study_book.facts("python tests/encoder_width.py")}, OUT)


if __name__ == "__main__":
    main()
