"""What is known about the exercises of lesson 08: see `checks`."""

import numpy as np

from .checks import EXERCISES, Exercise, brief, wrong_keys

RIGHT_FUSION = {"fused": 32.4, "spread": 1.25**-0.5, "fused, no echo": 30.0, "spread, no echo": 2.0}
NO_ECHO = "Without an echo only the camera is left, with its own value and its own spread."
WRONG_FUSION = {
    "fused": {
        32.0: "The weights are inverse variances, 1 / 4 and 1, not inverse spreads.",
        31.5: "That is the plain mean: the radar is surer, so it counts more.",
        30.6: "Turned round: the smaller spread has the larger weight.",
        31.0: "Turned round: the smaller spread has the larger weight, and weights are inverse variances.",
        40.5: "Divide by the sum of the weights, 1.25.",
    },
    "spread": {
        1.5**-0.5: "The weights are inverse variances, 1 / 4 and 1, not inverse spreads.",
        0.8: "That is the variance: the spread is its root.",
        1.25: "That is the sum of the weights: the spread is one over its root.",
        1.25**0.5: "Turned round: the spread is one over the root of the sum of the weights.",
        5**0.5: "Variances don't add up: two opinions are surer than one.",
        3.0: "Spreads don't add up: two opinions are surer than one.",
        1.5: "That is the mean of the spreads: two opinions are surer than either.",
    },
    "fused, no echo": {
        np.nan: "No echo is no number, but the camera still has one.",
        33.0: NO_ECHO,
        0.0: NO_ECHO,
        32.4: NO_ECHO,
    },
    "spread, no echo": {
        np.inf: NO_ECHO,
        np.nan: NO_ECHO,
        1.0: NO_ECHO,
        1.25**-0.5: NO_ECHO,
        4.0: ("That is the variance: the spread is its root."),
    },
}
FUSION_HINTS = {
    "fused": "Add weight times value, divide by the sum of the weights.",
    "spread": "One over the root of the sum of the weights: it lies below either spread.",
    "fused, no echo": NO_ECHO,
    "spread, no echo": NO_ECHO,
}


def _wrong_number(entry, answer):
    """What is wrong with one entry of the answer, or None."""
    try:
        number = float(answer)
    except (TypeError, ValueError):
        return f"One number is wanted, such as 12.5; it is {brief(answer)}."
    if np.isclose(number, RIGHT_FUSION[entry], rtol=0.01, atol=0.01):  # two decimals are enough, 0.89
        return None
    known = WRONG_FUSION[entry].items()
    near = (said for wrong, said in known if np.isclose(number, wrong, rtol=0.005, atol=0.005, equal_nan=True))
    return f"{number:.4g} is not it. {next(near, FUSION_HINTS[entry])}"


def _wrong_fusion(answer):
    if sentence := wrong_keys(answer, RIGHT_FUSION):
        return sentence
    found = {entry: _wrong_number(entry, answer[entry]) for entry in RIGHT_FUSION}
    return " ".join(f"{entry!r}: {fault}" for entry, fault in found.items() if fault) or None


EXERCISES["08.1"] = Exercise(
    asks="four numbers in the dictionary my_answer, such as 12.5 (metres)",
    right=[
        RIGHT_FUSION,
        {"fused": np.float64(40.5) / 1.25, "spread": 0.89, "fused, no echo": 30, "spread, no echo": 2},
    ],
    test=_wrong_fusion,
    mistakes={
        **{
            f"{entry!r}: {wrong:.4g} is not it. {said}": RIGHT_FUSION | {entry: wrong}
            for entry, known in WRONG_FUSION.items()
            for wrong, said in known.items()
        },
        "'spread': 0.7 is not it. One over the root": RIGHT_FUSION | {"spread": 0.7},
        "'fused': One number is wanted, such as 12.5; it is (32.4, 0.89).": RIGHT_FUSION | {"fused": (32.4, 0.89)},
        "my_answer must be a dictionary with the keys 'fused', 'spread'": {"fused": 32.4},
    },
)


def _fuse_by_hand(leave_out=True, power=2, root=True, nothing=(np.nan, np.inf), guard=True):
    """A fusion of one row, right or with a mistake."""

    def fuse(values, spreads):
        said = np.isfinite(values)
        if not said.any() and leave_out and guard:
            return nothing
        weights = 1 / spreads**power
        if leave_out is True:
            values, weights = values[said], weights[said]
        elif leave_out == "values":
            values = np.nan_to_num(values)
        elif leave_out == "value":  # and not the spread
            return (weights * values)[said].sum() / weights[said].sum(), weights.sum() ** -0.5
        return (weights * values).sum() / weights.sum(), weights.sum() ** (-0.5 if root else -1.0)

    return fuse


def _loop(values, spreads):
    total = weighted = 0.0
    for value, spread in zip(values, spreads, strict=True):
        if not np.isnan(value):
            total, weighted = total + spread**-2, weighted + value * spread**-2
    return (weighted / total, total**-0.5) if total else (float("nan"), float("inf"))


FUSION_CASES = {
    "both say something": (np.array([20.0, 22.0]), np.array([1.0, 2.0])),
    "the second of three says nothing": (np.array([20.0, np.nan, 21.0]), np.array([1.0, 0.1, 0.5])),
    "all say nothing": (np.array([np.nan, np.nan]), np.array([1.0, 2.0])),
}
FUSION_MISTAKES = {
    "It still answers NaN where one sensor says nothing: leave that one out.": _fuse_by_hand(leave_out=False),
    "The silent sensor's weight is still in the sum, so it counts as 0 m: leave its weight out as well.": (
        _fuse_by_hand(leave_out="values")
    ),
    "The silent sensor's weight is still in the sum: leave it out. And where all say nothing, answer NaN, not 0 m.": (
        _fuse_by_hand(leave_out="values", guard=False)
    ),
    "The value is right, but the silent sensor's weight is still in the spread's sum.": (
        _fuse_by_hand(leave_out="value")
    ),
    "The weights are 1 / spreads**2, not 1 / spreads.": _fuse_by_hand(power=1),
    "That is the variance: the spread is its root.": _fuse_by_hand(root=False),
    "Where all say nothing, the spread is infinite, not 0.": _fuse_by_hand(nothing=(np.nan, 0.0)),
    "Where all say nothing, the value is NaN: 0 m would be a distance.": _fuse_by_hand(nothing=(0.0, np.inf)),
}


def _answers(function, cases):
    """What a function answers to each of the cases; a sentence in place of the list if one of them stops it."""
    found = []
    for name, case in cases.items():
        try:
            found.append(function(*(each.copy() for each in case)))
        except Exception as error:  # whatever a learner's code may raise
            return f"Where {name}, it stopped with {type(error).__name__}: {error}"
    return found


def _same(pairs, others):
    return all(np.allclose(*each, rtol=1e-5, atol=1e-5, equal_nan=True) for each in zip(pairs, others, strict=True))


def _wrong_row(answer):
    """The sentence of a known mistake, or which case is wrong and what it gave; None if all are right."""
    results, right = (_answers(each, FUSION_CASES) for each in (answer, _fuse_by_hand()))
    if isinstance(results, str):
        return results
    for name, result in zip(FUSION_CASES, results, strict=True):
        if np.shape(result) != (2,):
            return f"Two numbers are wanted, the fused value and its spread; where {name}, it returns {brief(result)}."
    results = [np.asarray(each, float) for each in results]
    if _same(results, right):
        return None
    for sentence, function in FUSION_MISTAKES.items():
        if _same(results, _answers(function, FUSION_CASES)):
            return sentence
    faults = []
    for name, result, wanted in zip(FUSION_CASES, results, right, strict=True):
        parts = zip(("fused value", "spread"), result, wanted, strict=True)
        wrong = [
            f"the {part} should be {should:.4g}, it is {it:.4g}"
            for part, it, should in parts
            if not np.isclose(it, should, rtol=1e-5, atol=1e-5, equal_nan=True)
        ]
        faults += [f"Where {name}, {' and '.join(wrong)}."] if wrong else []
    return " ".join(faults)


EXERCISES["08.2"] = Exercise(
    asks="fuse_by_hand(values, spreads), the fused value and its spread",
    cases=list(FUSION_CASES.values())[:1],  # tells a stub; the test tries them all
    right=[_fuse_by_hand(), _loop],
    test=_wrong_row,
    mistakes={
        **FUSION_MISTAKES,
        "Where all say nothing, it stopped with ZeroDivisionError": (
            lambda values, spreads: _loop(values, spreads) if np.isfinite(values).any() else 1 / 0
        ),
        "Where both say something, the fused value should be 20.4, it is 21. Where the second of three": (
            lambda values, spreads: (
                (np.nanmean(values), _loop(values, spreads)[1]) if np.isfinite(values).any() else (np.nan, np.inf)
            )
        ),
        "Two numbers are wanted, the fused value and its spread; where both say something, it returns 20.4.": (
            lambda values, spreads: _loop(values, spreads)[0]
        ),
    },
)


def _whose_echo(scaled=True, gate=3.0, pick=np.argmin, each=False, distance=np.hypot):
    """The nearest echo of one object, right or with a mistake."""

    def whose(echoes, expected, spreads):
        if len(echoes) == 0:
            return -1
        parts = ((echoes - expected) / (spreads if scaled else 1)).T
        apart = distance(*parts)
        within = (np.abs(parts) <= gate).all(axis=0) if each else apart <= gate
        nearest = int(pick(np.where(within, apart, np.inf)))
        return nearest if within[nearest] else -1

    return whose


def _echo_by_loop(echoes, expected, spreads):
    best, nearest = 9.0, -1
    for index, echo in enumerate(echoes):
        squared = sum(((echo[i] - expected[i]) / spreads[i]) ** 2 for i in range(2))
        if squared <= best:
            best, nearest = squared, index
    return nearest


def _nearest_in_metres(echoes, expected, spreads):
    if len(echoes) == 0:
        return -1
    nearest = int(np.argmin(np.hypot(*(echoes - expected).T)))
    return nearest if np.hypot(*((echoes[nearest] - expected) / spreads)) <= 3 else -1


_EXPECTED, _SPREADS = np.array([20.0, 0.0]), np.array([1.0, 0.02])
ECHO_CASES = {
    "the nearest in metres is far aside": (
        np.array([[22.5, 0.0], [20.5, 0.1], [19.0, 0.01]]), _EXPECTED, _SPREADS
    ),
    "two lie within the gate": (np.array([[20.5, 0.01], [22.9, 0.0], [60.0, 0.2]]), _EXPECTED, _SPREADS),
    "each of the two is within three spreads, both together are not": (
        np.array([[22.5, 0.05], [35.0, 0.0]]), _EXPECTED, _SPREADS
    ),
    "the object's range is less sure": (np.array([[24.0, 0.0]]), _EXPECTED, np.array([2.0, 0.02])),
    "there is only clutter": (np.array([[35.0, 0.0]]), _EXPECTED, _SPREADS),
    "one echo is two spreads off in both": (_EXPECTED + 2.0 * _SPREADS[None], _EXPECTED, _SPREADS),
    "there is no echo at all": (np.zeros((0, 2)), _EXPECTED, _SPREADS),
}  # fmt: skip
ECHO_MISTAKES = {
    "Metres and radians are compared as they are: divide each difference by its spread.": _whose_echo(scaled=False),
    "There is no gate: an echo that is far from everything is clutter, -1.": _whose_echo(gate=np.inf),
    "Each of the two is compared with 3; it is the root of the squares added that counts.": _whose_echo(each=True),
    "The two are added as squares, under a root, not as they are.": (
        _whose_echo(distance=lambda in_range, in_azimuth: np.abs(in_range) + np.abs(in_azimuth))
    ),
    "The gate is 3 spreads, not 1.": _whose_echo(gate=1.0),
    "The root is missing: the squares added are compared with 3.": _whose_echo(distance=lambda r, a: r**2 + a**2),
    "The gate counts in spreads, but the nearest is picked in metres: pick it in spreads too.": _nearest_in_metres,
    "That is the first one within the gate, not the nearest.": (
        _whose_echo(pick=lambda apart: np.argmax(np.isfinite(apart)))
    ),
    "That is the last one within the gate, not the nearest.": (
        _whose_echo(pick=lambda apart: len(apart) - 1 - np.argmax(np.isfinite(apart)[::-1]))
    ),
    "Without any echo at all it answers 0: return -1 there.": (
        lambda echoes, expected, spreads: _whose_echo()(echoes, expected, spreads) if len(echoes) else 0
    ),
}


def _wrong_echo(answer):
    """The sentence of a known mistake, or the first case that is wrong and what it gave; None if all are right."""
    found, right = (_answers(each, ECHO_CASES) for each in (answer, _whose_echo()))
    if isinstance(found, str):
        return found
    for name, each in zip(ECHO_CASES, found, strict=True):
        if isinstance(each, bool | np.bool_) or np.ndim(each) or not np.issubdtype(np.asarray(each).dtype, np.integer):
            return f"One whole number is wanted, an index or -1; where {name}, it returns {brief(each)}."
    if found == right:
        return None
    known = (sentence for sentence, function in ECHO_MISTAKES.items() if _answers(function, ECHO_CASES) == found)
    name, wanted, it = next(each for each in zip(ECHO_CASES, right, found, strict=True) if each[1] != each[2])
    return next(known, f"Where {name}, it should return {wanted}, it returns {it}.")


EXERCISES["08.3"] = Exercise(
    asks="whose_echo(echoes, expected, spreads), an index or -1",
    cases=list(ECHO_CASES.values())[:1],  # tells a stub; the test tries them all
    right=[_whose_echo(), _echo_by_loop],
    test=_wrong_echo,
    mistakes={
        **ECHO_MISTAKES,
        "Where there is no echo at all, it stopped with ValueError: attempt to get argmin": (
            lambda echoes, expected, spreads: int(np.argmin(((echoes - expected) ** 2).sum(axis=1)))
        ),
        "Where the nearest in metres is far aside, it should return 2, it returns -1.": (
            lambda echoes, expected, spreads: -1
        ),
        "One whole number is wanted, an index or -1; where the nearest in metres is far aside, it returns 19.": (
            lambda echoes, expected, spreads: echoes[-1, 0] if len(echoes) else -1
        ),
    },
)
