"""What is known about the exercises of lesson 08: see `checks`."""

import numpy as np

from .checks import EXERCISES, Exercise


def _fused(fused, spread, alone=(30.0, 2.0)):
    return {"fused": fused, "spread": spread, "fused, no echo": alone[0], "spread, no echo": alone[1]}


EXERCISES["08.1"] = Exercise(
    asks="four numbers in the dictionary my_answer, such as 12.5 (metres)",
    right=[_fused(32.4, 1.25**-0.5), _fused(np.float64(40.5) / 1.25, 0.8944, (30, 2))],
    mistakes={
        "The weights are inverse variances, 1 / 4 and 1, not inverse spreads.": _fused(32.0, 1.5**-0.5),
        "That is the plain mean: the radar is surer, so it counts more.": _fused(31.5, 1.25**-0.5),
        "Turned round: the smaller spread has the larger weight.": _fused(30.6, 1.25**-0.5),
        "That is the variance: the spread is its root.": _fused(32.4, 0.8),
        "Spreads don't add up: two opinions are surer than one.": _fused(32.4, 5**0.5),
        "Without an echo only the camera is left, with its own spread.": _fused(32.4, 1.25**-0.5, (30.0, np.inf)),
        "No echo is no number; the camera still has one.": _fused(32.4, 1.25**-0.5, (np.nan, np.inf)),
    },
    tolerance=0.01,  # two decimals are enough, 0.89
)


def _fuse_by_hand(leave_out=True, power=2, root=True, nothing=(np.nan, np.inf)):
    """A fusion of one row, right or with a mistake."""

    def fuse(values, spreads):
        said = np.isfinite(values)
        if not said.any() and leave_out:
            return nothing
        weights = 1 / spreads**power
        if leave_out is True:
            values, weights = values[said], weights[said]
        elif leave_out == "values":
            values = np.nan_to_num(values)
        return (weights * values).sum() / weights.sum(), weights.sum() ** (-0.5 if root else -1.0)

    return fuse


def _loop(values, spreads):
    total = weighted = 0.0
    for value, spread in zip(values, spreads, strict=True):
        if not np.isnan(value):
            total, weighted = total + spread**-2, weighted + value * spread**-2
    return (weighted / total, total**-0.5) if total else (float("nan"), float("inf"))


EXERCISES["08.2"] = Exercise(
    asks="fuse_by_hand(values, spreads), the fused value and its spread",
    cases=[
        (np.array([20.0, 22.0]), np.array([1.0, 2.0])),
        (np.array([20.0, np.nan, 21.0]), np.array([1.0, 0.1, 0.5])),
        (np.array([np.nan, np.nan]), np.array([1.0, 2.0])),
    ],
    right=[_fuse_by_hand(), _loop],
    mistakes={
        "It still answers NaN where one sensor says nothing: leave that one out.": _fuse_by_hand(leave_out=False),
        "A silent sensor counts as 0 m now: leave its weight out as well.": _fuse_by_hand(leave_out="values"),
        "The weights are 1 / spreads**2, not 1 / spreads.": _fuse_by_hand(power=1),
        "That is the variance: the spread is its root.": _fuse_by_hand(root=False),
        "Where all say nothing, the spread is infinite, not 0.": _fuse_by_hand(nothing=(np.nan, 0.0)),
        "Where all say nothing, the value is NaN: 0 m would be a distance.": _fuse_by_hand(nothing=(0.0, np.inf)),
    },
)


def _whose_echo(scaled=True, gate=3.0, last=False, each=False, distance=np.hypot):
    """The nearest echo of one object, right or with a mistake."""

    def whose(echoes, expected, spreads):
        if len(echoes) == 0:
            return -1
        parts = ((echoes - expected) / (spreads if scaled else 1)).T
        apart = distance(*parts)
        within = (np.abs(parts) <= gate).all(axis=0) if each else apart <= gate
        nearest = int(np.flatnonzero(within)[-1]) if last and within.any() else int(np.argmin(apart))
        return nearest if within[nearest] else -1

    return whose


def _echo_by_loop(echoes, expected, spreads):
    best, nearest = 9.0, -1
    for index, echo in enumerate(echoes):
        squared = sum(((echo[i] - expected[i]) / spreads[i]) ** 2 for i in range(2))
        if squared <= best:
            best, nearest = squared, index
    return nearest


_EXPECTED, _SPREADS = np.array([20.0, 0.0]), np.array([1.0, 0.02])
EXERCISES["08.3"] = Exercise(
    asks="whose_echo(echoes, expected, spreads), an index or -1",
    cases=[
        (np.array([[22.5, 0.0], [20.5, 0.1], [19.0, 0.01]]), _EXPECTED, _SPREADS),
        (np.array([[20.5, 0.01], [22.9, 0.0], [60.0, 0.2]]), _EXPECTED, _SPREADS),
        (np.array([[22.5, 0.05], [35.0, 0.0]]), _EXPECTED, _SPREADS),
        (np.array([[24.0, 0.0]]), _EXPECTED, np.array([2.0, 0.02])),
        (np.array([[35.0, 0.0]]), _EXPECTED, _SPREADS),
        (_EXPECTED + 2.0 * _SPREADS[None], _EXPECTED, _SPREADS),
        (np.zeros((0, 2)), _EXPECTED, _SPREADS),
    ],
    right=[_whose_echo(), _echo_by_loop],
    mistakes={
        "Metres and radians are compared as they are: divide each difference by its spread.": _whose_echo(scaled=False),
        "There is no gate: an echo that is far from everything is clutter, -1.": _whose_echo(gate=np.inf),
        "Each of the two is compared with 3; it is the root of the squares added that counts.": _whose_echo(each=True),
        "The two are added as squares, under a root, not as they are.": (
            _whose_echo(distance=lambda in_range, in_azimuth: np.abs(in_range) + np.abs(in_azimuth))
        ),
        "The gate is 3 spreads, not 1.": _whose_echo(gate=1.0),
        "That is the last one within the gate, not the nearest.": _whose_echo(last=True),
        "Without any echo at all it stops or answers wrongly: return -1 there.": (
            lambda echoes, expected, spreads: _whose_echo()(echoes, expected, spreads) if len(echoes) else 0
        ),
    },
)
