"""What is known about the exercises of lesson 07: see `checks`."""

import math

from .checks import EXERCISES, Exercise, brief, to_numpy

_WINDOWS = {"1x1": (1, 1, 1), "2x3": (1, 2, 3), "1x10": (1, 1, 10), "ten of 1x1": (10, 1, 1)}
"""How many windows, their rows and columns."""


def _features(read):
    """The answer of whoever thinks that a window reads so many cells, a function of rows and columns."""
    return {name: count * read(rows, columns) for name, (count, rows, columns) in _WINDOWS.items()}


FEATURES = _features(lambda rows, columns: (rows + 6) * (columns + 6))
ALL_SIDES = "The surroundings lie on all four sides: more rows and more columns."
MISREAD = [
    (
        "Three more on one side only: HALO is on every side, so 6 more rows and 6 more columns.",
        _features(lambda rows, columns: (rows + 3) * (columns + 3)),
    ),
    (
        "Those are the window's own cells: the surroundings are missing.",
        _features(lambda rows, columns: rows * columns),
    ),
    (ALL_SIDES, _features(lambda rows, columns: (rows + 6) * columns)),
    (ALL_SIDES, _features(lambda rows, columns: rows * (columns + 6))),
    (
        "Those are the surroundings alone: the head reads the window's own cells, too.",
        _features(lambda rows, columns: (rows + 6) * (columns + 6) - rows * columns),
    ),
    (
        "Ten windows of 1x1 are ten calls, each reads its own 7x7 cells.",
        {**FEATURES, "ten of 1x1": 7 * 16},
    ),
    ("That is one of them: there are ten.", {**FEATURES, "ten of 1x1": 7 * 7}),
    (
        "A window of 1x10 has its surroundings once, around all ten cells.",
        {**FEATURES, "1x10": 10 * 7 * 7},
    ),
]


def _wrong_features(answer):
    """What is wrong with the first entry that is, by its name; None if all are right."""
    if not isinstance(answer, dict) or set(answer) != set(FEATURES):
        return f"Keep the keys {', '.join(map(repr, FEATURES))}, with a whole number for each; it is {brief(answer)}."
    for name, right in FEATURES.items():
        given = answer[name]
        if isinstance(given, str) or to_numpy(given).size != 1:
            return f"{name}: one whole number is wanted, such as 12; it is {brief(given)}."
        if given != right:
            known = (said for said, wrong in MISREAD if given == wrong[name])
            return f"{name}: {brief(given)} is not it. {next(known, 'How many rows are read, how many columns?')}"
    return None


EXERCISES["07.1"] = Exercise(
    asks="four whole numbers in the dictionary my_answer",
    right=[FEATURES, {"1x1": 7 * 7, "2x3": 8 * 9, "1x10": 7 * 16, "ten of 1x1": 10 * 7 * 7}],
    test=_wrong_features,
    mistakes={
        **dict(MISREAD),
        "2x3: 66 is not it. Those are the surroundings alone": {**FEATURES, "2x3": 66},
        "1x10: 100 is not it. How many rows are read, how many columns?": {**FEATURES, "1x10": 100},
        "2x3: one whole number is wanted, such as 12; it is '72'.": {**FEATURES, "2x3": "72"},
        "Keep the keys '1x1', '2x3', '1x10', 'ten of 1x1'": {"1x1": 49},
    },
)

_HEADS = [
    [(3, 4), (3, 4), (3, 2), (3, 2)],
    [(3, 4), (3, 4), (3, 2), (3, 2), (3, 1)],
    [(5, 4), (3, 2)],
    [(3, 2), (3, 1)],
    [(1, 4), (7, 1)],
    [(3, 4)],
]


def _halo(factor=0.5, less=1, to_cells=math.ceil, by_stride=True):
    """A halo, right or with a mistake: from the reaches of all layers in pixels."""
    return lambda layers: to_cells(
        sum((kernel - less) * factor * (stride if by_stride else 4) for kernel, stride in layers) / 4
    )


EXERCISES["07.2"] = Exercise(
    asks="halo(layers), a whole number of cells",
    cases=[(each,) for each in _HEADS],
    right=[
        _halo(),
        lambda layers: -(-sum(kernel // 2 * stride for kernel, stride in layers) // 4),
    ],
    mistakes={
        "That is the number of layers still: a kernel of 5 reaches farther, one on half cells less far.": len,
        "The strides are missing: one pixel at stride 2 is half a cell.": _halo(by_stride=False),
        "The part of a cell that is left over is cut off: a window reads whole cells, so round up.": _halo(
            to_cells=int
        ),
        "A window reads whole cells: round the sum up.": _halo(to_cells=float),
        "round() goes down, too, and then part of what is needed is missing: round up, with math.ceil.": _halo(
            to_cells=round
        ),
        "Rounded to the nearest, part of what is needed may be missing: round up, always.": _halo(
            to_cells=lambda cells: int(cells + 0.5)
        ),
        "The kernel sizes are missing: a kernel of 5 reaches 2 to each side, one of 1 reaches nowhere.": (
            lambda layers: math.ceil(sum(stride for _, stride in layers) / 4)
        ),
        "That is both sides together: a kernel of 3 reaches 1 to each side.": _halo(factor=1),
        "Round up once, after adding up: two half cells make one.": (
            lambda layers: sum(math.ceil(kernel // 2 * stride / 4) for kernel, stride in layers)
        ),
        "That is in pixels: four of them are a cell.": (
            lambda layers: sum(kernel // 2 * stride for kernel, stride in layers)
        ),
    },
)


class _Cost:
    """What a window costs, by rows and columns, with a name that a learner can read."""

    def __init__(self, words, function):
        self._words, self._function = words, function

    def __call__(self, *size):
        if len(size) != 2:
            raise TypeError("cost wants two numbers: cost(bottom - top, right - left)")
        return self._function(*size)

    def __repr__(self):
        return self._words


_READS = _Cost("(rows + 6) * (columns + 6)", lambda rows, columns: (rows + 6) * (columns + 6))
_CALL = _Cost("rows * columns + 50", lambda rows, columns: rows * columns + 50)
_WIDE = _Cost("(rows + 6) * (columns + 20)", lambda rows, columns: (rows + 6) * (columns + 20))


def _size(window):
    return window[2] - window[0], window[3] - window[1]


def _around(first, second):
    return (*map(min, first[:2], second[:2]), *map(max, first[2:], second[2:]))


def _cheaper(both, first, second):
    return both < first + second


def _plan_two(pays=_cheaper, around=_around, asked=lambda rows, columns: (rows, columns)):
    """A planner for two windows, right or with a mistake.

    `pays` is a function of the costs of one around both, of the first, of the second; `asked` of a window's rows and
    columns, which gives those whose cost is asked for.
    """

    def plan(first, second, cost):
        both = around(first, second)
        return [both] if pays(*(cost(*asked(*_size(each))) for each in (both, first, second))) else [first, second]

    return plan


def _plan_by_area(first, second, cost):
    areas = [math.prod(_size(each)) for each in (_around(first, second), first, second)]
    return [_around(first, second)] if areas[0] < areas[1] + areas[2] else [first, second]


def _shared(first, second):
    """Where the two overlap, in place of what is around both."""
    return (*map(max, first[:2], second[:2]), *map(min, first[2:], second[2:]))


PAIRS = [
    ((0, 0, 4, 4), (0, 6, 4, 10), _READS),
    ((0, 0, 4, 4), (20, 30, 26, 34), _READS),
    ((5, 8, 12, 20), (7, 2, 16, 11), _READS),
    ((10, 40, 14, 44), (2, 31, 8, 38), _READS),
    ((2, 2, 12, 12), (4, 4, 6, 6), _READS),
    ((0, 0, 2, 2), (8, 8, 10, 10), _CALL),
    ((0, 0, 9, 9), (5, 20, 14, 29), _CALL),
    ((10, 32, 19, 43), (6, 19, 13, 31), _READS),
    ((10, 32, 19, 43), (6, 19, 13, 31), _WIDE),
    ((0, 1, 3, 14), (17, 0, 26, 13), _WIDE),
    ((0, 0, 3, 4), (3, 6, 5, 11), _READS),
    ((0, 0, 3, 4), (3, 9, 5, 14), _CALL),
    ((0, 0, 2, 2), (0, 12, 2, 14), _CALL),
    ((0, 0, 4, 4), (0, 10, 4, 14), _READS),
]
"""Two windows and a cost each. In the last one, two windows cost as much as one around both."""

PLAN_MISTAKES = {
    "That merges always: merge only if one window costs less than the two.": (
        _plan_two(lambda both, first, second: True)
    ),
    "That never merges: compare one window's cost with the sum of the two.": (
        _plan_two(lambda both, first, second: False)
    ),
    "The other way round: merge where one window costs less.": (
        _plan_two(lambda both, first, second: both > first + second)
    ),
    "That is the overlap. Around both: the smaller top and left, the larger bottom and right.": (
        _plan_two(around=_shared)
    ),
    "The surroundings are in the cost already: cost(rows, columns) of the window itself.": (
        _plan_two(asked=lambda rows, columns: (rows + 6, columns + 6))
    ),
    "bottom and right are exclusive: there are bottom - top rows, without + 1.": (
        _plan_two(asked=lambda rows, columns: (rows + 1, columns + 1))
    ),
    "One around both that costs just as much is not cheaper: merge only if it costs less.": (
        _plan_two(lambda both, first, second: both <= first + second)
    ),
    "That is one cost, (rows + 6) * (columns + 6), for all: ask the function `cost`, which may be another.": (
        lambda first, second, cost: _plan_two()(first, second, _READS)
    ),
    "Rows first, then columns: cost(rows, columns).": _plan_two(asked=lambda rows, columns: (columns, rows)),
    "Those are areas: ask the function `cost`, which knows of surroundings and calls.": _plan_by_area,
    "One window is to be a list, too: [both].": (
        lambda *case: plans[0] if len(plans := _plan_two()(*case)) == 1 else plans
    ),
    "Where one window does not pay, return both as they are: [first, second].": (
        lambda *case: plans if len(plans := _plan_two()(*case)) == 1 else None
    ),
}


def _windows(plan):
    """The windows of a plan, sorted; None if it is no list of windows."""
    try:
        windows = [tuple(to_numpy(each).astype(float).tolist()) for each in plan]
    except (TypeError, ValueError):
        return None
    return sorted(windows) if windows and all(len(each) == 4 for each in windows) else None


def _wrong_plan(planner):
    """The sentence of a known mistake, or what is wrong with the first pair that is; None if all are right."""
    plans = [planner(*case) for case in PAIRS]

    def made_by(function):
        return list(map(_windows, plans)) == [_windows(function(*case)) for case in PAIRS]

    if made_by(_plan_two()):
        return None
    known = next((sentence for sentence, function in PLAN_MISTAKES.items() if made_by(function)), None)
    return known or next(
        _wrong_pair(*case, plan)
        for case, plan in zip(PAIRS, plans, strict=True)
        if _windows(plan) != _windows(_plan_two()(*case))
    )


def _wrong_pair(first, second, cost, plan):
    """What is wrong with the plan of a pair: a sentence, and the pair in short lines."""
    both, given = _around(first, second), _windows(plan)
    one, two = cost(*_size(both)), cost(*_size(first)) + cost(*_size(second))
    right = [both] if one < two else [first, second]
    if given is None:
        fault = "That is no list of windows (top, left, bottom, right)."
    elif len(given) != len(right):
        advice = (
            "less, so merge" if one < two else "as much as two, so keep both" if one == two else "more, so keep both"
        )
        fault = f"One window costs {advice}."
    elif one < two:
        sides = zip(("top", "left", "bottom", "right"), given[0], both, strict=True)
        fault = (
            f"The window around both has a wrong {' and '.join(side for side, it, wanted in sides if it != wanted)}."
        )
    else:
        fault = "The two are to stay as they are."
    return (
        f"{fault}\n  windows  {first} and {second}\n  cost     {cost}: one {one}, two {two}\n"
        f"  wanted   {right}\n  yours    {brief(plan)}"
    )


EXERCISES["07.3"] = Exercise(
    asks="plan_two(first, second, cost), a list of one or two windows",
    cases=PAIRS,
    test=_wrong_plan,
    right=[
        _plan_two(),
        lambda first, second, cost: (
            [second, first]
            if cost(*_size(_around(first, second))) >= cost(*_size(first)) + cost(*_size(second))
            else [_around(first, second)]
        ),
    ],
    mistakes={
        **PLAN_MISTAKES,
        "That is no list of windows (top, left, bottom, right).\n  windows  (0, 0, 4, 4) and (0, 6, 4, 10)\n": (
            lambda first, second, cost: (
                cost(*_size(_around(first, second))) < cost(*_size(first)) + cost(*_size(second))
            )
        ),
        "The window around both has a wrong top.\n  windows  (5, 8, 12, 20) and (7, 2, 16, 11)\n": (
            _plan_two(around=lambda first, second: (max(first[0], second[0]), *_around(first, second)[1:]))
        ),
        "One window costs less, so merge.\n": _plan_two(lambda both, first, second: both < 0.9 * (first + second)),
        "One window costs more, so keep both.\n": _plan_two(lambda both, first, second: both < 2 * (first + second)),
    },
)
