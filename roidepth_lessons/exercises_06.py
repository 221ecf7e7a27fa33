"""What is known about the exercises of lesson 06: see `checks`."""

import numpy as np

from .checks import EXERCISES, Exercise


def _moves(*names):
    parts = (
        "weights of the encoder", "statistics of the encoder", "weights of the detection head",
        "statistics of the detection head", "weights of the depth head",
    )  # fmt: skip
    return {part: "moves" if part in names else "stays" for part in parts}


_ENCODER = "weights of the encoder", "statistics of the encoder"

EXERCISES["06.1"] = Exercise(
    asks='"moves" or "stays" for each of the five, in the dictionary my_answer',
    right=[
        _moves(*_ENCODER, "weights of the depth head"),
        {name: word.upper() for name, word in _moves(*_ENCODER, "weights of the depth head").items()},
    ],
    mistakes={
        "The encoder is shared: depth looks through it, so its weights move.": _moves("weights of the depth head"),
        "Statistics need no gradient: a batch of depth runs through the encoder, too.": _moves(
            "weights of the encoder", "weights of the depth head"
        ),
        "The detection head is left out of this step: no batch runs through it, so its statistics stay.": _moves(
            *_ENCODER, "statistics of the detection head", "weights of the depth head"
        ),
        "Only the tasks that are named are trained. The memory of a head that is left out is not touched either.": (
            _moves(*_ENCODER, "weights of the detection head", "weights of the depth head")
        ),
        "That would be a joint step. This one names depth alone.": _moves(
            *_ENCODER,
            "weights of the detection head",
            "statistics of the detection head",
            "weights of the depth head",
        ),
        "The depth head is what is trained here.": _moves(*_ENCODER),
    },
)

_MAP = np.ones((2, 3))
_CAR = (4.0, 2.0, 9.0, 7.0)
_PHOTOS = [
    {"boxes": [_CAR], "depth": None},
    {"boxes": [], "depth": _MAP},
    {"boxes": None, "depth": _MAP},
    {"boxes": [], "depth": None},
]


def _masks(boxes, depth):
    return lambda photos: {
        "detection": np.array([boxes(photo["boxes"]) for photo in photos]),
        "depth": np.array([depth(photo["depth"]) for photo in photos]),
    }


def _is_there(label):
    return label is not None


EXERCISES["06.2"] = Exercise(
    asks="presence_of(photos), which returns a dictionary of two masks",
    cases=[(_PHOTOS,), (_PHOTOS[::-1],), (_PHOTOS[1:3],)],
    right=[
        _masks(_is_there, _is_there),
        lambda photos: {
            task: [photo[label] is not None for photo in photos]
            for task, label in (("detection", "boxes"), ("depth", "depth"))
        },
    ],
    mistakes={
        "An empty list of boxes is a label: somebody looked, and there was nobody.": _masks(bool, _is_there),
        "That calls every photo labelled for boxes, also those at which nobody looked (None).": _masks(
            lambda boxes: True, _is_there
        ),
        "The boxes are right. Depth is labelled where its map is not None.": _masks(_is_there, lambda depth: True),
        "The other way round: True where there IS a label.": _masks(
            lambda boxes: boxes is None, lambda depth: depth is None
        ),
        "Each task by itself: a photo with one label only trains that task.": lambda photos: dict.fromkeys(
            ("detection", "depth"),
            np.array([_is_there(photo["boxes"]) and _is_there(photo["depth"]) for photo in photos]),
        ),
    },
)


def _next(slope, clip=True):
    """A step against some slope, with or without the bounds."""

    def step(s, loss, rate):
        moved = s - rate * slope(s, loss)
        return np.clip(moved, -5, 5) if clip else moved

    return step


EXERCISES["06.3"] = Exercise(
    asks="next_log_variance(s, loss, rate), which returns a number",
    cases=[(0.0, 20.0, 0.1), (1.5, 0.5, 0.2), (-1.0, 2.0, 0.05), (-4.9, -1.0, 0.5), (4.0, 900.0, 0.5)],
    right=[
        _next(lambda s, loss: 1 - np.exp(-s) * loss),
        lambda s, loss, rate: max(-5.0, min(5.0, s + rate * (loss / np.exp(s) - 1))),
    ],
    mistakes={
        "The slope is right; now keep s between -5 and 5.": _next(lambda s, loss: 1 - np.exp(-s) * loss, clip=False),
        "That climbs: go against the slope.": _next(lambda s, loss: np.exp(-s) * loss - 1),
        "The sum has a second term, s, whose derivative is 1.": _next(lambda s, loss: -np.exp(-s) * loss),
        "The derivative of exp(-s) with respect to s is -exp(-s): the sign comes from the inside.": _next(
            lambda s, loss: 1 + np.exp(-s) * loss
        ),
        "The derivative of the term s is 1, not s.": _next(lambda s, loss: s - np.exp(-s) * loss),
        "That is the step alone: return s plus the step.": lambda s, loss, rate: np.clip(
            -rate * (1 - np.exp(-s) * loss), -5, 5
        ),
        "The learning rate is missing.": lambda s, loss, rate: np.clip(s - (1 - np.exp(-s) * loss), -5, 5),
    },
)
