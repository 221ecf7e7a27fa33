"""Centre-point detection: targets, losses, decoding.

An object is the cell in which its box has its centre, as in CenterNet ("Objects as Points", Zhou et al., 2019); boxes
are learnt on the cells near the centre, an idea of TTFNet's (Liu et al., AAAI 2020; see `_gaussian` for what differs).
No anchors, and the same shapes for every image.

Nothing compares boxes while :func:`decode` runs: it takes the cells that none of their eight neighbours exceeds in the
same class. Two peaks on one object, or one in each of two classes, both stay; :func:`distinct` sorts them out.

Three maps come out of the head, each (batch, rows, columns, channels):

- ``heatmap``: a logit per class; its peaks are the objects.
- ``box``: log distances in pixels from the cell's centre to the box's left, top, right and bottom edge.
- ``object``: log distance of the 3D box's centre, log of that guess's own scale of error, how much farther than
  the visible surface the centre lies (metres), log height, width, length (metres), sine and cosine of alpha.

>>> targets = encode_targets([[10, 4, 30, 20]], [0], rows=8, columns=16, class_count=3)
>>> np.argwhere(targets["heatmap"][..., 0] == 1).tolist()  # the centre, pixel (20, 12), lies in cell row 3, column 5
[[3, 5]]
"""

import keras
import numpy as np
from keras import layers, ops
from keras.utils import bounding_boxes

STRIDE = 4
LOG_SCALE_BOUNDS = float(np.log(0.005)), 0.0
"""Bounds of the predicted log scale of a log distance's error: 0.5 % to 100 %."""

PEAKS = 50
"""Objects that are read out of an image at most, the weak ones among them."""

OBJECT_FIELDS = ("log_distance", "log_scale", "surface_offset", "log_height", "log_width", "log_length", "sin", "cos")


def build_detection_head(feature_channels=48, channels=64, class_count=3):
    """The head as a Keras model called ``detection_head``: features (batch, rows, columns, feature_channels) to a
    dictionary of the three maps that this module's first lines describe.
    """
    features = keras.Input((None, None, feature_channels), name="features")
    rare = keras.initializers.Constant(-float(np.log((1 - 0.05) / 0.05)))  # at the start 5 % of the cells are objects

    def branch(name):
        x = layers.Conv2D(channels, 3, padding="same", use_bias=False, name=f"{name}_conv")(features)
        x = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
        return layers.Activation("relu", name=f"{name}_relu")(x)

    where, what = branch("where"), branch("what")
    outputs = {
        "heatmap": layers.Conv2D(class_count, 1, bias_initializer=rare, name="heatmap")(where),
        "box": layers.Conv2D(4, 1, bias_initializer=keras.initializers.Constant(2.0), name="box")(what),
        "object": layers.Conv2D(len(OBJECT_FIELDS), 1, name="object")(what),
    }
    return keras.Model(features, outputs, name="detection_head")


def split_head(head):
    """The head in two: one says where the objects are, the other what they are, and that is asked for at peaks only.

    Args:
        head: A functional Keras model like that of :func:`build_detection_head`.

    Returns:
        ``(where, what)``, Keras models with the same layers: features to the heatmap, and features to a dictionary of
        ``box`` and ``object``. None if `what` sees more than a cell's eight neighbours, or may see something else at
        the rim of the image than it does there in the whole head: it may have convolutions of 3x3 cells that read the
        features themselves, and any 1x1 ones, batch normalisations and activations, each called once.
    """
    try:
        where = keras.Model(head.input, head.output["heatmap"])
        what = keras.Model(head.input, {name: head.output[name] for name in ("box", "object")})
    except (AttributeError, TypeError, KeyError):  # a layer, or a model that isn't functional
        return None
    plain = layers.InputLayer, layers.Conv2D, layers.BatchNormalization, layers.Activation, layers.ReLU
    if any(type(layer) not in plain for layer in what.layers):
        return None
    if any(len(each["inbound_nodes"]) > 1 for each in what.get_config()["layers"]):
        return None
    convolutions = [layer for layer in what.layers if isinstance(layer, layers.Conv2D)]
    wide = [layer for layer in convolutions if layer.kernel_size != (1, 1)]
    if any(layer.strides != (1, 1) for layer in convolutions):
        return None
    sees_neighbours = all(
        (layer.kernel_size, layer.dilation_rate, layer.padding) == ((3, 3), (1, 1), "same")
        # After another layer, the zeros around the image would no longer be zeros.
        and layer.input is head.input
        for layer in wide
    )
    return (where, what) if sees_neighbours else None


# Targets -------------------------------------------------------------------------------------------------------------


def encode_targets(boxes, labels, rows, columns, class_count, ignored_boxes=(), properties=None, order=None):
    """Labels of one image to the maps that the losses compare with.

    Args:
        boxes: (n, 4) left, top, right, bottom in pixels; parts outside the image are cut off.
        labels: (n,) class indices.
        rows, columns: Size of the maps: the image's height and width divided by 4.
        class_count: Number of classes.
        ignored_boxes: (m, 4) regions that are neither object nor background (DontCare).
        properties: (n, 7) what `OBJECT_FIELDS` lists without ``log_scale``; NaN for what is not known.
        order: (n,) distances: where two objects claim a cell, the nearer gets it. Default: the order given.

    Returns:
        ``heatmap``: (rows, columns, class_count + 1), peaks of 1 at the centres, last channel the weight of the cell;
        ``box``: (rows, columns, 5), distances in pixels to the four edges, and the weight;
        ``object``: (rows, columns, 15), the seven properties, their seven masks (1 known, 0 not), and the weight.
        The weights of an object sum to 1.

    Raises:
        ValueError: if a box is not finite, or has no area, or if the lengths differ.
    """
    boxes = _checked_boxes(boxes, "boxes")
    labels = np.asarray(labels, dtype=np.int64).reshape(-1)
    if len(labels) != len(boxes):
        raise ValueError(f"labels: {len(labels)} of them for {len(boxes)} boxes")
    known = np.full((len(boxes), 7), np.nan) if properties is None else np.asarray(properties, dtype=np.float64)
    edge = np.array([columns, rows] * 2) * STRIDE - 0.5
    heatmap = np.zeros((rows, columns, class_count + 1), np.float32)
    box_map = np.zeros((rows, columns, 5), np.float32)
    object_map = np.zeros((rows, columns, 15), np.float32)
    heatmap[..., -1] = 1
    for left, top, right, bottom in _to_cells(_checked_boxes(ignored_boxes, "ignored_boxes"), rows, columns):
        heatmap[top:bottom, left:right, -1] = 0
    far_first = np.arange(len(boxes))[::-1] if order is None else np.argsort(np.asarray(order))[::-1]
    for index in far_first:
        box = np.clip(boxes[index], -0.5, edge)
        if (box[2:] - box[:2] <= 0).any():
            continue  # wholly outside the image
        spread, cell = _gaussian(box, rows, columns)
        peaks = heatmap[..., labels[index]]
        np.maximum(peaks, spread, out=peaks)
        near = spread > 0.5  # the cells that learn this object's box and properties; a nearer object overwrites them
        near[cell] = True
        heatmap[near, -1] = 1
        v, u = np.nonzero(near)
        u, v = u * STRIDE + (STRIDE - 1) / 2, v * STRIDE + (STRIDE - 1) / 2
        inside = (u > box[0]) & (u < box[2]) & (v > box[1]) & (v < box[3]) | (spread[near] == 1)
        near[near] = inside
        u, v, weight = u[inside], v[inside], spread[near]
        distances = np.stack([u - box[0], v - box[1], box[2] - u, box[3] - v], axis=-1)
        box_map[near, :4] = np.maximum(distances, 0.25)
        box_map[near, 4] = weight / weight.sum()
        object_map[near, :7] = np.nan_to_num(known[index])
        object_map[near, 7:14] = np.isfinite(known[index])
        object_map[near, 14] = weight / weight.sum()
    return {"heatmap": heatmap, "box": box_map, "object": object_map}


def _checked_boxes(boxes, name):
    boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    if not np.isfinite(boxes).all():
        raise ValueError(f"{name}: every edge must be a finite number of pixels, got {boxes.tolist()}")
    if (boxes[:, 2:] <= boxes[:, :2]).any():
        raise ValueError(f"{name}: right must be greater than left, and bottom than top, got {boxes.tolist()}")
    return boxes


def _to_cells(boxes, rows, columns):
    cells = np.concatenate([np.floor((boxes[:, :2] + 0.5) / STRIDE), np.ceil((boxes[:, 2:] + 0.5) / STRIDE)], axis=1)
    return np.clip(cells, 0, [columns, rows, columns, rows]).astype(int)


def _gaussian(box, rows, columns):
    """(rows, columns) map that is 1 at the cell of the box's centre and falls off with the box's size, and that cell.

    Sigma is 0.18 of the box's sides, at least 0.4 cells; what is below 0.02 is cut off, about half a side away.

    The idea of a bell as wide and as high as the box is TTFNet's, the numbers are not. There sigma is 0.54 / 6 = 0.09
    of the sides and the bell ends at 3 sigma, 0.27 of a side from the centre; on all of its cells the box is learnt,
    with a weight that grows with the log of the box's area. Here sigma is twice that, so that small boxes have more
    than their centre: a box of 20 pixels gives the next column 0.54, with 0.09 it would be 0.08. The box is learnt only
    where the bell is above 0.5, up to 0.21 of a side away, and every object weighs the same.
    """
    center = (box[:2] + box[2:]) / 2
    column, row = np.clip(np.floor((center + 0.5) / STRIDE), 0, [columns - 1, rows - 1]).astype(int)
    sigma_x, sigma_y = np.maximum(0.18 * (box[2:] - box[:2]) / STRIDE, 0.4)
    along_x = np.exp(-(((np.arange(columns) - column) / sigma_x) ** 2) / 2)
    along_y = np.exp(-(((np.arange(rows) - row) / sigma_y) ** 2) / 2)
    spread = (along_y[:, None] * along_x).astype(np.float32)
    return np.where(spread < 0.02, 0, spread), (row, column)


# Losses --------------------------------------------------------------------------------------------------------------


def heatmap_loss(y_true, y_pred):
    """Focal loss of "Objects as Points" (Zhou et al., 2019, equation 1), from logits.

    Args:
        y_true: (batch, rows, columns, classes + 1): peaks, and in the last channel the weight of each cell.
        y_pred: (batch, rows, columns, classes) logits.

    Returns:
        (batch,): sums over the image; the mean over the batch is the sum over all cells per object of the batch.
    """
    peaks, weight = y_true[..., :-1], y_true[..., -1:]
    is_center = ops.cast(peaks >= 1, y_pred.dtype)
    probability = ops.sigmoid(y_pred)
    log_yes, log_no = ops.log_sigmoid(y_pred), ops.log_sigmoid(-y_pred)
    at_centers = is_center * ops.square(1 - probability) * log_yes
    elsewhere = (1 - is_center) * (1 - peaks) ** 4 * ops.square(probability) * log_no
    return _per_object(-ops.sum(weight * (at_centers + elsewhere), axis=(1, 2, 3)), ops.sum(is_center))


def box_loss(y_true, y_pred):
    """1 - CIoU (Zheng et al., AAAI 2020) between the boxes that the distances span, weighted.

    Args:
        y_true: (batch, rows, columns, 5): distances in pixels to left, top, right, bottom, and the weight.
        y_pred: (batch, rows, columns, 4): log distances.

    Returns:
        (batch,), scaled like :func:`heatmap_loss`.
    """
    weight = y_true[..., 4]
    outwards = ops.convert_to_tensor([-1.0, -1.0, 1.0, 1.0])
    true = ops.where(weight[..., None] > 0, y_true[..., :4], 1.0) * outwards
    guess = edge_distances(y_pred) * outwards
    overlap = bounding_boxes.compute_ciou(true, guess, "xyxy")
    return _per_object(ops.sum(weight * (1 - overlap), axis=(1, 2)), ops.sum(weight))


def object_loss(y_true, y_pred):
    """Absolute errors of distance (log), surface offset, dimensions (log) and alpha, and the scale of the first.

    The scale is that of a Laplace distribution (Kendall and Gal, NeurIPS 2017). It learns from the distance's error,
    yet doesn't weigh it: a network that may call an object uncertain should not learn less from it.

    Args:
        y_true: (batch, rows, columns, 15): seven properties, their masks, the weight.
        y_pred: (batch, rows, columns, 8): `OBJECT_FIELDS`.

    Returns:
        (batch,), scaled like :func:`heatmap_loss`.
    """
    true, known, weight = y_true[..., :7], y_true[..., 7:14], y_true[..., 14]
    guess = ops.concatenate([y_pred[..., :1], y_pred[..., 2:]], axis=-1)
    errors = ops.abs(true - guess) * known
    importance = ops.convert_to_tensor([3.0, 0.3, 1.0, 1.0, 1.0, 0.3, 0.3])
    log_scale = bounded_log_scale(y_pred[..., 1])
    scale_loss = (ops.stop_gradient(errors[..., 0]) * ops.exp(-log_scale) + log_scale) * known[..., 0]
    total = ops.sum(errors * importance, axis=-1) + 0.1 * scale_loss
    return _per_object(ops.sum(weight * total, axis=(1, 2)), ops.sum(weight))


def _per_object(image_sums, object_count):
    """Sums over each image, scaled so that their mean is the sum over the batch per object: finite without any."""
    images = ops.cast(ops.shape(image_sums)[0], image_sums.dtype)
    return image_sums * images / ops.maximum(object_count, 1)


def edge_distances(log_distances):
    """Distances in pixels from log distances; bounded, so that an untrained network can't overflow."""
    return ops.exp(ops.clip(log_distances, -4.0, 8.0))


def bounded_log_scale(raw):
    """Log of the scale of a log distance's error, kept within its bounds."""
    return ops.clip(raw, *LOG_SCALE_BOUNDS)


# Decoding ------------------------------------------------------------------------------------------------------------


def decode(outputs, count=PEAKS):
    """The `count` highest peaks of every image.

    Args:
        outputs: The head's three maps.
        count: How many objects to return per image; sort out the weak ones by their score.

    Returns:
        A dictionary of ``scores`` (batch, count), falling; ``labels`` (batch, count) class indices; ``boxes`` (batch,
        count, 4) left, top, right, bottom in pixels; ``properties`` (batch, count, 8) as in `OBJECT_FIELDS`. A cell
        whose heatmap is NaN is no peak, nor are its neighbours.
    """
    peaks = find_peaks(outputs["heatmap"], count)
    return read_peaks(peaks, *(_take_cells(outputs[name], peaks["cells"]) for name in ("box", "object")))


def decode_at_peaks(where, what, features, padded, halo, count=PEAKS):
    """The same as :func:`decode`, but of box and object only the cells of the peaks are ever computed.

    Args:
        where, what: The two halves of the head, see :func:`split_head`.
        features: (batch, rows, columns, channels).
        padded: The same with `halo` cells of zeros on every side; at least one.
        halo: Cells.
        count: See :func:`decode`.
    """
    peaks = find_peaks(where(features, training=False), count)
    cells = peaks["cells"]
    around = np.stack(np.meshgrid(*[np.arange(3, dtype="int32") + halo - 1] * 2, indexing="ij"), axis=-1)
    patches = _take_cells(padded, cells[:, :, None, None] + ops.convert_to_tensor(around))
    said = what(ops.reshape(patches, (-1, 3, 3, features.shape[-1])), training=False)
    batch, count = ops.shape(cells)[:2]
    middles = (ops.reshape(said[name][:, 1, 1], (batch, count, said[name].shape[-1])) for name in ("box", "object"))
    return read_peaks(peaks, *middles)


def find_peaks(heatmap, count=PEAKS):
    """The `count` cells of every image with the highest scores among those that no neighbour exceeds.

    Args:
        heatmap: (batch, rows, columns, classes) logits.
        count: See :func:`decode`.

    Returns:
        A dictionary of ``scores`` and ``labels``, see :func:`decode`, and ``cells`` (batch, count, 2): row, column.
    """
    scores = ops.sigmoid(heatmap)
    batch, rows, columns, classes = ops.shape(scores)
    padded = ops.pad(scores, [[0, 0], [1, 1], [1, 1], [0, 0]])
    highest = ops.maximum(ops.maximum(padded[:, :-2], padded[:, 1:-1]), padded[:, 2:])
    highest = ops.maximum(ops.maximum(highest[:, :, :-2], highest[:, :, 1:-1]), highest[:, :, 2:])
    peaks = ops.where(scores >= highest, scores, 0.0)
    count = min(count, rows * columns * classes) if isinstance(rows, int) and isinstance(columns, int) else count
    scores, flat = ops.top_k(ops.reshape(peaks, (batch, rows * columns * classes)), count)
    cells = flat // classes
    return {
        "scores": scores, "labels": flat % classes, "cells": ops.stack([cells // columns, cells % columns], axis=-1)
    }  # fmt: skip


def _take_cells(maps, cells):
    """Of maps (batch, rows, columns, channels) the cells (batch, ..., 2), row and column: (batch, ..., channels).

    One flat list of cells: `ops.take_along_axis` takes several milliseconds where `ops.take` takes less than one.
    """
    batch, rows, columns, channels = ops.shape(maps)
    image = ops.reshape(ops.arange(batch, dtype="int32"), (-1, *[1] * (len(cells.shape) - 2)))
    flat = (image * rows + cells[..., 0]) * columns + cells[..., 1]
    return ops.take(ops.reshape(maps, (-1, channels)), flat, axis=0)


def read_peaks(peaks, box, properties):
    """What :func:`decode` returns.

    Args:
        peaks: As from :func:`find_peaks`.
        box, properties: (batch, count, 4) and (batch, count, 8): what the head says in their cells.
    """
    v, u = (ops.cast(peaks["cells"][..., axis], "float32") * STRIDE + (STRIDE - 1) / 2 for axis in (0, 1))
    left, top, right, bottom = ops.unstack(edge_distances(box), axis=-1)
    boxes = ops.stack([u - left, v - top, u + right, v + bottom], axis=-1)
    return {"scores": peaks["scores"], "labels": peaks["labels"], "boxes": boxes, "properties": properties}


def per_image(decoded):
    """What :func:`decode` gives for a batch, image by image: NumPy arrays as `metrics.average_precision` wants them.

    Returns:
        A list of dictionaries, one per image, with the same names and without the batch's dimension.
    """
    arrays = {name: ops.convert_to_numpy(values) for name, values in decoded.items()}
    return [{name: values[index] for name, values in arrays.items()} for index in range(len(arrays["scores"]))]


def outputs_of(peaks, distances):
    """The three maps with which a head would say just this: what :func:`decode` reads, backwards.

    Args:
        peaks: (batch, rows, columns, classes), 0 to 1; 0 and 1 themselves are out of reach, by a millionth.
        distances: (batch, rows, columns, 4) pixels from each cell's centre to the four edges, at least 0.25.

    Returns:
        ``heatmap``, ``box`` and ``object`` as NumPy arrays; ``object`` is 0 everywhere.
    """
    peaks = np.clip(peaks, 1e-6, 1 - 1e-6)
    outputs = {
        "heatmap": np.log(peaks / (1 - peaks)),
        "box": np.log(np.maximum(distances, 0.25)),
        "object": np.zeros((*peaks.shape[:3], len(OBJECT_FIELDS))),
    }
    return {name: values.astype(np.float32) for name, values in outputs.items()}


def distinct(overlap, scores, most_overlap=0.7):
    """Which detections are left when, of those that overlap almost wholly, only the most certain one stays.

    The network may take one thing for a pedestrian and, less surely, for a cyclist, or see two peaks on one large car.
    :func:`decode` keeps both; here somebody decides. Classes are not asked for.

    Args:
        overlap: (n, n) intersection over union of every box with every box.
        scores: (n,).
        most_overlap: Intersection over union from which on two detections are of the same thing.

    Returns:
        (n,) bool.

    Raises:
        ValueError: if the shapes don't fit together or a number is NaN.
    """
    scores = np.asarray(scores)
    if scores.ndim != 1 or np.shape(overlap) != 2 * scores.shape:
        raise ValueError(f"overlap must be (n, n) for n scores, got {np.shape(overlap)} for {scores.shape}")
    if np.isnan(overlap).any() or np.isnan(scores).any():
        raise ValueError("overlap and scores must be numbers, got NaN")
    kept = np.zeros(len(scores), bool)
    for index in np.argsort(-scores, kind="stable"):
        kept[index] = not (overlap[index, kept] >= most_overlap).any()
    return kept
