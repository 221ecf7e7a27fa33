"""What is known about the exercises of lesson 07: see `checks`."""

import math

from .checks import EXERCISES, Exercise


def _features(rim, square=True):
    """Cells read by windows with so many more cells in all than their own, rows and columns."""
    sizes = {"1x1": (1, 1), "2x3": (2, 3), "1x10": (1, 10)}
    read = {name: (rows + rim) * (columns + rim * square) for name, (rows, columns) in sizes.items()}
    return {**read, "ten of 1x1": 10 * read["1x1"]}


EXERCISES["07.1"] = Exercise(
    asks="four whole numbers in the dictionary my_answer",
    right=[_features(6), {"1x1": 7 * 7, "2x3": 8 * 9, "1x10": 7 * 16, "ten of 1x1": 10 * 7 * 7}],
    mistakes={
        "Three more on one side only: HALO is on every side, so 6 more rows and 6 more columns.": _features(3),
        "Those are the windows' own cells: the surroundings are missing.": _features(0),
        "More rows, but not more columns: the surroundings lie on all four sides.": _features(6, square=False),
        "Three of four. Ten windows of 1x1 are ten calls, each reads its own 7x7 cells.": (
            {**_features(6), "ten of 1x1": 7 * 16}
        ),
        "Three of four. A window of 1x10 has its surroundings once, around all ten cells.": (
            {**_features(6), "1x10": 10 * 7 * 7}
        ),
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
        "That is both sides together: a kernel of 3 reaches 1 to each side.": _halo(factor=1),
        "Round up once, after adding up: two half cells make one.": (
            lambda layers: sum(math.ceil(kernel // 2 * stride / 4) for kernel, stride in layers)
        ),
        "That is in pixels: four of them are a cell.": (
            lambda layers: sum(kernel // 2 * stride for kernel, stride in layers)
        ),
    },
)


def _reads(rows, columns):
    """The cells that a window reads, surroundings included."""
    return (rows + 6) * (columns + 6)


def _call(rows, columns):
    """The window's own cells, and 50 for the call."""
    return rows * columns + 50


def _wide(rows, columns):
    """Surroundings that are wider than they are high."""
    return (rows + 6) * (columns + 20)


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


EXERCISES["07.3"] = Exercise(
    asks="plan_two(first, second, cost), a list of one or two windows",
    cases=[
        ((0, 0, 4, 4), (0, 6, 4, 10), _reads),
        ((0, 0, 4, 4), (20, 30, 26, 34), _reads),
        ((5, 8, 12, 20), (7, 2, 16, 11), _reads),
        ((10, 40, 14, 44), (2, 31, 8, 38), _reads),
        ((2, 2, 12, 12), (4, 4, 6, 6), _reads),
        ((0, 0, 2, 2), (8, 8, 10, 10), _call),
        ((0, 0, 9, 9), (5, 20, 14, 29), _call),
        ((10, 32, 19, 43), (6, 19, 13, 31), _reads),
        ((10, 32, 19, 43), (6, 19, 13, 31), _wide),
        ((0, 1, 3, 14), (17, 0, 26, 13), _wide),
    ],
    right=[
        _plan_two(),
        lambda first, second, cost: (
            [first, second]
            if cost(*_size(_around(first, second))) >= cost(*_size(first)) + cost(*_size(second))
            else [_around(first, second)]
        ),
    ],
    mistakes={
        "That merges always: only if the one window costs less than both together.": (
            _plan_two(lambda both, first, second: True)
        ),
        "That never merges: compare the cost of one window around both with the sum of the two.": (
            _plan_two(lambda both, first, second: False)
        ),
        "The other way round: merge where one window costs less.": (
            _plan_two(lambda both, first, second: both > first + second)
        ),
        "That is where the two overlap: around both are the smaller top and left and the larger bottom and right.": (
            _plan_two(around=_shared)
        ),
        "The surroundings are in the cost already: cost(rows, columns) of the window itself.": (
            _plan_two(asked=lambda rows, columns: (rows + 6, columns + 6))
        ),
        "Rows first, then columns: cost(rows, columns).": _plan_two(asked=lambda rows, columns: (columns, rows)),
        "Those are areas: ask the function `cost`, which knows of surroundings and calls.": _plan_by_area,
    },
)
