"""What is known about the exercises of lesson 06: see `checks`."""

import numpy as np

from .checks import EXERCISES, Exercise, read_words, why_wrong

_WHAT_MOVES = {
    "weights of the encoder": "moves",
    "statistics of the encoder": "moves",
    "weights of the detection head": "stays",
    "statistics of the detection head": "stays",
    "weights of the depth head": "moves",
}
_WHY = {
    "weights of the encoder": "The encoder is shared: depth looks through it, so its weights get a gradient.",
    "statistics of the encoder": "Statistics need no gradient: a batch of depth runs through the encoder, too.",
    "weights of the detection head": (
        "Only the tasks that are named are trained; what Adam remembers of the other head is not touched either."
    ),
    "statistics of the detection head": "This head is left out of the step: no batch runs through it.",
    "weights of the depth head": "The depth head is what is trained here.",
}


def _wrong_moves(answer):
    """A sentence for every line that is wrong, or None."""
    words, sentence = read_words(answer, _WHAT_MOVES, ("moves", "stays"))
    if sentence:
        return sentence
    if set(words.values()) == {"moves"}:
        return "That would be a joint step. This one names depth alone."
    return why_wrong(words, _WHAT_MOVES, _WHY)


def _but(**changes):
    """The right answer with some words changed."""
    return _WHAT_MOVES | {part.replace("_", " "): word for part, word in changes.items()}


EXERCISES["06.1"] = Exercise(
    asks='"moves" or "stays" for each of the five, in the dictionary my_answer',
    right=[_WHAT_MOVES, {part: word.upper() for part, word in _WHAT_MOVES.items()}],
    test=_wrong_moves,
    mistakes={
        **{
            f"{part!r}: {why}": _WHAT_MOVES | {part: "stays" if _WHAT_MOVES[part] == "moves" else "moves"}
            for part, why in _WHY.items()
        },
        f"'statistics of the encoder': {_WHY['statistics of the encoder']} 'weights of the detection head': Only": _but(
            statistics_of_the_encoder="stays", weights_of_the_detection_head="moves"
        ),
        "That would be a joint step.": dict.fromkeys(_WHAT_MOVES, "moves"),
        'Write "moves" or "stays"; \'weights of the encoder\' is True.': _but(weights_of_the_encoder=True),
        "Write \"moves\" or \"stays\"; 'weights of the depth head' is 'it moves'.": _but(
            weights_of_the_depth_head="it moves"
        ),
        "my_answer must be a dictionary with the keys 'weights of the encoder'": {"encoder": "moves"},
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


_STOPS = {
    "truth value": "`bool` of a map asks whether its pixels are true, and there are many. Ask whether it is None.",
    "no len()": "None has no length. Ask whether it is None.",
}


def _no_masks(presence_of):
    if any(np.asarray(mask).dtype != bool for mask in presence_of(_PHOTOS).values()):
        return "Those are numbers. A mask holds True or False: TaskTraining refuses anything else."
    return None


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
        "That asks whether the list is empty: a list with boxes in it is a label, too.": _masks(
            lambda boxes: boxes == [], _is_there
        ),
        "The boxes are right. Depth is labelled where its map is not None.": _masks(_is_there, lambda depth: True),
        "The other way round: True where there IS a label.": _masks(
            lambda boxes: boxes is None, lambda depth: depth is None
        ),
        "One label is not the other: where only one of them is there, only that task has it.": lambda photos: (
            dict.fromkeys(
                ("detection", "depth"),
                np.array([_is_there(photo["boxes"]) or _is_there(photo["depth"]) for photo in photos]),
            )
        ),
        "Each task by itself: a photo with one label only trains that task.": lambda photos: dict.fromkeys(
            ("detection", "depth"),
            np.array([_is_there(photo["boxes"]) and _is_there(photo["depth"]) for photo in photos]),
        ),
        "Those are numbers. A mask holds True or False": _masks(
            lambda boxes: float(_is_there(boxes)), lambda depth: float(_is_there(depth))
        ),
        "`bool` of a map asks whether its pixels are true, and there are many.": _masks(_is_there, bool),
        "None has no length. Ask whether it is None.": _masks(lambda boxes: len(boxes) >= 0, _is_there),
    },
    tips=_STOPS,
    further=_no_masks,
)


def _next(slope, clip=True, sign=-1):
    """A step against some slope, with or without the bounds."""

    def step(s, loss, rate):
        moved = s + sign * rate * slope(s, loss)
        return np.clip(moved, -5, 5) if clip else moved

    return step


def _slope(s, loss):
    return 1 - np.exp(-s) * loss


def _where_it_ends(s, loss, rate):
    with np.errstate(invalid="ignore"):
        return np.log(loss)


_WRONG_STEPS = {
    "That climbs: go against the slope.": lambda clip: _next(_slope, clip, sign=1),
    "The sum has a second term, s, whose derivative is 1.": lambda clip: _next(
        lambda s, loss: -np.exp(-s) * loss, clip
    ),
    "The derivative of exp(-s) with respect to s is -exp(-s): the sign comes from the inside.": lambda clip: _next(
        lambda s, loss: 1 + np.exp(-s) * loss, clip
    ),
    "The derivative of the term s is 1: it draws s down, while the loss draws it up.": lambda clip: _next(
        lambda s, loss: -1 - np.exp(-s) * loss, clip
    ),
    "The loss counts exp(-s) times.": lambda clip: _next(lambda s, loss: 1 - loss, clip),
    "The weight is exp(-s), with a minus.": lambda clip: _next(lambda s, loss: 1 - np.exp(s) * loss, clip),
    "The derivative of the term s is 1, not s.": lambda clip: _next(lambda s, loss: s - np.exp(-s) * loss, clip),
    "That goes against the sum itself: go against its derivative.": lambda clip: _next(
        lambda s, loss: np.exp(-s) * loss + s, clip
    ),
    "The learning rate is missing.": lambda clip: lambda s, loss, rate: _next(_slope, clip)(s, loss, 1),
    "That is the step alone: return s plus the step.": lambda clip: (
        lambda s, loss, rate: (
            _next(_slope, clip)(s, loss, rate) - s if not clip else np.clip(-rate * _slope(s, loss), -5, 5)
        )
    ),
}

EXERCISES["06.3"] = Exercise(
    asks="next_log_variance(s, loss, rate), which returns a number",
    cases=[(0.0, 20.0, 0.1), (1.5, 0.5, 0.2), (-1.0, 2.0, 0.05), (-4.9, -1.0, 0.5), (4.0, 900.0, 0.5)],
    right=[
        _next(_slope),
        lambda s, loss, rate: max(-5.0, min(5.0, s + rate * (loss / np.exp(s) - 1))),
    ],
    mistakes={
        "The slope is right; now keep s between -5 and 5.": _next(_slope, clip=False),
        "Keep the new s between -5 and 5, not the step.": lambda s, loss, rate: (
            s + np.clip(-rate * _slope(s, loss), -5, 5)
        ),
        "Keep the new s between -5 and 5, not the slope.": lambda s, loss, rate: (
            s - rate * np.clip(_slope(s, loss), -5, 5)
        ),
        "That is the new weight: return s itself.": lambda s, loss, rate: np.exp(-_next(_slope)(s, loss, rate)),
        "That is the slope: go a step against it, of size rate times slope, from s.": lambda s, loss, rate: _slope(
            s, loss
        ),
        "That is where s ends after many steps: this is one step, of size rate times slope.": _where_it_ends,
        **{sentence: wrong(True) for sentence, wrong in _WRONG_STEPS.items()},
        **{f"{sentence} And keep s between -5 and 5.": wrong(False) for sentence, wrong in _WRONG_STEPS.items()},
    },
)
