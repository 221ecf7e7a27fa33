"""Checks that a learner runs: a claim of a lesson, and whether an exercise is right.

:func:`check` says that a claim holds, or raises. :func:`check_exercise` says whether an answer is right and, if it is
not, what is likely wrong; it never raises, so that a notebook with open exercises runs to its end.

What is known about an exercise is one entry of `EXERCISES`: cases to try, right answers, and typical mistakes, each
with the sentence that helps whoever makes it. Entries stand in `exercises_NN`, one module per lesson (mind: they hold
the answers). A new entry looks like this one:

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
import importlib
import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

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
    value = to_numpy(holds)
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
    known = exercises()
    if number not in known:
        raise KeyError(f"there is no exercise {number!r}; there are {sorted(known)}")
    print(f"Exercise {number}: {known[number].judge(answer)}")


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
        tips: What to say after an error in the answer's code, by words of the error: dict from them to the sentence.
        further: Function of an answer that is right so far, as `test`: for what the results alone don't show.
    """

    asks: str
    right: Sequence
    mistakes: Mapping
    cases: Sequence = ()
    test: Callable | None = None
    stub: object = None
    tolerance: float = 1e-5
    tips: Mapping = field(default_factory=dict)
    further: Callable | None = None

    def judge(self, answer):
        """Says "right.", "not tried yet. ..." or "not yet. ..." with what is likely wrong."""
        try:
            results = self._results(answer)
            if all(_is_untouched(each) for each in results):
                return f"{NOT_TRIED} Wanted: {self.asks}"
            fault = self.test(answer) if self.test else self._fault(results)
            if not fault and self.further:
                fault = self.further(answer)
        except NotImplementedError:
            return f"{NOT_TRIED} Wanted: {self.asks}"
        except Exception as error:  # whatever a learner's code may raise
            tips = [tip for words, tip in self.tips.items() if words in str(error)]
            fault = " ".join([f"It stopped with {type(error).__name__}: {error}", *tips])
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
            return f"{brief(results[0])} is not it: open the hint."
        case, difference = next(pair for pair in zip(self.cases, differences, strict=True) if pair[1])
        return f"For the input {', '.join(map(brief, case))} {difference}."

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
            return f"the keys should be {sorted(expected)}, it is {brief(result)}"
        return _first(expected, lambda key: _difference(result[key], expected[key], tolerance), "[{!r}]")
    if isinstance(expected, list | tuple):
        result = list(to_numpy(result)) if len(getattr(result, "shape", ())) else result
        if not isinstance(result, list | tuple) or len(result) != len(expected):
            return f"there should be {len(expected)} results, it is {brief(result)}"
        return _first(range(len(expected)), lambda i: _difference(result[i], expected[i], tolerance), "[{}]")
    if isinstance(expected, str):
        same = isinstance(result, str) and result.strip().casefold() == expected.strip().casefold()
        return None if same else f"the result should be {expected!r}, it is {brief(result)}"
    return _difference_of_numbers(result, expected, tolerance)


def _difference_of_numbers(result, expected, tolerance):
    given, expected = result, to_numpy(expected)
    try:
        result = to_numpy(result)
        if result.dtype.kind not in "biufc":
            raise TypeError
    except (TypeError, ValueError):
        return f"the result should be {'a number' if expected.ndim == 0 else 'an array'}, it is {brief(given)}"
    if result.shape != expected.shape:
        return f"the shape should be {expected.shape}, it is {result.shape}"
    if np.isnan(result).any() and not np.isnan(expected).any():
        return "there are values that are not a number (nan)"
    if np.allclose(result, expected, rtol=tolerance, atol=tolerance, equal_nan=True):
        return None
    if expected.ndim == 0:
        return f"the result should be {brief(expected.item())}, it is {brief(result.item())}"
    wrong = np.sum(~np.isclose(result, expected, rtol=tolerance, atol=tolerance))
    return f"{wrong} of {expected.size} values are wrong: it is {brief(result)}, should be {brief(expected)}"


def _first(keys, difference, form):
    """The first difference among the parts of a collection, with the part's place."""
    found = ((key, difference(key)) for key in keys)
    return next((f"in {form.format(key)} {words}" for key, words in found if words), None)


def wrong_keys(answer, keys):
    """A sentence, if an answer is not a dictionary of exactly these keys; None if it is."""
    if isinstance(answer, dict) and set(answer) == set(keys):
        return None
    return f"my_answer must be a dictionary with the keys {', '.join(map(repr, keys))}."


def read_words(answer, keys, choices):
    """An answer that is a word for each key: ``(words, None)``, or ``(None, sentence)`` if it is no such thing.

    Args:
        answer: What the reader wrote. Case, and spaces around a word, don't count.
        keys: All keys that are wanted.
        choices: The words to choose from.
    """
    if sentence := wrong_keys(answer, keys):
        return None, sentence
    words = {key: word.strip().casefold() if isinstance(word, str) else word for key, word in answer.items()}
    odd = next((key for key, word in words.items() if word not in choices), None)
    if odd is None:
        return words, None
    *others, last = (f'"{word}"' for word in choices)
    return None, f"Write {', '.join(others)} or {last}; {odd!r} is {brief(answer[odd])}."


def why_wrong(words, right, reasons):
    """The reasons, by key, of all words that are not the right ones, in one text; None if all are right."""
    return " ".join(f"{key!r}: {reasons[key]}" for key, word in words.items() if word != right[key]) or None


def brief(value):
    """A value in at most 60 characters, for a sentence that says what is wrong."""
    if isinstance(value, numbers.Real) and not isinstance(value, bool | numbers.Integral) and math.isfinite(value):
        return f"{value:.4g}"
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def to_numpy(value):
    """An array of a number, array or tensor of any backend."""
    if hasattr(value, "detach"):  # PyTorch, which converts no tensor that has a gradient
        value = value.detach().cpu()
    return np.asarray(value)


EXERCISES = {}
"""Every exercise by its number, lesson and place: "02.1". :func:`exercises` fills it from the modules `exercises_*`."""


def exercises():
    """`EXERCISES`, complete: every module `exercises_NN` of the package has been imported."""
    beside = Path(__file__).parent.glob("exercises_*.py") if __package__ else ()  # a copy alone knows its own entries
    for path in sorted(beside):
        importlib.import_module(f".{path.stem}", __package__)
    return EXERCISES
