"""What is known about the exercises of lesson 12: see `checks`."""

import math

import numpy as np

from .checks import EXERCISES, Exercise, brief, to_numpy, wrong_keys

_FRAMES = {
    "head 0.36 of the time, windows 0.14 of its work": (0.36, 0.14),
    "head 0.50 of the time, windows 0.14 of its work": (0.50, 0.14),
    "head 0.36 of the time, no object at all": (0.36, 0.0),
    "head 0.36 of the time, windows 0.60 of its work": (0.36, 0.60),
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
    asks="four ratios in the dictionary my_answer, two decimals each",
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
        lambda first, second, around: float(np.clip(around - (first + second), 0, None)),
    ],
    mistakes={
        "Two windows that overlap may cost more than the one around both: then a call need not cost anything, 0.": (
            lambda first, second, around: around - first - second
        ),
        "The other way round: what is the window around both dearer than the two?": (
            lambda first, second, around: max(0.0, first + second - around)
        ),
        "One call is saved, not two: two calls become one.": (
            lambda first, second, around: max(0.0, around - first - second) / 2
        ),
        "Two windows are replaced: subtract both of them.": lambda first, second, around: max(0.0, around - first),
        "That is a share; wanted are operations.": (
            lambda first, second, around: max(0.0, around - first - second) / around
        ),
    },
)


def _in_8_bits(kernel, axis=(0, 1, 2), steps=127, rounded=np.rint, guard=True, back=True):
    """A kernel through 8 bits, right or with a mistake."""
    largest = np.abs(kernel).max(axis=axis, keepdims=True)
    step = np.where(largest > 0, largest, 1) / steps if guard else largest / steps
    with np.errstate(all="ignore"):
        codes = rounded(kernel / step)
    return codes * step if back else codes


def _kernels():
    generator = np.random.default_rng(0)
    wide = generator.normal(size=(3, 3, 4, 5)) * np.array([0.01, 0.1, 1, 10, 0.003])
    with_a_dead_channel = generator.normal(size=(1, 1, 6, 3)) * np.array([1, 0, 2])
    return [(wide,), (with_a_dead_channel,)]


EXERCISES["12.3"] = Exercise(
    asks="through_8_bits(kernel), an array of the same shape",
    cases=_kernels(),
    right=[
        _in_8_bits,
        lambda kernel: np.stack(
            [
                np.round(each / (max(np.abs(each).max(), 1e-30) / 127)) * (max(np.abs(each).max(), 1e-30) / 127)
                for each in np.moveaxis(kernel, -1, 0)
            ],
            axis=-1,
        ),
    ],
    tolerance=1e-9,
    mistakes={
        "That is one step for the whole kernel: every output channel, the last axis, gets its own.": (
            lambda kernel: _in_8_bits(kernel, axis=None)
        ),
        "That is a step for each input channel: the sums of one output channel must share theirs.": (
            lambda kernel: _in_8_bits(kernel, axis=(0, 1, 3))
        ),
        "A channel of zeros divides by 0: give it any step, its weights stay 0.": (
            lambda kernel: _in_8_bits(kernel, guard=False)
        ),
        "255 steps reach from -127 to 127: the largest weight is 127 steps away from 0.": (
            lambda kernel: _in_8_bits(kernel, steps=255)
        ),
        "128 does not fit: signed 8 bits end at 127.": lambda kernel: _in_8_bits(kernel, steps=128),
        "That cuts off: round to the nearest step.": lambda kernel: _in_8_bits(kernel, rounded=np.trunc),
        "Those are the codes: multiply by the step again.": lambda kernel: _in_8_bits(kernel, back=False),
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


EXERCISES["12.4"] = Exercise(
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
