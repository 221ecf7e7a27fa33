"""The command line: thin over the modules. ``python -m roidepth_lessons COMMAND --help`` explains each command."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from . import DATA_FOLDER

WEIGHTS = DATA_FOLDER / "weights" / "streets.keras"


def main(arguments=None):
    """Runs one command. Returns the exit code: 0 well, 1 something is missing, 2 wrong input."""
    options = _parser().parse_args(arguments)
    try:
        return options.handler(options) or 0
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
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

    streets = add("streets", streets_command, "draw street scenes in the KITTI layout")
    streets.add_argument("out", help="folder to write; an interrupted run goes on")
    streets.add_argument("--count", type=int, required=True)
    streets.add_argument("--seed", type=int, required=True)
    streets.add_argument("--height", type=int, default=128, help="pixels (default %(default)s)")
    streets.add_argument("--width", type=int, default=416, help="pixels (default %(default)s)")
    streets.add_argument("--workers", type=int, help="processes (default: one per core)")

    train = add("train", train_command, "train the network, from streets or from a folder in the KITTI layout")
    train.add_argument("--data", help="folder in the KITTI layout (default: streets)")
    train.add_argument("--from", dest="start", help="weights to start from")
    train.add_argument("--out", default=str(DATA_FOLDER / "cache" / "weights" / "trained.keras"))
    train.add_argument("--run", help="folder for checkpoints and log (default: beside --out)")
    train.add_argument("--streets", type=int, help="how many to draw, without --data")
    train.add_argument("--epochs", type=int)
    train.add_argument("--batch-size", type=int)
    train.add_argument("--learning-rate", type=float)
    train.add_argument("--height", type=int, help="pixels, a multiple of 32")
    train.add_argument("--width", type=int, help="pixels, a multiple of 32")
    train.add_argument("--seed", type=int)

    evaluate = add("evaluate", evaluate_command, "measure the network on a folder in the KITTI layout")
    evaluate.add_argument("root", help="folder in the KITTI layout")
    evaluate.add_argument("--ids", help="text file with one frame id a line (default: all frames)")

    predict = add("predict", predict_command, "find the objects in photos and say how far each is")
    predict.add_argument("images", nargs="+", help="PNG or JPEG files")
    predict.add_argument("--calib", help="KITTI calibration file of the camera that took the photos")
    predict.add_argument("--threshold", type=float, help="lowest score, 0 to 1")
    predict.add_argument("--figure", help="PNG to draw (for several photos: a number is added)")

    benchmark = add("benchmark", benchmark_command, "time detection, ROI decoding and full decoding in one run")
    benchmark.add_argument("--height", type=int, default=128, help="pixels, a multiple of 32 (default %(default)s)")
    benchmark.add_argument("--width", type=int, default=416, help="pixels, a multiple of 32 (default %(default)s)")

    for command in (evaluate, predict, benchmark):
        command.add_argument("--weights", default=str(WEIGHTS), help="default: the shipped ones")
        command.add_argument("--json", help="file to write the result to")
    for command in (evaluate, predict):
        command.add_argument("--mode", choices=("roi", "full", "auto"), default="auto", help="what depth to decode")
    return parser


def check_command(options):
    """Installation, or a data set."""
    from . import installation

    if options.root is None:
        return installation.report()
    from . import kitti

    problems = kitti.check_dataset(options.root)
    print("\n".join(problems) or f"{options.root}: all files are there and can be read")
    return 1 if problems else 0


def streets_command(options):
    """Needs no Keras, so it starts at once."""
    from . import streets

    streets.write_streets(
        options.out, options.count, options.seed, options.height, options.width, workers=options.workers
    )


def train_command(options):
    """Settings that were not given keep their defaults."""
    _start_keras()
    from . import train

    given = {name: getattr(options, name) for name in train.Settings.__dataclass_fields__}
    settings = train.Settings(**{name: value for name, value in given.items() if value is not None})
    run_folder = options.run or Path(options.out).with_suffix("").as_posix() + "_run"
    train.train(settings, run_folder, options.out)
    print(f"wrote {options.out}")


def evaluate_command(options):
    """Prints a short table; everything is in the JSON."""
    frame_ids = _read_ids(options.ids) if options.ids else None
    model = _load(options.weights)
    from . import evaluate

    def count(done, total):
        print(f"\rmeasured {done} of {total} frames", end="", flush=True)

    figures = evaluate.evaluate(model, options.root, frame_ids, options.mode, count)
    print()
    print(evaluate.table(figures))
    _write_json(options.json, figures)


def predict_command(options):
    """One row per object."""
    from . import kitti

    photos = [(path, kitti.read_image(path)) for path in options.images]
    calibration = kitti.read_calibration(options.calib) if options.calib else None
    model = _load(options.weights)
    from .model import default_camera

    if calibration is None:
        print("no --calib: assuming KITTI's field of view; distances are right only up to a common factor")
    results = []
    for number, (path, image) in enumerate(photos):
        camera = calibration.camera(*image.shape[:2]) if calibration else default_camera(image)
        prediction = model.predict(image, camera, options.mode, options.threshold)
        print(f"{path}: {len(prediction.objects)} objects, {prediction.head_work:.0%} of the depth head's work")
        for each in prediction.objects:
            print(f"  {each.name:<11}{each.score:5.2f}  {each.distance_m:6.1f} m ± {each.distance_spread_m:.1f}")
        results.append(_prediction_row(path, camera, prediction))
        if options.figure:
            _draw(options.figure, number, len(photos), image, prediction)
    _write_json(options.json, results)


def _prediction_row(path, camera, prediction):
    rows = [
        {("class" if key == "name" else key): value for key, value in asdict(each).items()}
        for each in prediction.objects
    ]
    return {
        "image": str(path),
        "focal_length_pixels": camera.focal_length[0],
        "head_work": prediction.head_work,
        "objects": rows,
    }


def _draw(figure, number, count, image, prediction):
    from . import draw

    path = Path(figure)
    path = path.with_name(f"{path.stem}_{number:03d}{path.suffix}") if count > 1 else path
    draw.save(draw.result(image, prediction.objects, prediction.depth), path)


def benchmark_command(options):
    """Prints and writes the same figures."""
    model = _load(options.weights)
    from . import benchmark

    figures = benchmark.benchmark(model, options.height, options.width)
    print(json.dumps(figures, indent=2))
    _write_json(options.json, figures)


def _start_keras():
    from .session import start

    start()


def _load(weights):
    _start_keras()
    from .model import RoiDepth

    return RoiDepth.load(weights)


def _read_ids(path):
    try:
        ids = Path(path).read_text().split()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text file of frame ids") from error
    if not ids:
        raise ValueError(f"{path}: holds no frame id")
    return ids


def _write_json(path, content):
    if path:
        from . import kitti

        text = json.dumps(content, indent=2) + "\n"
        kitti.write_atomically(path, lambda file: file.write(text.encode()))


if __name__ == "__main__":
    sys.exit(main())
