"""What is known about the exercises of lesson 02: see `checks`."""

import numpy as np

from .checks import EXERCISES, Exercise

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
