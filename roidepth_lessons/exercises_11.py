"""What is known about the exercises of lesson 11: see `checks`."""

import numpy as np

from .checks import EXERCISES, Exercise, brief, to_numpy, wrong_keys

_SCORES = {"accuracy, no road": 0.6, "IoU, no road": 0.0, "IoU, all road": 0.4, "F1, all road": 0.8 / 1.4}
_WHY = {
    "accuracy, no road": "Every pixel that shows no road is right: that is the other 60 %.",
    "IoU, no road": "Both masks share no pixel: nothing divided by the road.",
    "IoU, all road": "Shared is the road itself (40 %); together the masks cover everything (100 %).",
    "F1, all road": "Twice what is shared (2 times 40 %), divided by the sum of both masks (100 % and 40 %).",
}


def _wrong_scores(answer):
    """A sentence for every number that is wrong, or None."""
    if sentence := wrong_keys(answer, _SCORES):
        return sentence
    odd = next((name for name, value in answer.items() if not isinstance(value, int | float | np.number)), None)
    if odd:
        return f"Write numbers from 0 to 1; {odd!r} is {brief(answer[odd])}."
    wrong = [name for name, value in answer.items() if not abs(value - _SCORES[name]) <= 0.01]
    if wrong and all(abs(value - 100 * _SCORES[name]) <= 1 for name, value in answer.items()):
        return "Right in percent: write shares, from 0 to 1."
    return " ".join(f"{name!r}: {brief(answer[name])} is not it. {_WHY[name]}" for name in wrong) or None


EXERCISES["11.1"] = Exercise(
    asks="a number from 0 to 1 for each of the four, in the dictionary my_answer",
    right=[_SCORES, {name: round(value, 2) for name, value in _SCORES.items()}],
    test=_wrong_scores,
    mistakes={
        "'accuracy, no road': 0.4 is not it. Every pixel that shows no road is right": _SCORES
        | {"accuracy, no road": 0.4},
        "'IoU, no road': 0.6 is not it. Both masks share no pixel": _SCORES | {"IoU, no road": 0.6},
        "'IoU, all road': 1 is not it. Shared is the road itself": _SCORES | {"IoU, all road": 1.0},
        "'F1, all road': 0.4 is not it. Twice what is shared": _SCORES | {"F1, all road": 0.4},
        "'IoU, all road': 0.6 is not it. Shared is the road itself (40 %); together the masks cover everything "
        "(100 %). 'F1, all road': nan is not it.": _SCORES | {"IoU, all road": 0.6, "F1, all road": float("nan")},
        "Right in percent": {name: 100 * value for name, value in _SCORES.items()},
        "Write numbers from 0 to 1; 'IoU, no road' is 'none'.": _SCORES | {"IoU, no road": "none"},
        "my_answer must be a dictionary with the keys 'accuracy, no road'": {"IoU": 0.4},
    },
)


def _renamed(lanes, names=(0, 2, 1)):
    return np.array(names)[lanes]


def _one_after_the_other(first, second):
    """The trap of two assignments in a row: what became the first name becomes the second one again."""

    def flip_lanes(lanes):
        lanes = lanes[:, ::-1].copy()
        lanes[lanes == second] = first
        lanes[lanes == first] = second
        return lanes

    return flip_lanes


EXERCISES["11.2"] = Exercise(
    asks="flip_lanes(lanes), which returns an array of the same shape",
    cases=[(np.array([[0, 0, 1, 2, 0], [0, 1, 1, 2, 2]]),), (np.array([[1, 1, 2], [0, 1, 0], [2, 2, 2]]),)],
    right=[
        lambda lanes: _renamed(lanes[:, ::-1]),
        lambda lanes: np.where(lanes == 0, 0, 3 - lanes)[:, ::-1],
    ],
    mistakes={
        "Mirrored, but the left lane is still called left: the picture shows it on the right now.": lambda lanes: lanes[
            :, ::-1
        ],
        "The names are right; the picture is not mirrored.": _renamed,
        "That stands on its head: mirror the columns, not the rows.": lambda lanes: _renamed(lanes[::-1]),
        "Rows and columns are both reversed: mirror the columns only.": lambda lanes: _renamed(lanes[::-1, ::-1]),
        "Where there is no road (0), there is none in the mirror either.": lambda lanes: 3 - lanes[:, ::-1],
        "All of it is called left (1): what became 2 became 1 again. Rename both at once.": _one_after_the_other(2, 1),
        "All of it is called right (2): what became 1 became 2 again. Rename both at once.": _one_after_the_other(1, 2),
    },
)


def _road_cases():
    """A mask that is known in part, with NaN where it is not; one that is wholly known; one that nobody labelled."""
    label = np.array([[[1, 0, np.nan], [np.nan, 1, 0]], [[0, 1, 1], [1, 0, 0]], [[np.nan] * 3] * 2], np.float32)
    target = np.stack([np.where(np.isnan(label), np.nan, label), np.isfinite(label)], axis=-1).astype(np.float32)
    logits = np.array([[[2, -1, 3], [0.5, -2, 1]], [[-1, 0, 4], [1, 1, -3]], [[1, 2, -1], [0, -2, 5]]], np.float32)
    return [(target, logits[..., None]), (target[:1], -logits[:1, ..., None])]


def _road_loss(safe_first=True, mean="known", guard=True, flip=False, per_image=True):
    """The loss of 11.3, right or with a mistake."""

    def loss(y_true, y_pred):
        from keras import ops

        label, weight = y_true[..., 0], y_true[..., 1]
        weight = 1 - weight if flip else weight
        known = weight > 0
        label = ops.where(known, label, 0.0) if safe_first else label
        each = ops.where(known, ops.binary_crossentropy(label, y_pred[..., 0], from_logits=True), 0.0)
        axes = (1, 2) if per_image else (0, 1, 2)
        if mean == "sum":
            return ops.sum(each, axis=axes)
        count = ops.sum(weight, axis=axes) if mean == "known" else float(np.prod(label.shape[1:]))
        return ops.sum(each, axis=axes) / (ops.maximum(count, 1) if guard else count)

    return loss


def _times_zero(y_true, y_pred):
    from keras import ops

    each = y_true[..., 1] * ops.binary_crossentropy(y_true[..., 0], y_pred[..., 0], from_logits=True)
    return ops.sum(each, axis=(1, 2)) / ops.maximum(ops.sum(y_true[..., 1], axis=(1, 2)), 1)


def _no_logits(y_true, y_pred):
    from keras import ops

    known = y_true[..., 1] > 0
    each = ops.binary_crossentropy(ops.where(known, y_true[..., 0], 0.0), y_pred[..., 0])
    return ops.sum(ops.where(known, each, 0.0), axis=(1, 2)) / ops.maximum(ops.sum(y_true[..., 1], axis=(1, 2)), 1)


def _in_words(y_true, y_pred):
    """Softplus in place of the library's cross-entropy: max(x, 0) - x y + log(1 + exp(-|x|))."""
    from keras import ops

    known = ops.cast(y_true[..., 1] > 0, "float32")
    label, logit = ops.where(known > 0, y_true[..., 0], 0.0), y_pred[..., 0]
    each = ops.maximum(logit, 0.0) - ops.multiply(logit, label) + ops.log1p(ops.exp(-ops.abs(logit)))
    return ops.sum(known * each, axis=[1, 2]) / (ops.sum(known, axis=[1, 2]) + 1e-9)


_SENTENCES = {
    "That is the sum: divide by the number of known pixels.": _road_loss(mean="sum"),
    "Divide by the number of known pixels, not of all: a photo labelled in part would count for less.": _road_loss(
        mean="all"
    ),
    "A photo without any known pixel divides 0 by 0: guard the division, ops.maximum(count, 1).": _road_loss(
        guard=False
    ),
    "0 times nan is nan: put a safe label in first, ops.where(known, label, 0.0), and the weight after.": _times_zero,
    "y_pred holds logits: say from_logits=True.": _no_logits,
    "That counts the unknown pixels: the weight is 1 where the label is known.": _road_loss(flip=True),
    "That is one number for the whole batch: average over rows and columns, and keep one per photo.": _road_loss(
        per_image=False
    ),
}
_BAD_GRADIENT = (
    "The values are right, but their gradients are nan: whatever is not taken by `where` is still differentiated. "
    "Put a safe label in first, ops.where(known, label, 0.0)."
)


def _wrong_road_loss(answer):
    """What is wrong with a loss, or None: its values first, then, on TensorFlow, its gradients."""
    import keras

    right = EXERCISES["11.3"].right[0]
    for y_true, y_pred in _road_cases():
        results = [_values(loss, y_true, y_pred) for loss in (answer, right)]
        if not _equal(*results):
            for sentence, mistaken in _SENTENCES.items():
                if _equal(results[0], _values(mistaken, y_true, y_pred)):
                    return sentence
            if results[0].shape != results[1].shape:
                return f"For {len(y_true)} photos the shape should be {results[1].shape}, it is {results[0].shape}."
            return f"The result should be {brief(results[1].tolist())}, it is {brief(results[0].tolist())}."
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    y_true, y_pred = map(tf.constant, _road_cases()[0])
    with tf.GradientTape() as tape:
        tape.watch(y_pred)
        total = tf.reduce_sum(answer(y_true, y_pred))
    gradient = tape.gradient(total, y_pred)
    if gradient is None:
        return "No gradient gets through: compute with keras.ops, not with NumPy."
    return None if np.isfinite(gradient.numpy()).all() else _BAD_GRADIENT


def _values(loss, y_true, y_pred):
    from keras import ops

    with np.errstate(all="ignore"):
        return to_numpy(loss(ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)))


def _equal(result, other):
    return result.shape == other.shape and np.allclose(result, other, atol=1e-5, equal_nan=True)


def _detached(y_true, y_pred):
    from keras import ops

    return ops.convert_to_tensor(to_numpy(_road_loss()(y_true, y_pred)))


EXERCISES["11.3"] = Exercise(
    asks="partial_road_loss(y_true, y_pred), which returns one number per photo",
    cases=_road_cases(),
    right=[_road_loss(), _in_words],
    test=_wrong_road_loss,
    mistakes={
        **_SENTENCES,
        "The values are right, but their gradients are nan": _road_loss(safe_first=False),
        "No gradient gets through": _detached,
    },
)
