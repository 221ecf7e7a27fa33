"""One road photo in; cars, people and cyclists out, each with its distance in metres.

Importing the package is cheap: nothing here pulls in Keras or TensorFlow, so that processes which only draw
streets or read files start at once.
"""

from pathlib import Path

__version__ = "0.1.0"

CLASSES = ("Car", "Pedestrian", "Cyclist")
"""The classes the network knows, in the order of its heat-map channels."""

DATA_FOLDER = Path(__file__).resolve().parent.parent / "data"
"""Where the course keeps its sample, its shipped weights and its stored results."""

SHIPPED_WEIGHTS = DATA_FOLDER / "weights" / "streets.keras"
"""What the lessons show and the commands measure, unless told otherwise."""

LARGE_STREET_WEIGHTS = DATA_FOLDER / "weights" / "streets_192x640.keras"
"""The same network, trained further on larger streets, zoomed and tilted: for photos, and to begin training on them."""

LEAN_STREET_WEIGHTS = DATA_FOLDER / "weights" / "streets_lean.keras"
"""The lean encoder, trained for three times as long: about as accurate on streets, in less time a frame."""
