"""The two networks as files that ONNX Runtime, LiteRT or OpenVINO run, and a `RoiDepth` that runs them.

A folder of an export holds a detection graph for one size of photo, the depth head for a few sizes of windows, and
``export.json``, which says what they are. Every graph has fixed shapes, because that is what runtimes are fast at.
Planning stays outside, in NumPy. A window that is not of one of these sizes is enlarged to the next one: the depth head
is closed under cropping, so the numbers inside stay what they were, and what is too much is cut off.

    write_export("data/weights/streets.keras", "streets_onnx", "onnx", height=128, width=416)
    load("streets_onnx").predict(image, camera).objects

:func:`load` imports Keras, since the modules of the package do, but runs none of it. With TensorFlow as Keras's backend
that takes its time; a program that sets ``KERAS_BACKEND=openvino`` (or jax, or torch, whichever is installed) before it
imports this module never imports TensorFlow. Writing an export needs TensorFlow.

>>> buckets = Buckets([(2, 3), (4, 8)], rows=8, columns=12, work=lambda rows, columns: rows * columns)
>>> buckets.sizes
((2, 3), (4, 8), (8, 12))
>>> buckets.enlarge([6, 7, 8, 12])  # 2x5 cells become 4x8, moved so that they lie inside the 8x12 cells
(4, 4, 8, 12)
"""

import contextlib
import hashlib
import importlib.util
import io
import json
import logging
import os
import shutil
import uuid
import warnings
from importlib import metadata
from pathlib import Path

import numpy as np

from . import depth, encoder, kitti, roi
from .model import CANONICAL_FOCAL_LENGTH, RoiDepth, within_photo
from .session import held_stderr

FORMATS = {"onnx": ".onnx", "litert": ".tflite", "openvino": ".xml"}
PRECISIONS = ("float", "int8")
CARD = "export.json"
OUTPUTS = ("boxes", "scores", "labels", "properties", "features")
"""What the detection graph gives, in this order: `detection.decode` and the padded features."""

INSTALL = 'python -m pip install -e ".[export]"'
RUNS_WITH = {"onnx": ["onnxruntime"], "litert": ["ai_edge_litert"], "openvino": ["openvino"]}
WRITES_WITH = {
    "onnx": ["tf2onnx", "onnx", "onnxruntime"],
    "litert": ["ai_edge_litert"],
    "openvino": ["tf2onnx", "onnx", "openvino"],
}
"""Modules that must be there besides the course's own packages. OpenVINO reads the ONNX file and writes its own."""

LARGEST_DIFFERENCE = 1e-4
"""Largest difference of a float export to Keras, as a share of the largest number of that output."""

BUCKET_SHARES = (
    (6, 8), (8, 12), (10, 16), (12, 28), (18, 24), (18, 32), (20, 36), (22, 12), (22, 44), (26, 52), (28, 24),
)  # fmt: skip
"""Default sizes of windows, for a frame of 32x104 cells. Chosen one after the other, each time the one that saves most
on the boxes of a sixth of KITTI's label files (every sixth from the first on); other frames get them in proportion.
"""

CALIBRATION_SEED = 100_100
CALIBRATION_STREETS = 16
"""8-bit ranges are found on drawn streets of a seed of their own, never on frames that anything is measured on."""
COMPARISON_SEED = 100_101
"""Seed of the street on which every export is compared with Keras before it is kept."""

KEPT_IN_FLOAT = ("lateral_", "heatmap", "/box", "/object", "depth_d")
"""Layers that stay in float in 8-bit ONNX and OpenVINO: the last of each head, whose outputs are logarithms and logits,
and those that read the directions of the camera's rays beside features with a range many times as large.
"""


# Buckets -------------------------------------------------------------------------------------------------------------


class Buckets:
    """A few sizes of windows; every window fits into one of them. Also a function that counts work, for the planner.

    Called with rows and columns of windows, as `depth.HeadWork` is, it gives the work of the bucket that each would be
    decoded in, so that `roi.plan_windows` merges what is cheapest with these sizes and never costs more than the full
    frame.

    Args:
        sizes: (rows, columns) in cells; the whole frame is added.
        rows, columns: Cells of the whole frame.
        work: Function of rows and columns that gives the cost of a window, a `depth.HeadWork`.

    Raises:
        ValueError: if a size is not within the frame.
    """

    def __init__(self, sizes, rows, columns, work):
        wrong = [size for size in sizes if not (0 < size[0] <= rows and 0 < size[1] <= columns)]
        if wrong:
            size = "x".join(map(str, wrong[0]))
            raise ValueError(f"windows: {size} cells don't fit into the {rows}x{columns} cells of the photo")
        unique = {(int(size[0]), int(size[1])) for size in sizes} | {(rows, columns)}
        self.sizes = tuple(sorted(unique, key=lambda size: (float(work(*size)), size)))
        self.rows, self.columns = rows, columns
        self._sides = np.array(self.sizes)
        self._work = np.array([float(work(*size)) for size in self.sizes])

    def __call__(self, rows, columns):
        return self._work[self._smallest(rows, columns)]

    def _smallest(self, rows, columns):
        """Index of the cheapest bucket that is large enough, for numbers or arrays."""
        rows, columns = np.asarray(rows)[..., None], np.asarray(columns)[..., None]
        return ((self._sides[:, 0] >= rows) & (self._sides[:, 1] >= columns)).argmax(axis=-1)

    def enlarge(self, window):
        """The window (top, left, bottom, right in cells) that has the size of a bucket, holds the given one and lies
        in the frame. It grows to the bottom and the right, and is moved back where it would leave the frame.

        Raises:
            ValueError: if the window is empty or reaches outside the frame.
        """
        top, left, bottom, right = roi.check_window(window, self.rows, self.columns)
        height, width = self.sizes[int(self._smallest(bottom - top, right - left))]
        top, left = min(top, self.rows - height), min(left, self.columns - width)
        return top, left, top + height, left + width


def default_windows(rows, columns):
    """The default sizes of windows, (rows, columns) in cells, for a photo of so many cells: `BUCKET_SHARES`."""
    return sorted({(-(-high * rows // 32), -(-wide * columns // 104)) for high, wide in BUCKET_SHARES})


def parse_windows(text):
    """Sizes of windows from text: "6x8,12x28" gives [(6, 8), (12, 28)]: rows x columns, in cells of 4 pixels.

    Raises:
        ValueError: if it is anything else.
    """
    sizes = [each.strip().split("x") for each in text.split(",")]
    if any(len(size) != 2 or not all(side.isdecimal() and int(side) > 0 for side in size) for size in sizes):
        raise ValueError(f"windows must be rows x columns in cells, such as 6x8,12x28, got {text!r}")
    return [(int(high), int(wide)) for high, wide in sizes]


# Running -------------------------------------------------------------------------------------------------------------


class Exported(RoiDepth):
    """A `RoiDepth` whose two networks are files. Get one from :func:`load`.

    Its plans are made for the windows that there are (`Buckets`), so it may decode other windows than Keras would;
    the numbers in them are the same.

    Args:
        card: What ``export.json`` says.
        detector: Function of image and camera, float32 with a batch of 1, to the arrays of `OUTPUTS`.
        heads: By (rows, columns) in cells, functions of padded features to a list of one array.
        threshold: As for `RoiDepth`.
    """

    photo_focal_length = None

    def __init__(self, card, detector, heads, threshold):
        self.card = card
        self.threshold, self.overhead = threshold, 0.0
        self.photo_focal_length = card["photo_focal_length"]
        self.size = card["height"], card["width"]
        self.head_work = Buckets(
            list(heads), *(side // roi.STRIDE for side in self.size), depth.HeadWork.from_layers(card["head_layers"])
        )
        self.detector, self.heads = detector, heads

    def find(self, photo, camera):
        """See `RoiDepth.find`; the features are an array.

        Raises:
            ValueError: if the photo, made ready, has not the size of the graph.
        """
        if photo.shape[:2] != self.size:
            ready, wanted = ("x".join(map(str, size)) for size in (photo.shape[:2], self.size))
            raise ValueError(
                f"image: made ready for the network it has {ready} pixels, the export is for {wanted}; write one with "
                f"--height {photo.shape[0]} --width {photo.shape[1]}"
            )
        image, vector = photo[None].astype("float32"), camera.vector[None].astype("float32")
        found = dict(zip(OUTPUTS, self.detector(image, vector), strict=True))
        features = found.pop("features")
        return within_photo({name: values[0] for name, values in found.items()}, *self.size), features

    def decode(self, features, plan):
        """See `RoiDepth.decode`: every window is decoded in its bucket, and cut out of it."""
        decoded = []
        for window in plan.windows:
            larger = np.array(self.head_work.enlarge(window))
            head = self.heads[tuple((larger[2:] - larger[:2]).tolist())]
            (values,) = head(np.ascontiguousarray(roi.gather_window(features, larger, depth.HALO)))
            decoded.append(roi.cut_region(values[0], larger, window))
        return decoded


def load(folder, threads=2, threshold=None):
    """An export as a `RoiDepth`: the same `predict`, without the networks of Keras.

    Args:
        folder: What :func:`write_export` has written.
        threads: Of the runtime.
        threshold: Overrides the export's own.

    Raises:
        FileNotFoundError: if the folder or a file in it is missing.
        ValueError: if a file is damaged, or `threads` is not a whole number of at least 1.
        RuntimeError: if the runtime is not installed; says what to install.
    """
    if not isinstance(threads, int) or threads < 1:
        raise ValueError(f"threads must be a whole number of at least 1, got {threads!r}")
    folder = Path(folder)
    card = _read_card(folder)
    _need(RUNS_WITH[card["format"]], f"running {card['format']}")
    for name, digest in card["files"].items():
        path = folder / name
        if not path.is_file():
            raise FileNotFoundError(f"{path}: this file of the export is missing; write the export again")
        if _digest(path) != digest:
            raise ValueError(f"{path}: damaged, it is not the file that was exported; write the export again")
    opener = {"onnx": _open_onnx, "litert": _open_litert, "openvino": _open_openvino}[card["format"]]
    suffix = FORMATS[card["format"]]
    detector = _quietly(f"{folder}: can't be run", opener, folder / f"detection{suffix}", threads)
    heads = {
        (rows, columns): _quietly(
            f"{folder}: can't be run", opener, folder / f"window_{rows}x{columns}{suffix}", threads
        )
        for rows, columns in card["windows"]
    }
    return Exported(card, detector, heads, card["threshold"] if threshold is None else threshold)


def _read_card(folder):
    path = folder / CARD
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; `python -m roidepth_lessons export OUT` makes such a folder")
    damaged = f"{path}: not the description of an export, or damaged"
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        names = {f"{name}{FORMATS[card['format']]}" for name in _graph_names(card["windows"])}
        numbers = [card[name] for name in ("threshold", "photo_focal_length", "canonical_focal_length")]
        seen = card["drives_seen"] if card.get("drives_seen") is not None else []
        sizes = [
            card["height"],
            card["width"],
            *(side for row in card["windows"] + card["head_layers"] for side in row),
        ]
        sound = (
            all(isinstance(each, int) and each >= 0 for each in sizes)
            and all(np.isfinite(each) and each >= 0 for each in numbers)
            and card["precision"] in PRECISIONS
            and names <= set(card["files"])
            and all(Path(name).name == name for name in card["files"])
            and isinstance(seen, list)
            and all(isinstance(drive, str) for drive in seen)
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{damaged} ({error!r}); write the export again") from error
    if not sound:
        raise ValueError(f"{damaged}; write the export again")
    if card["canonical_focal_length"] != CANONICAL_FOCAL_LENGTH:
        raise ValueError(
            f"{path}: made for a canonical focal length of {card['canonical_focal_length']} pixels; this package takes "
            f"{CANONICAL_FOCAL_LENGTH}, so distances would be wrong; write the export again"
        )
    return card


def _graph_names(windows):
    return ["detection", *(f"window_{rows}x{columns}" for rows, columns in windows)]


def _digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _open_onnx(path, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    # Every graph has threads of its own. After a run they would spin for a moment, in the way of the next graph's:
    # with two threads on two cores, a frame took three times as long.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    return lambda *arrays: session.run(None, dict(zip(names, arrays, strict=True)))


def _open_litert(path, threads):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=threads)
    run = interpreter.get_signature_runner()
    inputs = run.get_input_details()
    names = ["image", "camera"] if "image" in inputs else ["features"]
    run(**{name: np.zeros(inputs[name]["shape"], np.float32) for name in names})  # it says what it is at its first run

    def call(*arrays):
        outputs = run(**dict(zip(names, arrays, strict=True)))
        return [outputs[f"output_{index}"] for index in range(len(outputs))]

    return call


def _open_openvino(path, threads):
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    compiled = openvino.Core().compile_model(str(path), "CPU", settings)

    def call(*arrays):
        outputs = compiled(list(arrays))
        return [outputs[index] for index in range(len(compiled.outputs))]

    return call


# Writing -------------------------------------------------------------------------------------------------------------


def write_export(weights, out, kind, height=128, width=416, precision="float", windows=None):
    """Writes the networks of a weights file as a folder for another runtime.

    What was written is loaded and compared with Keras on a drawn street before the folder gets its name.

    Args:
        weights: A file of `train`, or a `RoiDepth`.
        out: The folder, which must not exist or be empty.
        kind: One of `FORMATS`.
        height, width: Pixels of the network's image, multiples of 32: what `RoiDepth.prepare` makes of the photos.
        precision: "float" or "int8". With "int8", ONNX and OpenVINO compute most convolutions in 8 bits, with ranges
            found on drawn streets; LiteRT stores weights in 8 bits and finds the ranges of the rest while it runs.
        windows: Sizes of windows, (rows, columns) in cells; default: :func:`default_windows`. The whole frame is added.

    Returns:
        What ``export.json`` says, a dictionary: ``format``, ``precision``, ``height``, ``width``; ``windows``, the
        sizes; ``threshold``, ``canonical_focal_length``, ``photo_focal_length``, ``head_layers`` (of
        `depth.HeadWork`); ``difference`` to Keras of ``features``, ``scores`` and ``depth``, each as a share of the
        largest number of that output; ``versions`` of what wrote it; ``weights``; ``drives_seen`` of
        `train.drives_seen`; ``files`` with their SHA-256.

    Raises:
        FileNotFoundError: if there is no such weights file.
        ValueError: if an argument is not as described, or the weights are damaged.
        RuntimeError: if a package is missing, or the converter fails, or a float export differs from Keras.
    """
    if kind not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {kind!r}")
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    if height < 1 or width < 1 or height % encoder.SIZE_MULTIPLE or width % encoder.SIZE_MULTIPLE:
        raise ValueError(f"height and width must be multiples of {encoder.SIZE_MULTIPLE}, got {height}x{width}")
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out}: there is something already; name a new folder")
    rows, columns = height // roi.STRIDE, width // roi.STRIDE
    windows = default_windows(rows, columns) if windows is None else windows
    Buckets(windows, rows, columns, lambda high, wide: high * wide)  # complains before the work begins
    _need(
        WRITES_WITH[kind] + (["onnxruntime"] if precision == "int8" and kind == "openvino" else []), f"writing {kind}"
    )
    if isinstance(weights, RoiDepth):
        model, name, drives_seen = weights, "a RoiDepth", None
    else:
        from .train import drives_seen as drives_seen_by  # here, since `load` has no need of it

        model, name, drives_seen = RoiDepth.load(weights), Path(weights).name, drives_seen_by(weights)
    if _backend() != "tensorflow":
        raise RuntimeError(f"an export is written with Keras on TensorFlow, not on {_backend()}: set KERAS_BACKEND")
    buckets = Buckets(windows, rows, columns, model.head_work)
    card = {
        "format": kind,
        "precision": precision,
        "height": height,
        "width": width,
        "windows": [list(size) for size in buckets.sizes],
        "threshold": model.threshold,
        "canonical_focal_length": CANONICAL_FOCAL_LENGTH,
        "photo_focal_length": model.photo_focal_length,
        "head_layers": [list(each) for each in model.head_work.layers],
        "weights": name,
        "drives_seen": drives_seen,
        "versions": {name: _version(name) for name in ("keras", "tensorflow", *WRITES_WITH[kind])},
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.parent / f".{out.name}.{uuid.uuid4().hex[:8]}.tmp"
    temporary.mkdir()
    try:
        write = _write_litert if kind == "litert" else _write_onnx
        _quietly(f"{kind} can't take these networks", write, model, temporary, card)
        card["files"] = {path.name: _digest(path) for path in sorted(temporary.iterdir())}
        kitti.write_json(temporary / CARD, card)
        card["difference"] = _compare(model, load(temporary))
        kitti.write_json(temporary / CARD, card)
        os.replace(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return card


def _compare(model, exported):
    """Largest differences on a drawn street, as shares of the largest number; every bucket is run once."""
    ((photo, camera),) = _streets(exported.card, COMPARISON_SEED, count=1)
    (found, features), (other, other_features) = model.detect(photo, camera), exported.detect(photo, camera)
    buckets = exported.head_work
    depths = []
    for rows, columns in buckets.sizes:
        window = np.array([buckets.rows - rows, buckets.columns - columns, buckets.rows, buckets.columns])
        plan = roi.Plan("windows", window[None], np.zeros(0, int), np.zeros((0, 4), int), 1.0, 1.0)
        depths.append(_difference(model.decode(features, plan)[0], exported.decode(features, plan)[0]))
    count = min(len(found["scores"]), len(other["scores"]))
    difference = {
        "features": _difference(features, other_features),
        "scores": _difference(found["scores"][:count], other["scores"][:count]) if count else 0.0,
        "depth": max(depths),
    }
    wrong = max(difference.values()) > LARGEST_DIFFERENCE and exported.card["precision"] == "float"
    if wrong or not np.isfinite(list(difference.values())).all():
        raise RuntimeError(f"the export does not give the numbers of Keras, so it was not written: {difference}")
    return difference


def _difference(wanted, got):
    return float(np.abs(wanted - got).max() / np.abs(wanted).max())


def _streets(card, seed, count):
    """Drawn streets of the export's size: a list of photo and camera."""
    from . import streets

    scenes = (streets.draw_street([seed, index], card["height"], card["width"]) for index in range(count))
    return [(scene.image, scene.camera) for scene in scenes]


def _static_detector(model, card):
    """The detection graph with a fixed size and its outputs in the order of `OUTPUTS`."""
    import keras

    image = keras.Input((card["height"], card["width"], 3), batch_size=1, name="image")
    camera = keras.Input((4,), batch_size=1, name="camera")
    found = model.detector({"image": image, "camera": camera})
    return keras.Model([image, camera], [found[name] for name in OUTPUTS], name="detection")


def _static_head(model, rows, columns):
    """The depth head with a fixed size. It bounds the depth as `depth.BoundedLogDepth` does, but with a mask: what
    tf2onnx makes of slices and their concatenation can't always be labelled with another size.
    """
    import keras
    from keras import ops

    channels = model.depth_head.inputs[0].shape[-1]
    size = rows + 2 * depth.HALO, columns + 2 * depth.HALO, channels
    features = keras.Input(size, batch_size=1, name="features")
    last = model.depth_head.layers[-1]
    if not isinstance(last, depth.BoundedLogDepth):
        raise ValueError(f"depth_head: its last layer must be BoundedLogDepth, got {type(last).__name__}")
    x = keras.Model(model.depth_head.inputs, last.input)(features)
    low, high = float(np.log(depth.NEAREST)), float(np.log(depth.FARTHEST))
    first = np.array([1, 0, 0], "float32")
    decoded = (ops.sigmoid(x) * (high - low) + low) * first + x * (1 - first)
    return keras.Model(features, decoded, name="window")


def _convert(network, path, kind, **settings):
    """Keras's own exporter, with every size fixed, the batch included."""
    import tensorflow as tf

    specs = [tf.TensorSpec(each.shape, "float32", name=each.name) for each in network.inputs]
    signature = [specs] if len(specs) > 1 else specs
    network.export(str(path), format=kind, verbose=False, input_signature=signature, **settings)


def _write_litert(model, folder, card):
    import tensorflow as tf

    settings = {"optimizations": [tf.lite.Optimize.DEFAULT]} if card["precision"] == "int8" else {}
    _convert(_static_detector(model, card), folder / "detection.tflite", "litert", **settings)
    for rows, columns in card["windows"]:
        _convert(_static_head(model, rows, columns), folder / f"window_{rows}x{columns}.tflite", "litert", **settings)


def _write_onnx(model, folder, card):
    """ONNX, and OpenVINO out of it. The head is converted once, since the sizes of its windows are but labels."""
    detection, head = folder / "detection.onnx", folder / "head.onnx"
    _convert(_static_detector(model, card), detection, "onnx")
    rows, columns = card["windows"][-1]
    _convert(_static_head(model, rows, columns), head, "onnx")
    if card["precision"] == "int8":
        scenes = _streets(card, CALIBRATION_SEED, CALIBRATION_STREETS)
        inputs = [(photo[None].astype("float32"), camera.vector[None].astype("float32")) for photo, camera in scenes]
        features = [(model.detect(*each)[1],) for each in scenes]
        _quantize(detection, ["image", "camera"], inputs)
        _quantize(head, ["features"], features)
    for rows, columns in card["windows"]:
        _label_size(head, folder / f"window_{rows}x{columns}.onnx", rows, columns)
    head.unlink()
    if card["format"] == "openvino":
        import openvino

        core = openvino.Core()
        for name in _graph_names(card["windows"]):
            source = folder / f"{name}.onnx"
            graph = core.read_model(str(source))  # convert_model would do the same, and report it to its makers
            openvino.save_model(graph, str(folder / f"{name}.xml"), compress_to_fp16=False)
            source.unlink()


def _label_size(source, target, rows, columns):
    """The ONNX graph of the head for a window of another size."""
    import onnx

    network = onnx.load(str(source))
    del network.graph.value_info[:]
    (features,), (decoded,) = network.graph.input, network.graph.output
    grown = rows + 2 * depth.HALO, columns + 2 * depth.HALO
    for value, sides in ((features, grown), (decoded, (roi.STRIDE * rows, roi.STRIDE * columns))):
        for dimension, side in zip(value.type.tensor_type.shape.dim[1:3], sides, strict=True):
            dimension.dim_value = side
    onnx.save(onnx.shape_inference.infer_shapes(network, strict_mode=True, data_prop=True), str(target))


def _quantize(path, names, batches):
    """Replaces an ONNX file by one that computes most of its convolutions in 8 bits.

    Weights get a range per channel and seven of the eight bits: on processors without VNNI, two products of eight full
    bits can overflow the 16 that their sum gets.
    """
    import onnx
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):
        def __init__(self):
            self.left = iter([dict(zip(names, batch, strict=True)) for batch in batches])

        def get_next(self):
            return next(self.left, None)

    nodes = [node.name for node in onnx.load(str(path)).graph.node if node.op_type == "Conv"]
    quantized = path.with_name("quantized.onnx")
    quantization.quantize_static(
        str(path),
        str(quantized),
        Reader(),
        quant_format=quantization.QuantFormat.QDQ,
        op_types_to_quantize=["Conv"],
        nodes_to_exclude=[name for name in nodes if any(part in name for part in KEPT_IN_FLOAT)],
        per_channel=True,
        reduce_range=True,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
    )
    os.replace(quantized, path)


def _need(modules, what):
    """Raises RuntimeError with the command that installs what is missing."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        packages = ", ".join(name.replace("_", "-") for name in missing)
        raise RuntimeError(f"{what} needs {packages}, not installed: {INSTALL}")


def _version(module):
    return metadata.version(module.replace("_", "-"))


def _backend():
    import keras

    return keras.backend.backend()


def _quietly(failure, function, *arguments):
    """Calls a library's function; what it writes to stderr is thrown away, what it raises becomes a RuntimeError."""
    with held_stderr(), contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            return function(*arguments)
        except Exception as error:
            caught = error
        finally:
            logging.disable(logging.NOTSET)
    raise RuntimeError(f"{failure}: {type(caught).__name__}: {caught}") from caught
