"""What is known about the exercises of lesson 05: see `checks`."""

import numpy as np

from .checks import EXERCISES, Exercise, brief, to_numpy, wrong_keys


def _depth_cases():
    """Maps with what a data set may write where there is no depth: 0, NaN, infinity, the top of 16 bits in cm."""
    return [
        (np.array([[5.0, 0.0, 80.0], [81.0, 0.5, 655.35]]),),
        (np.array([[np.inf, 12.0, np.nan, -1.0]]),),
    ]


def _mean_cases():
    return [
        (np.array([[1.0, 2.0], [4.0, 8.0]]), np.array([[1.0, 0.0], [3.0, 0.0]])),
        (np.array([[1.0, np.nan], [-np.inf, 8.0]]), np.array([[1.0, 0.0], [0.0, 1.0]])),
        (np.array([[np.nan, 2.0]]), np.array([[0.0, 0.0]])),
        (np.array([[2.0, 5.0]]), np.array([[0.1, 0.2]])),  # they sum to less than 1
        (np.array([[np.nan, 2.0]]), np.array([[1.0, 1.0]])),  # a NaN that counts
    ]


def _where_known(values, weights):
    return np.where(weights > 0, values, 0.0)


def _loop_mean(values, weights):
    total = sum(w * v for v, w in zip(np.ravel(values), np.ravel(weights), strict=True) if w > 0)
    return total / weights.sum() if weights.sum() > 0 else 0.0


def _late(values, weights):
    with np.errstate(all="ignore"):
        return np.sum(values * weights) / np.maximum(np.sum(weights), 1e-6)


def _hidden(values, weights):
    with np.errstate(all="ignore"):
        return np.nansum(values * weights) / np.maximum(np.sum(weights), 1e-6)


def _unguarded(values, weights):
    with np.errstate(all="ignore"):
        return np.sum(weights * _where_known(values, weights)) / np.sum(weights)


RIGHT_ERRORS = {"abs_rel": 1.0, "rmse": 30.0, "delta1": 0.0, "silog": 0.0}
WRONG_ERRORS = {
    "abs_rel": "AbsRel is |predicted - true| / true, as a share: an error as large as the truth is 1.",
    "rmse": "RMSE is in metres: the error is 60 - 30.",
    "delta1": "It is the share of pixels within a factor of 1.25; 2 is more than that.",
    "silog": "SILog subtracts the mean of the log errors, and here every log error is log 2: nothing is left.",
}
"""What to say about each entry of exercise 05.1, whatever is wrong with it."""


def _wrong_errors(answer):
    """Every wrong entry by name, with what was given and what helps; None if all are right."""
    if sentence := wrong_keys(answer, RIGHT_ERRORS):
        return sentence
    wrong = [name for name, right in RIGHT_ERRORS.items() if not _is_close(answer[name], right)]
    return " ".join(f"{name!r}: {brief(answer[name])} is not it. {WRONG_ERRORS[name]}" for name in wrong) or None


def _is_close(given, right):
    is_number = np.ndim(given) == 0 and to_numpy(given).dtype.kind in "biuf"
    return is_number and np.isclose(to_numpy(given), right, rtol=1e-5, atol=1e-5)


EXERCISES["05.1"] = Exercise(
    asks="a number in place of each of the four dots in my_answer",
    test=_wrong_errors,
    right=[
        RIGHT_ERRORS,
        {"abs_rel": 1, "rmse": np.sqrt(30.0**2), "delta1": 0, "silog": 100 * np.std(np.log([2.0, 2.0]))},
    ],
    mistakes={
        **{
            f"not yet. {name!r}: {brief(given)} is not it. {WRONG_ERRORS[name]}": RIGHT_ERRORS | {name: given}
            for name, given in (("abs_rel", 0.5), ("rmse", "30 m"), ("delta1", 1), ("silog", 69.31))
        },
        f"'silog': 100 is not it. {WRONG_ERRORS['silog']}": RIGHT_ERRORS | {"abs_rel": 2.0, "silog": 100},
        "my_answer must be a dictionary with the keys 'abs_rel', 'rmse', 'delta1', 'silog'.": {"rmse": 30.0},
    },
)

_STOPPED = {
    "truth value": (
        "`and`, `not` and `0 < depth <= 80` ask for a single True or False: join two comparisons of arrays with &, "
        "each in parentheses."
    ),
    "bitwise_and": "& binds tighter than > and <=: put each comparison in parentheses.",
}


def _no_mask(has_label):
    kind = to_numpy(has_label(*_depth_cases()[0])).dtype
    return None if kind.kind == "b" else f"The pixels are right, but as numbers ({kind}): leave them True and False."


EXERCISES["05.2"] = Exercise(
    asks="has_label(depth), an array of True and False in the shape of depth",
    cases=_depth_cases(),
    right=[
        lambda depth: (depth > 0) & (depth <= 80),
        lambda depth: np.where(np.isfinite(depth), (depth > 0) * (depth <= 80.0), False).astype(bool),
    ],
    mistakes={
        "That is the mask as it was: infinity and 655.35 m still count.": lambda depth: depth > 0,
        "Infinity is out, but 655.35 m still counts: ask for at most 80.": (
            lambda depth: (depth > 0) & np.isfinite(depth)
        ),
        "Now pixels with 0 count, which is how most files say that nothing is known.": lambda depth: depth <= 80,
        "0 means that nothing is known: above 0, not from 0 on.": lambda depth: (depth >= 0) & (depth <= 80),
        "80 m itself still counts: at most 80, not below.": lambda depth: (depth > 0) & (depth < 80),
        "That is the other way round: True where there is a label.": lambda depth: ~((depth > 0) & (depth <= 80)),
        "That is the depth; wanted is True or False for every pixel.": (
            lambda depth: np.where((depth > 0) & (depth <= 80), depth, 0)
        ),
        _STOPPED["truth value"]: lambda depth: 0 < depth <= 80,
        _STOPPED["bitwise_and"]: lambda depth: depth > 0 & depth <= 80,
        "The pixels are right, but as numbers (float64): leave them True and False.": (
            lambda depth: ((depth > 0) & (depth <= 80)).astype(float)
        ),
    },
    tips=_STOPPED,
    further=_no_mask,
)

EXERCISES["05.3"] = Exercise(
    asks="masked_mean(values, weights), one number",
    cases=_mean_cases(),
    right=[
        lambda values, weights: np.sum(weights * _where_known(values, weights)) / np.maximum(np.sum(weights), 1e-6),
        _loop_mean,
    ],
    mistakes={
        "0 times NaN is NaN: replace what has no weight before you multiply.": _late,
        "Without any label the sum of the weights is 0: guard the division.": _unguarded,
        "With small weights your guard is larger than their sum, and the mean comes out too small: guard with 1e-6.": (
            lambda values, weights: np.sum(weights * _where_known(values, weights)) / np.maximum(np.sum(weights), 1)
        ),
        "That divides by the number of all pixels: divide by the sum of the weights.": (
            lambda values, weights: np.mean(weights * _where_known(values, weights))
        ),
        "A NaN that has a weight is a fault, and must show: replace only what has no weight.": _hidden,
        "That divides by the number of labels: divide by the sum of their weights.": (
            lambda values, weights: np.sum(weights * _where_known(values, weights)) / np.maximum(np.sum(weights > 0), 1)
        ),
        "A weight is more than True or False: the value with weight 3 counts three times.": (
            lambda values, weights: np.sum(_where_known(values, weights)) / np.maximum(np.sum(weights > 0), 1)
        ),
        "That is the sum: divide by the sum of the weights.": (
            lambda values, weights: np.sum(weights * _where_known(values, weights))
        ),
    },
)
