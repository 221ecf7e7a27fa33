"""What is known about the exercises of lesson 01: see `checks`."""

import numpy as np

from .checks import EXERCISES, Exercise, brief, to_numpy


def _loud_loss_fault(answer):
    """What is wrong with a mean squared error that is to refuse different shapes; None if nothing is."""
    column, row = np.array([[1.0], [2.0], [6.0]]), np.array([1.0, 2.0, 6.0])
    value = to_numpy(answer(column, column + 2))
    if value.size != 1:
        return f"One number is wanted, the mean of all squares; it is {brief(value)}"
    if not np.isclose(value, 4):
        return f"Three errors of 2 have the mean squared error 4, it is {brief(value.item())}."
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
