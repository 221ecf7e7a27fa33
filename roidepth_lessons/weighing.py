"""How several tasks are weighed against one another, where fixed numbers won't do: metres against class scores.

Two ways, each given to `multitask.TaskTraining` as its ``weighing``, and each a small function that stands alone:

- :class:`LearntUncertainty`, :func:`uncertainty_loss`: a weight per task that is learnt with the network;
- :class:`GradientSurgery`, :func:`gradient_surgery`: where two tasks pull a shared weight apart, neither gets its way.

A way of weighing of one's own needs `variables` and `build`, as these have.

>>> first, second = gradient_surgery([[np.array([-2.0, 0.0])], [np.array([1.0, -1.0])]])
>>> ops.convert_to_numpy(first[0]).tolist(), ops.convert_to_numpy(second[0]).tolist()
([-1.0, -1.0], [0.0, -1.0])
"""

import keras
import numpy as np
from keras import ops

LOG_VARIANCE_BOUND = 5.0
"""Learnt weights stay between exp(-5) = 0.007 and exp(5) = 148, also where a loss is 0 or negative."""

LOG_VARIANCE_SPEED = 10.0
"""Adam moves a log variance this many times as far as a weight of the network, which has farther to go."""


def uncertainty_loss(losses, log_variances):
    """Sum of ``exp(-s) L + s`` over the tasks, with ``s`` the log variance of a task.

    Kendall, Gal and Cipolla (CVPR 2018), equation 7, twice: ``L / (2 sigma^2) + log sigma``, with ``s = log sigma^2``.
    For a fixed loss L it is least at ``s = log L``: the weight is then 1 / L. A loss that is not positive would draw s
    down for ever, hence `LOG_VARIANCE_BOUND`.

    Args:
        losses: One number per task.
        log_variances: Likewise.
    """
    pairs = [[ops.cast(each, "float32") for each in pair] for pair in zip(losses, log_variances, strict=True)]
    return sum(ops.exp(-s) * loss + s for loss, s in pairs)


def gradient_surgery(gradients):
    """PCGrad: takes out of each task's gradient what points against another task's.

    Yu et al., "Gradient surgery for multi-task learning" (NeurIPS 2020), Algorithm 1. The other tasks come in the
    order given, beginning after the task itself; the paper draws their order at random, which with two tasks is the
    same.

    Args:
        gradients: One list of arrays per task, for the same variables in the same order.

    Returns:
        Likewise, as tensors. The step to take is along their sum.

    Raises:
        ValueError: if the tasks' lists don't fit together.
    """
    gradients = [[ops.convert_to_tensor(each) for each in parts] for parts in gradients]
    if len({tuple(tuple(each.shape) for each in parts) for parts in gradients}) > 1:
        raise ValueError("gradients: every task needs one array per variable, of the same shapes in the same order")
    mended = []
    for index, own in enumerate(gradients):
        for other in gradients[index + 1 :] + gradients[:index]:
            length = _product(other, other)
            share = ops.minimum(_product(own, other), 0) / ops.where(length > 0, length, 1)
            own = [a - share * b for a, b in zip(own, other, strict=True)]
        mended.append(own)
    return mended


def _product(first, second):
    return sum(ops.sum(a * b) for a, b in zip(first, second, strict=True))


class LearntUncertainty:
    """Weighs every task by ``exp(-s)`` and adds ``s``; s is learnt by the optimizer that trains the network.

    Logged losses of outputs are weighted then. AdamW's weight decay draws s towards 0, as it does with any weight.

    Args:
        tasks: Names of the tasks.
        start: ``{task: s}`` at the start; 0, the weight 1, where none is given.

    Attributes:
        variables: ``{task: keras.Variable}``, each s divided by `LOG_VARIANCE_SPEED`.

    Raises:
        ValueError: if `start` names an unknown task, or is out of bounds.
    """

    def __init__(self, tasks, start=None):
        start = {**dict.fromkeys(tasks, 0.0), **(start or {})}
        if set(start) != set(tasks) or not all(abs(value) <= LOG_VARIANCE_BOUND for value in start.values()):
            bounds = f"-{LOG_VARIANCE_BOUND} to {LOG_VARIANCE_BOUND}"
            raise ValueError(f"start: wanted {bounds} for each of {list(tasks)}, got {start}")
        self.variables = {
            name: keras.Variable(np.float32(value / LOG_VARIANCE_SPEED), name=f"{name}_log_variance")
            for name, value in start.items()
        }
        for variable in self.variables.values():
            variable.constraint = _within_bounds

    def log_variances(self):
        """``{task: s}`` as numbers."""
        return {name: float(ops.convert_to_numpy(_log_variance(each))) for name, each in self.variables.items()}

    def build(self, inputs, outputs, tasks, name):
        """The Keras model from `inputs` to `outputs`, a dictionary, for ``{task: outputs}``; not compiled."""
        if not set(tasks) <= set(self.variables):
            raise ValueError(f"tasks: this LearntUncertainty is for {list(self.variables)}, got {list(tasks)}")
        return _UncertaintyModel(inputs, outputs, tasks, {task: self.variables[task] for task in tasks}, name)


def _log_variance(variable):
    return LOG_VARIANCE_SPEED * ops.convert_to_tensor(variable)


def _within_bounds(value):
    """For the optimizer, after each step: a bound inside the loss would have no gradient to come back from."""
    bound = LOG_VARIANCE_BOUND / LOG_VARIANCE_SPEED
    return ops.clip(value, -bound, bound)


class _UncertaintyModel(keras.Model):
    def __init__(self, inputs, outputs, tasks, variables, name):
        super().__init__(inputs, outputs, name=name)
        self.tasks, self.log_variances = tasks, variables

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """`uncertainty_loss`, by way of the weights that every image has anyway."""
        log_variances = {name: _log_variance(variable) for name, variable in self.log_variances.items()}
        weights = {}
        for name, outputs in self.tasks.items():
            for output in outputs:
                given = sample_weight[output] if isinstance(sample_weight, dict) else sample_weight
                images = ops.ones(ops.shape(y_pred[output])[:1]) if given is None else ops.convert_to_tensor(given)
                weights[output] = ops.exp(-log_variances[name]) * images
        return super().compute_loss(x, y, y_pred, weights, training) + sum(log_variances.values())


class GradientSurgery:
    """Applies :func:`gradient_surgery` to the gradients of all tasks of a step, on the variables that all of them use.

    A step has one forward pass. Costs a backward pass through the shared part per task, in place of one.

    Attributes:
        variables: None of its own: ``{}``.
    """

    variables = {}

    def build(self, inputs, outputs, tasks, name):
        """The Keras model from `inputs` to `outputs`, a dictionary, for ``{task: outputs}``; not compiled."""
        return _SurgeryModel(inputs, outputs, tasks, name)


class _SurgeryModel(keras.Model):
    """The gradient of a task is what flows back from its own outputs alone, since each output has its own loss."""

    def __init__(self, inputs, outputs, tasks, name):
        super().__init__(inputs, outputs, name=name)
        parts = [keras.Model(inputs, {name: outputs[name] for name in names}) for names in tasks.values()]
        used = [{id(variable) for variable in part.trainable_variables} for part in parts]
        self.shared = [all(id(variable) in some for some in used) for variable in self.trainable_variables]
        self.outputs_of = list(tasks.values())

    def train_step(self, *arguments):
        step = {"tensorflow": self._step_tensorflow, "jax": self._step_jax, "torch": self._step_torch}
        return step[keras.backend.backend()](*arguments)

    def combine(self, gradients):
        """One gradient per variable out of one list per task."""
        own = [[each for each, shared in zip(parts, self.shared, strict=True) if shared] for parts in gradients]
        mended = [iter(parts) for parts in gradient_surgery(own)]
        return [
            sum(next(parts) for parts in mended) if shared else sum(each)
            for shared, *each in zip(self.shared, *gradients, strict=True)
        ]

    def _step_tensorflow(self, data):
        import tensorflow as tf

        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape(persistent=True) as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x, y, y_pred, sample_weight)
        back = tape.gradient(loss, y_pred)
        values = [variable.value for variable in self.trainable_variables]
        gradients = []
        for names in self.outputs_of:
            heads, flows = [y_pred[name] for name in names], [back[name] for name in names]
            gradients.append(tape.gradient(heads, values, flows, tf.UnconnectedGradients.ZERO))
        self.optimizer.apply(self.combine(gradients), self.trainable_variables)
        return self._logs(loss, x, y, y_pred, sample_weight)

    def _step_torch(self, data):
        import torch

        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        y_pred = self(x, training=True)
        loss = self.compute_loss(x, y, y_pred, sample_weight)
        back = dict(zip(y_pred, torch.autograd.grad(loss, list(y_pred.values()), retain_graph=True), strict=True))
        values = [variable.value for variable in self.trainable_variables]
        gradients = []
        for names in self.outputs_of:
            heads, flows = [y_pred[name] for name in names], [back[name] for name in names]
            found = torch.autograd.grad(heads, values, flows, retain_graph=True, allow_unused=True)
            gradients.append([torch.zeros_like(v) if g is None else g for g, v in zip(found, values, strict=True)])
        with torch.no_grad():
            self.optimizer.apply(self.combine(gradients), self.trainable_variables)
        return self._logs(loss, x, y, y_pred, sample_weight)

    def _logs(self, loss, x, y, y_pred, sample_weight):
        self._loss_tracker.update_state(loss, sample_weight=ops.shape(keras.tree.flatten(x)[0])[0])
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def _step_jax(self, state, data):
        import jax

        trainable, old, slots, metrics = state
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        y_pred, flow_back, new = jax.vjp(
            lambda values: self.stateless_call(values, old, x, training=True), trainable, has_aux=True
        )

        def loss_of(y_pred):
            loss, (_, _, seen) = self.stateless_compute_loss(
                trainable, old, metrics, x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=True
            )
            return loss, seen

        (loss, metrics), back = jax.value_and_grad(loss_of, has_aux=True)(y_pred)
        gradients = [
            flow_back({name: flow * (name in names) for name, flow in back.items()})[0] for names in self.outputs_of
        ]
        trainable, slots = self.optimizer.stateless_apply(slots, self.combine(gradients), trainable)
        logs, metrics = self._update_metrics_variables(metrics, loss, x, y, y_pred, sample_weight)
        return logs, (trainable, new, slots, metrics)
