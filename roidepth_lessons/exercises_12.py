"""What is known about the exercises of lesson 12: see `checks`."""

import math

from .checks import EXERCISES, Exercise, brief, to_numpy, wrong_keys

_FRAMES = {
    "head 0.36 of the time, windows 0.14 of its work": (0.36, 0.14),
    "head 0.50 of the time, windows 0.14 of its work": (0.50, 0.14),
    "head 0.36 of the time, no object at all": (0.36, 0.0),
}
"""The head's share of a frame that is decoded in full, and the windows' share of its work."""


def _ratios(ratio):
    return {name: ratio(head, work) for name, (head, work) in _FRAMES.items()}


RATIOS = _ratios(lambda head, work: 1 - head * (1 - work))
MISREAD = {
    "That is what is left of the head; encoder and detection head take their time as ever.": (
        lambda head, work: head * work
    ),
    "That is the windows' share of the head's work. The question is about the whole frame.": lambda head, work: work,
    "That is the share that is saved: what remains is 1 minus that.": lambda head, work: head * (1 - work),
    "That is the frame without any depth: the windows still take their part.": lambda head, work: 1 - head,
    "That is how many times as fast it is. The ratio of the times is its inverse.": (
        lambda head, work: 1 / (1 - head * (1 - work))
    ),
}


def _wrong_ratios(answer):
    """What is wrong with the first ratio that is; None if all are right to two decimals."""
    if sentence := wrong_keys(answer, _FRAMES):
        return sentence
    for name, right in RATIOS.items():
        given = to_numpy(answer[name])
        if given.size != 1 or given.dtype.kind not in "iuf":
            return f"{name}: one number is wanted, such as 0.85; it is {brief(answer[name])}."
        if abs(given.item() - right) > 0.0051:
            wrong = (said for said, ratio in MISREAD.items() if abs(given.item() - ratio(*_FRAMES[name])) < 0.0051)
            return f"{name}: {brief(given.item())} is not it. {next(wrong, 'What takes as long as before, what less?')}"
    return None


EXERCISES["12.1"] = Exercise(
    asks="three ratios in the dictionary my_answer, two decimals each",
    test=_wrong_ratios,
    right=[RATIOS, {name: round(ratio, 2) for name, ratio in RATIOS.items()}],
    mistakes={
        **{said: _ratios(ratio) for said, ratio in MISREAD.items()},
        "no object at all: 0.7 is not it. What takes as long as before, what less?": RATIOS
        | {"head 0.36 of the time, no object at all": 0.7},
        "one number is wanted, such as 0.85; it is '69 %'": dict.fromkeys(_FRAMES, "69 %"),
        "my_answer must be a dictionary with the keys": {"a": 0.69},
    },
)

EXERCISES["12.2"] = Exercise(
    asks="break_even(first, second, around), operations",
    cases=[(10.0, 20.0, 45.0), (3e6, 5e6, 9.5e6), (40.0, 30.0, 60.0), (7.0, 7.0, 14.0)],
    right=[
        lambda first, second, around: max(0.0, around - first - second),
        lambda first, second, around: sum(sorted([0.0, around - (first + second)])[1:]),
    ],
    mistakes={
        "Two windows that overlap may cost more than the one around both: then merging pays at any price, from 0 on.": (
            lambda first, second, around: around - first - second
        ),
        "The other way round: what is the window around both dearer than the two?": (
            lambda first, second, around: max(0.0, first + second - around)
        ),
        "One window is saved, not two: two become one.": (
            lambda first, second, around: max(0.0, around - first - second) / 2
        ),
        "Two windows are replaced: subtract both of them.": lambda first, second, around: max(0.0, around - first),
        "That is a share; wanted are operations.": (
            lambda first, second, around: max(0.0, around - first - second) / around
        ),
    },
)


def _machines(wanted, each, image_bytes, disk, up=math.ceil, limit=lambda wanted, size, disk: wanted * size <= disk):
    """How many machines, right or with a mistake; 0 where the disk is too slow."""
    return up(wanted / each) if limit(wanted, image_bytes, disk) else 0


_JOBS = [
    (98, 8, 400_000, 2e8),
    (110, 8, 400_000, 2e8),
    (100, 10, 400_000, 2e8),
    (900, 8, 400_000, 2e8),
    (30, 8, 400_000, 2e6),
    (500, 8, 400_000, 2e8),
]
"""Images a second that are wanted, that one machine does; bytes of an image; bytes a second of the disk."""


EXERCISES["12.3"] = Exercise(
    asks="machines_needed(wanted, each, image_bytes, disk), a whole number",
    cases=_JOBS,
    right=[
        _machines,
        lambda wanted, each, image_bytes, disk: 0 if wanted > disk / image_bytes else int(-(-wanted // each)),
    ],
    mistakes={
        "Half a machine is none: round up, or there are too few images.": lambda *job: _machines(*job, up=int),
        "A part of a machine cannot be bought: round up.": lambda *job: _machines(*job, up=float),
        "Rounded to the nearest, there may be too few: round up, with math.ceil.": (
            lambda *job: _machines(*job, up=round)
        ),
        "The disk is missing: if it can't deliver the images that all of them want, the answer is 0.": (
            lambda *job: _machines(*job, limit=lambda *rates: True)
        ),
        "All machines read from the one disk: compare all the images a second, not those of one machine.": (
            lambda wanted, each, size, disk: math.ceil(wanted / each) if each * size <= disk else 0
        ),
        "A disk that is just fast enough is fast enough.": (
            lambda *job: _machines(*job, limit=lambda wanted, size, disk: wanted * size < disk)
        ),
    },
)
