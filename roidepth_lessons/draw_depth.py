"""Diagrams of depth: how depths are spread, maps on one scale, and the sizes of an encoder-decoder.

As in `draw`, every figure has its ``alt_text``; `draw.show` displays it.

>>> depth_distribution([4.0, 8.0, 16.0, 100.0]).alt_text
'Two histograms of 4 depths, in metres and on a logarithmic axis. Half lie nearer than 12 m, a tenth beyond 75 m.'
"""

import re

import matplotlib
import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.patches import FancyBboxPatch, Patch

from . import draw

PARTS = ("encoder", "neck", "depth head")
"""The parts of :func:`encoder_decoder`, in the order in which a photo goes through them."""


def depth_distribution(metres, bins=40):
    """How many pixels lie how far away: once over metres, once over the logarithm of the metres.

    Args:
        metres: Known depths, any shape; what is 0 or not finite is left out.
        bins: Bars of each histogram.

    Returns:
        Figure.

    Raises:
        ValueError: if no depth is known.
    """
    metres = np.asarray(metres, dtype=np.float64)
    metres = metres[np.isfinite(metres) & (metres > 0)]
    if metres.size == 0:
        raise ValueError("metres: no depth is known, so there is nothing to count")
    figure = draw._new_figure(9.0, 2.7)
    low, high = metres.min(), metres.max() * (1 + 1e-9)
    places = np.linspace(0, high, bins + 1), np.geomspace(low, max(high, 1.01 * low), bins + 1)
    ticks = [tick for tick in (2, 5, 10, 20, 50, 100, 200) if low <= tick <= high]
    for panel, (edges, scale) in enumerate(zip(places, ("linear", "log"), strict=True)):
        axes = draw._add_axes(figure, 0.65 + 4.3 * panel, 0.55, 3.7, 1.8)
        share = 100 * np.histogram(metres, edges)[0] / metres.size
        color = draw.LINES[panel][0]
        axes.bar(edges[:-1], share, np.diff(edges), align="edge", color=color, edgecolor="white", linewidth=0.4)
        axes.set(xscale=scale, xlabel="depth in metres")
        axes.set_title(("equal steps of metres", "equal steps of log depth")[panel], fontsize=11, loc="left")
        if scale == "log":
            axes.set_xticks(ticks, labels=[str(tick) for tick in ticks])
            axes.minorticks_off()
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("% of the pixels")
    half, tenth = np.quantile(metres, [0.5, 0.9])
    figure.alt_text = (
        f"Two histograms of {metres.size} depths, in metres and on a logarithmic axis. Half lie nearer than "
        f"{draw._metres(half)}, a tenth beyond {draw._metres(tenth)}."
    )
    return figure


def same_scale(panels, title, outlined=(), columns=2, width=10.0):
    """Photos and depth maps side by side, all maps in the colours of one bar, which stands once below them.

    Args:
        panels: Tuples of title, picture and objects: a photo (height, width, 3) uint8 or metres (height, width), 0 or
            NaN where there is no label; labels with ``name`` and ``box`` in pixels of that picture.
        title: What to look for, above all panels.
        outlined: Names of the objects that get an outline.
        columns: Panels in a row.
        width: Of the figure in inches.

    Returns:
        Figure.

    Raises:
        ValueError: if no panel has a known depth.
    """
    panels = [(name, np.asarray(picture), objects) for name, picture, objects in panels]
    known = [picture[np.isfinite(picture) & (picture > 0)] for _, picture, _ in panels if picture.ndim == 2]
    if not known or not np.concatenate(known).size:
        raise ValueError("panels: no depth is known, so there is no scale")
    low, high = np.concatenate(known).min(), np.concatenate(known).max()
    scale = LogNorm(low, max(high, 1.05 * low))
    colors = matplotlib.colormaps[draw.DEPTH_COLORS].with_extremes(bad=draw.UNKNOWN)
    gap, above, below, heading = 0.12, 0.32, 0.62, 0.34
    side = (width - gap * (columns + 1)) / columns
    tall, rows = max(side * picture.shape[0] / picture.shape[1] for _, picture, _ in panels), -(-len(panels) // columns)
    figure = draw._new_figure(width, heading + rows * (tall + above) + below)
    figure.text(gap / width, 1 - 0.2 / figure.get_figheight(), title, fontsize=12, fontweight="bold", va="center")
    for number, (name, picture, objects) in enumerate(panels):
        row, column = divmod(number, columns)
        bottom = below + (rows - 1 - row) * (tall + above)
        axes = draw._add_axes(figure, gap + column * (side + gap), bottom, side, tall)
        axes.set_title(name, fontsize=11, pad=4, loc="left")
        axes.set(xticks=[], yticks=[])
        if picture.ndim == 3:
            axes.imshow(picture, aspect="auto", interpolation="nearest")
        else:
            hidden = np.ma.masked_array(picture, ~(np.isfinite(picture) & (picture > 0)))
            shown = axes.imshow(hidden, aspect="auto", interpolation="nearest", cmap=colors, norm=scale)
        for each in (each for each in objects if each.name in outlined):
            draw._outline(axes, each.box, "white", "-", casing=draw.EDGE)
    ticks = {tick: f"{tick} m" for tick in (1, 2, 5, 10, 20, 50, 100, 200) if 0.99 * low <= tick <= high}
    draw.color_bar(figure, shown, draw._add_axes(figure, gap + 0.5, 0.32, 0.45 * width, 0.14), ticks, "horizontal", 10)
    for place, word, towards in ((gap + 0.44, "near", "right"), (gap + 0.56 + 0.45 * width, "far", "left")):
        figure.text(place / width, 0.39 / figure.get_figheight(), word, fontsize=10, va="center", ha=towards)
    key = [Patch(facecolor=draw.UNKNOWN, label="no label, as in the sky")]
    if outlined:
        key.append(Patch(facecolor="white", edgecolor=draw.EDGE, linewidth=2, label=" or ".join(outlined)))
    figure.legend(handles=key, loc="lower right", ncols=len(key), fontsize=10, frameon=False, borderaxespad=0.4)
    words = " ".join(f"{name}: {_range_in_words(picture)}." for name, picture, _ in panels)
    boxed = f" Outlined: {', '.join(outlined)}." if outlined else ""
    figure.alt_text = f"{draw._sentence(title)}{draw._count(len(panels), 'panel')}. {words}{boxed}"
    return figure


def _range_in_words(picture):
    if picture.ndim == 3:
        return "a photo"
    known = picture[np.isfinite(picture) & (picture > 0)]
    return f"from {draw._metres(known.min())} to {draw._metres(known.max())}" if known.size else "nothing known"


def sizes_of(shared_encoder, depth_head, height, width):
    """Sizes of what the layers of the network give, for a photo of this size. Nothing is computed.

    Args:
        shared_encoder: A model of `encoder.build_encoder`.
        depth_head: A model of `depth.build_depth_head`.
        height, width: Of the photo in pixels.

    Returns:
        Dict of the part (see `PARTS`) to a list of (name, stride, (rows, columns, channels)).
    """
    import keras  # here, so that the other figures do without

    from .depth import HALO

    names = [layer.name for layer in shared_encoder.layers]
    blocks = [
        ([name for name in names if re.fullmatch(rf"stride{stride}_block\d+_relu", name)][-1], stride)
        for stride in (4, 8, 16, 32)
    ]
    chosen = {
        "encoder": [("stem_relu", 2), *blocks],
        "neck": [(f"neck_stride{stride}_relu", stride) for stride in (32, 16, 8, 4)],
    }
    sizes = {}
    for part, layers in chosen.items():
        outputs = [shared_encoder.get_layer(name).output for name, _ in layers]
        shapes = keras.Model(shared_encoder.inputs, outputs).compute_output_shape([(1, height, width, 3), (1, 4)])
        sizes[part] = [(*layer, tuple(shape[1:])) for layer, shape in zip(layers, shapes, strict=True)]
    rows, columns, channels = sizes["neck"][-1][2]
    stride, shape = 4, (1, rows + 2 * HALO, columns + 2 * HALO, channels)
    sizes["depth head"] = [("pad once", stride, shape[1:])]
    for layer in depth_head.layers[1:]:
        shape = layer.compute_output_shape(shape)
        stride //= 2 if layer.name.startswith("to_stride") else 1
        sizes["depth head"].append((layer.name, stride, tuple(shape[1:])))
    return sizes


def encoder_decoder(sizes):
    """The way of a photo down through the encoder and up again, with the size at each step.

    Args:
        sizes: Of :func:`sizes_of`.

    Returns:
        Figure: a row for every stride, the photo at the upper left, the depth at the upper right.
    """
    head = {stride: shape for _, stride, shape in sizes["depth head"]}  # the last layer of each stride
    steps = [("photo", 1, None)]
    steps += [(part, stride, shape) for part in PARTS[:2] for _, stride, shape in sizes[part]]
    steps += [("depth head", stride, head[stride]) for stride in (4, 2, 1)]
    rows, columns, _ = head[1]
    steps[0] = ("photo", 1, (rows, columns, 3))
    figure = draw._new_figure(10.0, 4.9)
    axes = draw._add_axes(figure, 0, 0, 10.0, 4.9)
    axes.set(xlim=(-1.5, len(steps) - 0.45), ylim=(5.5, -1.3))
    axes.axis("off")
    title = "Down the left, rows and columns halve at every stride; up the right, they double again, less the rim"
    axes.text(-1.4, -1.0, title, fontsize=12, fontweight="bold", va="center")
    for stride in (1, 2, 4, 8, 16, 32):
        level = np.log2(stride)
        axes.axhline(level, color="#E4E4E4", linewidth=1, zorder=0)
        axes.text(-1.4, level, f"stride {stride}", fontsize=10, va="center", color="#444444")
    for index, (part, stride, (rows, columns, channels)) in enumerate(steps):
        level = np.log2(stride)
        color, line, _ = _style_of(part)
        box = FancyBboxPatch((index - 0.42, level - 0.3), 0.84, 0.6, boxstyle="round,pad=0.02,rounding_size=0.08")
        box.set(facecolor="white", edgecolor=color, linestyle=line, linewidth=2, zorder=3)
        axes.add_patch(box)
        axes.text(index, level, f"{rows}x{columns}\n{channels} ch.", fontsize=9.5, ha="center", va="center", zorder=4)
        if index:
            _step(axes, (index - 1, np.log2(steps[index - 1][1])), (index, level))
    for start, stride in enumerate((4, 8, 16), start=2):
        end = next(i for i, each in enumerate(steps) if each[:2] == ("neck", stride))
        draw._arrow(axes, [(start + 0.44, np.log2(stride)), (end - 0.44, np.log2(stride))])
    axes.text(5.5, 1.78, "across: what the encoder saw at this stride", fontsize=10, ha="center", va="center")
    padded_rows, padded_columns, _ = sizes["depth head"][0][2]
    beside = (
        ("photo", "photo", 0.6, 0),
        ("encoder", "encoder: sees more and more of\nthe street, knows places worse", 1.7, 0.72),
        ("neck", "neck: on the way up, adds\nwhat comes from the left", 9.6, 3.6),
        ("depth head", f"depth head: pads once, to\n{padded_rows}x{padded_columns}, then eats the rim", 9.6, 4.6),
        ("depth head", "depth", 11.35, 0),
    )
    for part, text, place, level in beside:
        color, _, _ = _style_of(part)
        axes.text(
            place,
            level,
            text,
            fontsize=10,
            color=color,
            fontweight="bold",
            va="center",
            ha="right" if text == "depth" else "left",
        )
    words = "; ".join(f"{part} stride {stride}: {'x'.join(map(str, shape))}" for part, stride, shape in steps)
    figure.alt_text = (
        f"An encoder-decoder, rows x columns x channels. {words}. At strides 4, 8 and 16 an arrow leads straight from "
        "the encoder to the neck."
    )
    return figure


def _style_of(part):
    """Colour, line style and mark of a part of :func:`encoder_decoder`."""
    return draw.LINES[(("photo", *PARTS).index(part) - 1) % len(draw.LINES)]


def _step(axes, start, end):
    """An arrow from one box to the next: down and then to the right, or to the right and then up."""
    (x, y), (to_x, to_y) = start, end
    if to_y > y:
        points = [(x, y + 0.33), (x, to_y), (to_x - 0.44, to_y)]
    elif to_y < y:
        points = [(x + 0.44, y), (to_x, y), (to_x, to_y + 0.33)]
    else:
        points = [(x + 0.44, y), (to_x - 0.44, to_y)]
    draw._arrow(axes, points)
