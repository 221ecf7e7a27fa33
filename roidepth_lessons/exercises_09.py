"""What is known about the exercises of lesson 09: see `checks`."""

import itertools

import numpy as np

from .checks import EXERCISES, Exercise, read_words, why_wrong

_WIDTHS = {
    "all figures of both ways 5 points higher": "same",
    "one seed 5 points higher in both ways": "same",
    "the largest difference 5 points larger": "wider",
    "20 seeds, differences as scattered as those 5": "narrower",
    "99 % instead of 95 %": "wider",
    "Holm over 11 arms instead of 3": "same",
}
_WHY = {
    "all figures of both ways 5 points higher": "What both ways have in common cancels in the differences.",
    "one seed 5 points higher in both ways": "An easy seed is easy for both: its difference stays what it was.",
    "the largest difference 5 points larger": "The differences scatter more, and the interval goes by their scatter.",
    "20 seeds, differences as scattered as those 5": (
        "The standard error has the root of the number of seeds below the line, and the quantile falls too."
    ),
    "99 % instead of 95 %": "More of such intervals are to hold the truth, so each must be wider.",
    "Holm over 11 arms instead of 3": "Holm raises p. The interval is that of one comparison, however many there are.",
}
_WORDS = ("narrower", "wider", "same")


def _wrong_widths(answer):
    """A sentence for every line that is wrong, or None."""
    words, sentence = read_words(answer, _WIDTHS, _WORDS)
    if sentence:
        return sentence
    return why_wrong(words, _WIDTHS, _WHY)


EXERCISES["09.1"] = Exercise(
    asks='"narrower", "wider" or "same" for each of the six, in the dictionary my_answer',
    right=[_WIDTHS, {change: f" {word.upper()}" for change, word in _WIDTHS.items()}],
    test=_wrong_widths,
    mistakes={
        **{
            f"{change!r}: {why}": _WIDTHS | {change: "narrower" if _WIDTHS[change] == "wider" else "wider"}
            for change, why in _WHY.items()
        },
        f"{_WHY['one seed 5 points higher in both ways']} '99 % instead of 95 %': {_WHY['99 % instead of 95 %']}": (
            _WIDTHS | {"one seed 5 points higher in both ways": "wider", "99 % instead of 95 %": "same"}
        ),
        'Write "narrower", "wider" or "same"; \'99 % instead of 95 %\' is \'broader\'.': _WIDTHS
        | {"99 % instead of 95 %": "broader"},
        'Write "narrower", "wider" or "same"; \'Holm over 11 arms instead of 3\' is True.': _WIDTHS
        | {"Holm over 11 arms instead of 3": True},
        "my_answer must be a dictionary with the keys 'all figures of both ways 5 points higher'": {"more": "wider"},
    },
)


def _history(validation, test):
    return {
        name: [{"ap50": ap50, "abs_rel": 0.3} for ap50 in figures]
        for name, figures in (("validation", validation), ("test", test))
    }


def _column(history, name):
    return [epoch["ap50"] for epoch in history[name]]


def _at_best_validation(history):
    return _column(history, "test")[int(np.argmax(_column(history, "validation")))]


EXERCISES["09.2"] = Exercise(
    asks="ap50_to_report(history), which returns one AP50 on the test streets",
    cases=[
        (_history([0.10, 0.22, 0.26, 0.24], [0.12, 0.27, 0.24, 0.25]),),
        (_history([0.31, 0.28, 0.30], [0.29, 0.33, 0.30]),),
        (_history([0.05, 0.21, 0.20, 0.19, 0.17], [0.06, 0.18, 0.15, 0.22, 0.20]),),
    ],
    right=[
        _at_best_validation,
        lambda history: max(zip(_column(history, "validation"), _column(history, "test"), strict=True))[1],
    ],
    mistakes={
        "That is still the highest figure on the test streets: they have chosen the epoch.": lambda history: max(
            _column(history, "test")
        ),
        "That is the figure on the validation streets. They chose the epoch, which flatters them; report the "
        "test streets' of that epoch.": lambda history: max(_column(history, "validation")),
        "That is the last epoch's figure: fair, too, if fixed before. Let the validation choose.": lambda history: (
            _column(history, "test")[-1]
        ),
        "That is the number of the epoch. Report the test streets' AP50 there.": lambda history: int(
            np.argmax(_column(history, "validation"))
        ),
        "That is the worst epoch on the validation streets: of AP50, higher is better.": lambda history: _column(
            history, "test"
        )[int(np.argmin(_column(history, "validation")))],
        "The epoch was chosen on the test streets, and the validation streets' figure reported: the other way round.": (
            lambda history: _column(history, "validation")[int(np.argmax(_column(history, "test")))]
        ),
        'That is all that was measured in that epoch: report its "ap50" alone.': lambda history: history["test"][
            int(np.argmax(_column(history, "validation")))
        ],
    },
)


def _flipped(differences):
    """The sums of the differences under all patterns of signs, (2 ** n,)."""
    signs = np.array(list(itertools.product((1, -1), repeat=len(differences))))
    return signs @ np.asarray(differences)


def _share_of_patterns(differences):
    hits = 0
    for signs in itertools.product((1, -1), repeat=len(differences)):
        flipped = sum(sign * each for sign, each in zip(signs, differences, strict=True))
        hits += abs(flipped) >= abs(sum(differences))
    return hits / 2 ** len(differences)


def _one_at_a_time(differences):
    """Flips one sign at a time, and none: n + 1 patterns of 2 ** n."""
    total = sum(differences)
    return np.mean([abs(total - 2 * each) >= abs(total) for each in [0, *differences]])


EXERCISES["09.3"] = Exercise(
    asks="sign_flip_p(differences), which returns a number from 0 to 1",
    cases=[([2, 1, 1, 1, 0],), ([-3, 1, -2],), ([1, 2, 4, 8],), ([4, -1, 2, 3],), ([0, 0],)],
    right=[
        lambda differences: np.mean(np.abs(_flipped(differences)) >= abs(np.sum(differences))),
        _share_of_patterns,
    ],
    mistakes={
        "That is one side only: a mean as large on the other side surprises as much. Compare sizes, abs().": (
            lambda differences: np.mean(_flipped(differences) >= abs(np.sum(differences)))
        ),
        "Compare sizes, abs() on both sides: as it is, nearly every pattern beats a negative mean.": (
            lambda differences: np.mean(_flipped(differences) >= np.sum(differences))
        ),
        "The signs as they were found are a pattern, too: count those that are as large (>=), not only larger.": (
            lambda differences: np.mean(np.abs(_flipped(differences)) > abs(np.sum(differences)))
        ),
        "That is how many patterns there are. Divide by the number of all, 2 ** n.": lambda differences: float(
            np.sum(np.abs(_flipped(differences)) >= abs(np.sum(differences)))
        ),
        "Divide by the number of all patterns, 2 ** n, not by that of the seeds.": lambda differences: (
            np.sum(np.abs(_flipped(differences)) >= abs(np.sum(differences))) / len(differences)
        ),
        "That flips one sign at a time. Take all 2 ** n: itertools.product((1, -1), repeat=n).": _one_at_a_time,
        "That is the share of the patterns with a smaller mean: 1 minus it.": lambda differences: np.mean(
            np.abs(_flipped(differences)) < abs(np.sum(differences))
        ),
    },
)
