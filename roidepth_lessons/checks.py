"""Checks that a learner runs: a claim of a lesson, and whether an exercise is right.

:func:`check` says that a claim holds, or raises. :func:`check_exercise` says whether an answer is right and, if it is
not, what is likely wrong; it never raises, so that a notebook with open exercises runs to its end.

What is known about an exercise is one entry of `EXERCISES`: cases to try, right answers, and typical mistakes, each
with the sentence that helps whoever makes it. A new entry looks like this one:

>>> EXERCISES["00.1"] = Exercise(
...     asks="mean_squared_error(predicted, true)",
...     cases=[(np.array([1.0, 2.0, 4.0]), np.array([1.0, 4.0, 1.0])), (np.array([-1.0, 3.0]), np.array([2.0, 2.0]))],
...     right=[
...         lambda predicted, true: np.mean((predicted - true) ** 2),
...         lambda predicted, true: sum((p - t) ** 2 for p, t in zip(predicted, true)) / len(true),
...     ],
...     mistakes={
...         "That is the sum of the squares: divide by how many there are.": lambda p, t: np.sum((p - t) ** 2),
...         "That is the mean difference: square before you average.": lambda p, t: np.mean(p - t),
...         "That is the root: mean_squared_error keeps the square.": lambda p, t: np.sqrt(np.mean((p - t) ** 2)),
...     },
... )
>>> check_exercise("00.1", lambda predicted, true: ...)
Exercise 00.1: not tried yet. Wanted: mean_squared_error(predicted, true)
>>> check_exercise("00.1", lambda predicted, true: np.square(predicted - true).mean())
Exercise 00.1: right.
>>> check_exercise("00.1", lambda predicted, true: ((predicted - true) ** 2).sum())
Exercise 00.1: not yet. That is the sum of the squares: divide by how many there are.
>>> check_exercise("00.1", lambda predicted, true: abs(predicted - true).mean())
Exercise 00.1: not yet. For the input array([1., 2., 4.]), array([1., 4., 1.]) the result should be 4.333, it is 1.667.
>>> del EXERCISES["00.1"]

An answer may also be a value (a prediction, a choice, a dict of numbers): then there are no `cases`, and `right` and
`mistakes` hold values; text is compared without regard to capitals. Where no list of results can say what is right (any
learning rate that diverges, any layer that keeps the shape), give `test`, a function that takes the answer and returns
None or the sentence that helps; `cases` may still be given, so that a stub is known by returning nothing for them.

The first sentence whose mistake gives the learner's results is printed, so the cases must tell the mistakes apart.
`tests/test_checks.py` walks all entries: at least two right answers that are accepted, at least three mistakes that are
rejected with their own sentence, and stubs that are "not tried yet". Keras is imported inside the functions that use
it, and an entry's answers together take well under a second.
"""

import copy
import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np


def check(claim, holds):
    """Prints that a claim holds, always in the same words, or raises.

    Args:
        claim: A sentence, "the net beats guessing the mean twice over".
        holds: True or False: a bool, or an array or tensor that holds a single one.

    Raises:
        AssertionError: if the claim does not hold.
        TypeError: if `holds` is something else, such as a number that was not compared, or a whole array.
    """
    value = _to_numpy(holds)
    if value.dtype != bool or value.size != 1:
        found = f"{type(holds).__name__} {holds!r}" if value.size <= 1 else f"{value.size} values"
        raise TypeError(f"check({claim!r}, ...) needs one True or False, got {found}; compare, or add .all()")
    if not value.item():
        raise AssertionError(f"this should hold, and does not: {claim}")
    print(f"✓ {claim}")


def check_exercise(number, answer):
    """Prints whether an answer is right, what is likely wrong with it, or that it was not tried yet.

    Args:
        number: The exercise, such as "02.1".
        answer: What the exercise asks for: a function, or a value.

    Raises:
        KeyError: if there is no such exercise.
    """
    if number not in EXERCISES:
        raise KeyError(f"there is no exercise {number!r}; there are {sorted(EXERCISES)}")
    print(f"Exercise {number}: {EXERCISES[number].judge(answer)}")


RIGHT = "right."
NOT_TRIED = "not tried yet."


@dataclass(frozen=True)
class Exercise:
    """What is known about one exercise; see the module's text for an example.

    Args:
        asks: What the answer must be, in a few words.
        right: At least two right answers. The first one says what is expected.
        mistakes: At least three: dict from the sentence that helps to an answer that makes the mistake.
        cases: Tuples of arguments to try a function with. None for answers that are values.
        test: Function of the answer that returns None or a sentence that helps, in place of comparing with `right[0]`.
        stub: What the lesson starts with, if that is neither None nor ... nor a function that returns them; `test` must
            then raise NotImplementedError for it.
        tolerance: How far numbers may be off, relative to the expected ones and absolute.
    """

    asks: str
    right: Sequence
    mistakes: Mapping
    cases: Sequence = ()
    test: Callable | None = None
    stub: object = None
    tolerance: float = 1e-5

    def judge(self, answer):
        """Says "right.", "not tried yet. ..." or "not yet. ..." with what is likely wrong."""
        try:
            results = self._results(answer)
            if all(_is_untouched(each) for each in results):
                return f"{NOT_TRIED} Wanted: {self.asks}"
            fault = self.test(answer) if self.test else self._fault(results)
        except NotImplementedError:
            return f"{NOT_TRIED} Wanted: {self.asks}"
        except Exception as error:  # whatever a learner's code may raise
            fault = f"It stopped with {type(error).__name__}: {error}"
        return f"not yet. {fault}" if fault else RIGHT

    def _results(self, answer):
        """What the answer gives for every case, or the answer itself if it is a value."""
        if not self.cases or _is_untouched(answer):
            return [answer]
        if not callable(answer):
            raise TypeError(f"it must be a function, {self.asks}; it is {answer!r}")
        return [answer(*copy.deepcopy(case)) for case in self.cases]

    def _fault(self, results):
        """The sentence of the mistake that gives the same results, else how the first wrong one differs; or None."""
        expected = self._results(self.right[0])
        differences = [_difference(*pair, self.tolerance) for pair in zip(results, expected, strict=True)]
        if not any(differences):
            return None
        for sentence, mistaken in self.mistakes.items():
            if self._agrees(results, mistaken):
                return sentence
        if not self.cases:  # what is expected would be the answer itself
            return f"{_brief(results[0])} is not it: open the hint."
        case, difference = next(pair for pair in zip(self.cases, differences, strict=True) if pair[1])
        return f"For the input {', '.join(map(_brief, case))} {difference}."

    def _agrees(self, results, mistaken):
        try:
            likewise = self._results(mistaken)
        except Exception:  # a mistake may be one that stops
            return False
        return not any(_difference(*pair, self.tolerance) for pair in zip(results, likewise, strict=True))


def _is_untouched(answer):
    """Whether this is what a stub leaves: nothing, an ellipsis, or a collection with one in it."""
    if isinstance(answer, Mapping):
        return any(_is_untouched(each) for each in answer.values())
    if isinstance(answer, list | tuple):
        return any(_is_untouched(each) for each in answer)
    return answer is None or answer is ...


def _difference(result, expected, tolerance):
    """How a result differs from what is expected, in words; None if it does not."""
    if isinstance(expected, Mapping):
        if not isinstance(result, Mapping) or set(result) != set(expected):
            return f"the keys should be {sorted(expected)}, it is {_brief(result)}"
        return _first(expected, lambda key: _difference(result[key], expected[key], tolerance), "[{!r}]")
    if isinstance(expected, list | tuple):
        result = list(_to_numpy(result)) if len(getattr(result, "shape", ())) else result
        if not isinstance(result, list | tuple) or len(result) != len(expected):
            return f"there should be {len(expected)} results, it is {_brief(result)}"
        return _first(range(len(expected)), lambda i: _difference(result[i], expected[i], tolerance), "[{}]")
    if isinstance(expected, str):
        same = isinstance(result, str) and result.strip().casefold() == expected.strip().casefold()
        return None if same else f"the result should be {expected!r}, it is {_brief(result)}"
    return _difference_of_numbers(result, expected, tolerance)


def _difference_of_numbers(result, expected, tolerance):
    given, expected = result, _to_numpy(expected)
    try:
        result = _to_numpy(result)
        if result.dtype.kind not in "biufc":
            raise TypeError
    except (TypeError, ValueError):
        return f"the result should be {'a number' if expected.ndim == 0 else 'an array'}, it is {_brief(given)}"
    if result.shape != expected.shape:
        return f"the shape should be {expected.shape}, it is {result.shape}"
    if np.isnan(result).any() and not np.isnan(expected).any():
        return "there are values that are not a number (nan)"
    if np.allclose(result, expected, rtol=tolerance, atol=tolerance, equal_nan=True):
        return None
    if expected.ndim == 0:
        return f"the result should be {_brief(expected.item())}, it is {_brief(result.item())}"
    wrong = np.sum(~np.isclose(result, expected, rtol=tolerance, atol=tolerance))
    return f"{wrong} of {expected.size} values are wrong: it is {_brief(result)}, should be {_brief(expected)}"


def _first(keys, difference, form):
    """The first difference among the parts of a collection, with the part's place."""
    found = ((key, difference(key)) for key in keys)
    return next((f"in {form.format(key)} {words}" for key, words in found if words), None)


def _brief(value):
    if isinstance(value, numbers.Real) and not isinstance(value, bool | numbers.Integral) and math.isfinite(value):
        return f"{value:.4g}"
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def _to_numpy(value):
    """An array of a number, array or tensor of any backend."""
    if hasattr(value, "detach"):  # PyTorch, which converts no tensor that has a gradient
        value = value.detach().cpu()
    return np.asarray(value)


EXERCISES = {}
"""Every exercise by its number, lesson and place: "02.1". Entries follow, lesson by lesson."""


# 01 Two outputs ------------------------------------------------------------------------------------------------------


def _loud_loss_fault(answer):
    """What is wrong with a mean squared error that is to refuse different shapes; None if nothing is."""
    column, row = np.array([[1.0], [2.0], [6.0]]), np.array([1.0, 2.0, 6.0])
    value = _to_numpy(answer(column, column + 2))
    if value.size != 1:
        return f"One number is wanted, the mean of all squares; it is {_brief(value)}"
    if not np.isclose(value, 4):
        return f"Three errors of 2 have the mean squared error 4, it is {_brief(value.item())}."
    for y_true, y_pred in [(row, column), (column, row), (column, column.T)]:
        shapes = f"{y_true.shape} and {y_pred.shape}"
        try:
            answer(y_true, y_pred)
        except ValueError as error:
            if not all(str(each.shape) in str(error) for each in (y_true, y_pred)):
                return f"It stops, good. Now name both shapes in the message, {shapes}; it says: {error}"
        except AssertionError:
            return "Raise a ValueError: Python leaves assert out when it is started with -O."
        else:
            return f"The shapes {shapes} still went through: compare the whole of .shape, before you subtract."
    return None


def _loud_loss(same, message="{} and {}", kind=ValueError, mean=np.mean):
    """A mean squared error that refuses what `same` calls different."""

    def loss(y_true, y_pred):
        if not same(y_true, y_pred):
            raise kind(message.format(y_true.shape, y_pred.shape))
        return mean((y_pred - y_true) ** 2)

    return loss


def _joint_step(factor=2, mean=True, side=-1, weighted=True, flip=False, bias_moves=True):
    """A step of gradient descent for two outputs, right or with a mistake."""

    def step(x, y, weights, bias, loss_weights, rate):
        errors = (x @ weights + bias - y) * (loss_weights if weighted else 1)
        gradients = [factor * each.T @ errors / (len(x) if mean else 1) for each in (x, np.ones(len(x)))]
        return (
            weights + side * rate * (gradients[0].T if flip else gradients[0]),
            bias + side * rate * gradients[1] * bias_moves,
        )

    return step


EXERCISES["01.1"] = Exercise(
    asks="a learning rate",
    right=[0.05, 0.5 * 0.1],
    mistakes={
        "A weight of 0.1 makes the steps shorter, so the rate is below 0.5: multiply instead of dividing.": 5.0,
        "That is the rate of the whole training; the weight of 0.1 shortens the steps of y2.": 0.5,
        "That is the weight alone: the step is rate times weight times gradient.": 0.1,
        "Rate and weight are both factors in front of the gradient: multiply them.": 0.6,
    },
)
EXERCISES["01.2"] = Exercise(
    asks="loud_mean_squared_error(y_true, y_pred), a number, or a ValueError where the shapes differ",
    cases=[(np.array([[1.0], [2.0]]), np.array([[3.0], [4.0]]))],
    test=_loud_loss_fault,
    right=[
        _loud_loss(lambda y_true, y_pred: y_true.shape == y_pred.shape),
        _loud_loss(lambda y_true, y_pred: np.shape(y_true) == np.shape(y_pred), "got {1} for targets of {0}"),
    ],
    mistakes={
        "The shapes (3,) and (3, 1) still went through: compare the whole of .shape, before you subtract.": (
            _loud_loss(lambda y_true, y_pred: len(y_true) == len(y_pred))
        ),
        "The shapes (3, 1) and (1, 3) still went through: compare the whole of .shape, before you subtract.": (
            _loud_loss(lambda y_true, y_pred: y_true.ndim == y_pred.ndim)
        ),
        "It stops, good. Now name both shapes in the message, (3,) and (3, 1); it says: shapes differ": (
            _loud_loss(lambda y_true, y_pred: y_true.shape == y_pred.shape, "shapes differ")
        ),
        "Raise a ValueError: Python leaves assert out when it is started with -O.": (
            _loud_loss(lambda y_true, y_pred: y_true.shape == y_pred.shape, kind=AssertionError)
        ),
        "Three errors of 2 have the mean squared error 4, it is 12.": (
            _loud_loss(lambda y_true, y_pred: y_true.shape == y_pred.shape, mean=np.sum)
        ),
        "One number is wanted, the mean of all squares": (
            _loud_loss(lambda y_true, y_pred: y_true.shape == y_pred.shape, mean=np.asarray)
        ),
    },
)
EXERCISES["01.3"] = Exercise(
    asks="joint_step(x, y, weights, bias, loss_weights, rate), the new weights (2, 2) and the new bias (2,)",
    cases=[
        (
            np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]),
            np.array([[0.4, 3.5], [0.5, 3.9], [0.0, 1.6]]),
            np.array([[0.5, -0.5], [0.25, 1.0]]),
            np.array([1.0, 2.0]),
            np.array([1.0, 0.5]),
            0.5,
        ),
        (
            np.array([[1.0, 2.0], [3.0, -1.0], [0.5, 0.0], [2.0, 1.0]]),
            np.array([[1.0, 0.0], [2.0, 1.0], [0.0, -1.0], [3.0, 2.0]]),
            np.zeros((2, 2)),
            np.zeros(2),
            np.array([0.2, 3.0]),
            0.1,
        ),
    ],
    right=[
        _joint_step(),
        lambda x, y, weights, bias, loss_weights, rate: (
            weights - rate * 2 * np.mean(x[:, :, None] * ((x @ weights + bias - y) * loss_weights)[:, None], axis=0),
            bias - rate * 2 * np.mean((x @ weights + bias - y) * loss_weights, axis=0),
        ),
    ],
    mistakes={
        "Your step is half as long: is the 2 of the square missing, or did you divide by the count of both columns?": (
            _joint_step(factor=1)
        ),
        "Divide by the number of points: each loss is a mean, not a sum.": _joint_step(mean=False),
        "The loss weights are not in it: multiply each column of the errors by its own.": _joint_step(weighted=False),
        "This goes uphill: subtract the gradient (or take prediction minus target for the error).": _joint_step(side=1),
        "The weights' gradient is transposed: a column belongs to an output, x.T @ errors.": _joint_step(flip=True),
        "The bias has stayed: its gradient is that of a weight whose feature is always 1.": (
            _joint_step(bias_moves=False)
        ),
    },
)
EXERCISES["01.4"] = Exercise(
    asks="for_x(weights, bias), the weights (2,) and the bias for x",
    cases=[(np.array([0.25, 0.5]), 3.0), (np.array([-1.0, 3.0]), 0.5)],
    right=[
        lambda weights, bias: (2 * weights, bias - weights.sum()),
        lambda weights, bias: [[2 * weight for weight in weights], bias - sum(weights)],
    ],
    mistakes={
        "That is the way back, from x to u: here u is given as 2x - 1.": lambda w, b: (w / 2, b + w.sum() / 2),
        "The weights are right. The bias changes too: the -1 of 2x - 1 meets each weight.": lambda w, b: (2 * w, b),
        "The bias is right. The weights change too: the 2 of 2x - 1 meets each weight.": lambda w, b: (w, b - w.sum()),
        "The sign: -1 times a weight goes off the bias.": lambda w, b: (2 * w, b + w.sum()),
        "The -1 meets each weight, not each doubled weight.": lambda w, b: (2 * w, b - 2 * w.sum()),
    },
)


# 02 A shared layer ---------------------------------------------------------------------------------------------------

EXERCISES["02.1"] = Exercise(
    asks="four distances, such as 0.5, in the dictionary my_answer",
    right=[
        {"Adam, weight 1": 0.001, "Adam, weight 100": 0.001, "SGD, weight 1": 0.0003, "SGD, weight 100": 0.03},
        {
            "Adam, weight 1": np.float32(1e-3),
            "Adam, weight 100": 0.001 * 30 / (30 + 1e-7),
            "SGD, weight 1": 0.001 * 0.3,
            "SGD, weight 100": 0.001 * 100 * 0.3,
        },
    ],
    mistakes={
        "Adam divides the size of the gradient away, and a loss weight is part of that size.": {
            "Adam, weight 1": 0.001, "Adam, weight 100": 0.1, "SGD, weight 1": 0.0003, "SGD, weight 100": 0.03,
        },
        "That is gradient descent four times over: Adam's first step does not know the size of the gradient.": {
            "Adam, weight 1": 0.0003, "Adam, weight 100": 0.03, "SGD, weight 1": 0.0003, "SGD, weight 100": 0.03,
        },
        "Gradient descent divides nothing away: there the loss weight counts.": {
            "Adam, weight 1": 0.001, "Adam, weight 100": 0.001, "SGD, weight 1": 0.0003, "SGD, weight 100": 0.0003,
        },
        "Gradient descent moves by rate times gradient, and the gradient is 0.3.": {
            "Adam, weight 1": 0.001, "Adam, weight 100": 0.001, "SGD, weight 1": 0.001, "SGD, weight 100": 0.1,
        },
        "Gradient descent moves by rate times gradient; here the rate is missing.": {
            "Adam, weight 1": 0.001, "Adam, weight 100": 0.001, "SGD, weight 1": 0.3, "SGD, weight 100": 30.0,
        },
        "Right but for the sign: asked is how far, so no minus.": {
            "Adam, weight 1": -0.001, "Adam, weight 100": -0.001, "SGD, weight 1": -0.0003, "SGD, weight 100": -0.03,
        },
    },
)  # fmt: skip

EXERCISES["02.2"] = Exercise(
    asks='turn(step), which returns "y1" or "y2"',
    cases=[(step,) for step in range(12)],
    right=[
        lambda step: "y2" if step % 4 == 3 else "y1",
        lambda step: ["y1", "y1", "y1", "y2"][step % 4],
        lambda step: "y1" if step % 4 < 3 else "y2",
    ],
    mistakes={
        "That is still one to one.": lambda step: "y1" if step % 2 == 0 else "y2",
        "That is three to three: the whole pattern is four steps long.": lambda step: ("y1", "y2")[step // 3 % 2],
        "The other way round: three of y1, one of y2.": lambda step: "y1" if step % 4 == 0 else "y2",
        "Three to one, but y2 comes first.": lambda step: "y2" if step % 4 == 0 else "y1",
        "That is two to one: a pattern of three steps.": lambda step: "y2" if step % 3 == 2 else "y1",
        "That is four to one: step % 4 has four values, step % 5 has five.": lambda s: "y2" if s % 5 == 4 else "y1",
    },
)

EXERCISES["02.3"] = Exercise(
    asks="without_conflict(gradient, other), which returns a row of numbers",
    cases=[
        (np.array([-2.0, 0.0]), np.array([1.0, -1.0])),
        (np.array([1.0, 2.0]), np.array([3.0, 1.0])),
        (np.array([3.0, -1.0, 2.0]), np.array([-1.0, 2.0, 0.5])),
        (np.array([0.0, 1.0]), np.array([2.0, 0.0])),
    ],
    right=[
        lambda gradient, other: gradient - min(gradient @ other, 0) / (other @ other) * other,
        lambda gradient, other: (
            gradient if gradient @ other >= 0 else gradient - gradient @ other / np.linalg.norm(other) ** 2 * other
        ),
    ],
    mistakes={
        "That takes the part along the other out in any case: only if the product is negative.": (
            lambda gradient, other: gradient - gradient @ other / (other @ other) * other
        ),
        "Divide by the squared length, other @ other, not by the length.": (
            lambda gradient, other: gradient - min(gradient @ other, 0) / np.linalg.norm(other) * other
        ),
        "Divide by other @ other, the squared length.": (
            lambda gradient, other: gradient - min(gradient @ other, 0) * other
        ),
        "Wrong sign: take the part away, don't add it once more.": (
            lambda gradient, other: gradient + min(gradient @ other, 0) / (other @ other) * other
        ),
        "Divide by the squared length of the other gradient, not of this one.": (
            lambda gradient, other: gradient - min(gradient @ other, 0) / (gradient @ gradient) * other
        ),
        "It is the other way round: gradients with a negative product conflict.": (
            lambda gradient, other: gradient - max(gradient @ other, 0) / (other @ other) * other
        ),
        "That throws the whole gradient away: what is at a right angle to the other may stay.": (
            lambda gradient, other: gradient * (gradient @ other >= 0)
        ),
    },
)
