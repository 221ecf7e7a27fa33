"""What is known about the exercises of lesson 10: see `checks`."""

from .checks import EXERCISES, Exercise, read_words, why_wrong

_MOVES = {
    "every stated focal length 10 % too long": "metres",
    "DontCare regions forgotten": "boxes",
    "distances against the visible surface, not the centre": "metres",
    "cars count from 40 pixels of height on, not from 25": "boxes",
    "one more detection, very sure, on empty road": "boxes",
    "intervals over frames, not over drives": "neither",
}
_WHY = {
    "every stated focal length 10 % too long": "Boxes are pixels. Distances go with f: all grow by a tenth.",
    "DontCare regions forgotten": "What is found there becomes a false alarm. It matches no label, so it has no error.",
    "distances against the visible surface, not the centre": (
        "The truth that distances are compared with comes nearer; boxes are compared with boxes."
    ),
    "cars count from 40 pixels of height on, not from 25": (
        "The least height says which labels count for average precision. Distances are measured on all that match."
    ),
    "one more detection, very sure, on empty road": (
        "A false alarm above all others lowers precision. It matches no label, so it has no distance error."
    ),
    "intervals over frames, not over drives": "The figures stay; only the intervals get narrower, too narrow.",
}
_WORDS = ("metres", "boxes", "neither")


def _wrong_moves(answer):
    """A sentence for every line that is wrong, or None."""
    words, sentence = read_words(answer, _MOVES, _WORDS)
    if sentence:
        return sentence
    return why_wrong(words, _MOVES, _WHY)


EXERCISES["10.1"] = Exercise(
    asks='"metres", "boxes" or "neither" for each of the six, in the dictionary my_answer',
    test=_wrong_moves,
    right=[_MOVES, {change: f" {word.upper()} " for change, word in _MOVES.items()}],
    mistakes={
        "'every stated focal length 10 % too long': Boxes are pixels. Distances go with f: all grow by a tenth.": _MOVES
        | {"every stated focal length 10 % too long": "boxes"},
        "'DontCare regions forgotten': What is found there becomes a false alarm. It matches no label, so it has no "
        "error.": _MOVES | {"DontCare regions forgotten": "neither"},
        "'intervals over frames, not over drives': The figures stay; only the intervals get narrower, too narrow.": (
            _MOVES | {"intervals over frames, not over drives": "metres"}
        ),
        'Write "metres", "boxes" or "neither"; \'DontCare regions forgotten\' is \'both\'.': (
            _MOVES | {"DontCare regions forgotten": "both"}
        ),
    },
)


def _first_seen(frame_ids, drives):
    return list(dict.fromkeys(drives[each] for each in frame_ids))


def _parted(frame_ids, drives, tested):
    return [each for each in frame_ids if drives[each] not in tested], [
        each for each in frame_ids if drives[each] in tested
    ]


def _split_with_a_loop(frame_ids, drives):
    numbers, train, test = {}, [], []
    for each in frame_ids:
        number = numbers.setdefault(drives[each], len(numbers))
        (train if number % 3 else test).append(each)
    return train, test


_PLAIN = {"a1": "a", "a2": "a", "b1": "b", "c1": "c", "c2": "c", "d1": "d", "d2": "d"}
_MIXED = {"1": "north", "0": "west", "2": "east", "3": "north", "4": "south", "5": "east", "6": "upper", "7": "south"}

EXERCISES["10.2"] = Exercise(
    asks="split(frame_ids, drives), which returns two lists of frames: for training, for testing",
    cases=[
        (list(_PLAIN), _PLAIN),
        (["4", "1", "2", "3", "5", "6", "7"], _MIXED),
        (["3", "5", "1", "2"], _MIXED),
    ],
    right=[
        lambda frame_ids, drives: _parted(frame_ids, drives, _first_seen(frame_ids, drives)[::3]),
        _split_with_a_loop,
    ],
    mistakes={
        "That is still every third frame: frames of one drive are on both sides. Choose drives, then take their "
        "frames.": lambda frame_ids, drives: ([each for each in frame_ids if each not in frame_ids[::3]],
                                              frame_ids[::3]),
        "The order is training, then test: yours are exchanged.": lambda frame_ids, drives: _parted(
            frame_ids, drives, _first_seen(frame_ids, drives)[::3]
        )[::-1],
        "The drives are to come in the order in which they first appear in frame_ids; yours are sorted by name.": (
            lambda frame_ids, drives: _parted(frame_ids, drives, sorted(_first_seen(frame_ids, drives))[::3])
        ),
        "The dictionary may know frames that are not in frame_ids, and in another order: ask frame_ids which drives "
        "there are.": lambda frame_ids, drives: _parted(frame_ids, drives, list(dict.fromkeys(drives.values()))[::3]),
        "Begin with the first drive: the first, the fourth and so on are tested, not the third.": (
            lambda frame_ids, drives: _parted(frame_ids, drives, _first_seen(frame_ids, drives)[2::3])
        ),
        "Those are the drives. Wanted are their frames.": lambda frame_ids, drives: (
            [each for each in _first_seen(frame_ids, drives) if each not in _first_seen(frame_ids, drives)[::3]],
            _first_seen(frame_ids, drives)[::3],
        ),
        "Test looks right, but the tested frames are in the training list, too.": lambda frame_ids, drives: (
            list(frame_ids), _parted(frame_ids, drives, _first_seen(frame_ids, drives)[::3])[1],
        ),
    },
)  # fmt: skip


def _by_lines(height, ways, pixels):
    """Solves height * f - pixels * offset = pixels * way for both photos."""
    (near, far), (large, small) = ways, pixels
    offset = (small * far - large * near) / (large - small)
    return large * (near + offset) / height


EXERCISES["10.3"] = Exercise(
    asks="focal_length(height, ways, pixels), which returns pixels",
    cases=[(2.0, (3.0, 6.0), (1600 / 3, 320.0)), (2.1, (1.0, 5.0), (630.0, 252.0)), (1.5, (4.0, 10.0), (240.0, 96.0))],
    right=[
        lambda height, ways, pixels: (ways[1] - ways[0]) / (height * (1 / pixels[1] - 1 / pixels[0])),
        _by_lines,
    ],
    mistakes={
        "That takes the near photo alone, as if the tape began at the camera. What lies between cancels in the "
        "difference of the two ways.": lambda height, ways, pixels: pixels[0] * ways[0] / height,
        "That takes the far photo alone, as if the tape began at the camera. What lies between cancels in the "
        "difference of the two ways.": lambda height, ways, pixels: pixels[1] * ways[1] / height,
        "That is the mean of both photos, each as if the tape began at the camera: both err to the same side.": (
            lambda height, ways, pixels: (pixels[0] * ways[0] + pixels[1] * ways[1]) / (2 * height)
        ),
        "The height of the door is missing: way = f * height / pixels.": lambda height, ways, pixels: (
            (ways[1] - ways[0]) / (1 / pixels[1] - 1 / pixels[0])
        ),
        "Right in size, but negative: the far photo has fewer pixels, so its 1 / pixels is the larger one.": (
            lambda height, ways, pixels: (ways[1] - ways[0]) / (height * (1 / pixels[0] - 1 / pixels[1]))
        ),
        "Ways go with 1 / pixels, not with pixels: write way + offset = f * height / pixels for both photos, and "
        "subtract.": lambda height, ways, pixels: (pixels[0] - pixels[1]) * (ways[1] - ways[0]) / height,
    },
)
