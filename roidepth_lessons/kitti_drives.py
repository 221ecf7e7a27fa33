"""Which frame of KITTI is from which drive: ``drives.tsv`` from the mapping in KITTI's development kit.

The frames of the object benchmark come from the raw recordings, in a random order. The kit (``devkit_object.zip``) says
which is which in two files: ``mapping/train_mapping.txt`` has a line per frame, date, drive and number in the drive;
``mapping/train_rand.txt`` has numbers with commas between: the i-th says in which line, counted from 1, frame i stands.
"""

from pathlib import Path

from . import kitti

FILES = "train_mapping.txt", "train_rand.txt"


def read_mapping(devkit):
    """The drive of every training frame.

    Args:
        devkit: Folder of the unpacked kit, or its folder ``mapping``.

    Returns:
        A dictionary from frame identifier to (drive, number of the frame in it), in the order of the frames.

    Raises:
        FileNotFoundError: if one of the two files is missing.
        ValueError: if one is damaged, or they don't fit together.
    """
    mapping, order = (_find(Path(devkit), name) for name in FILES)
    lines = [line.split() for line in mapping.read_text(errors="replace").splitlines() if line.strip()]
    for number, line in enumerate(lines, start=1):
        if len(line) != 3 or not line[1].startswith(line[0]) or not line[2].isdecimal():
            raise ValueError(
                f"{mapping}, line {number}: wanted date, drive and number of a frame, got {' '.join(line)}"
            )
    numbers = [each.strip() for each in order.read_text(errors="replace").replace("\n", ",").split(",") if each.strip()]
    if sorted(numbers) != sorted(str(number) for number in range(1, len(lines) + 1)):
        raise ValueError(
            f"{order}: wanted each of the numbers 1 to {len(lines)} once, as {mapping.name} has so many lines, "
            f"got {len(numbers)} numbers"
        )
    found = (lines[int(number) - 1] for number in numbers)
    return {f"{index:06d}": (drive, int(frame)) for index, (_, drive, frame) in enumerate(found)}


def _find(devkit, name):
    for path in (devkit / "mapping" / name, devkit / name):
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"{devkit}: no mapping/{name} in it; wanted the folder of KITTI's object development kit (devkit_object.zip)"
    )


def write_drives(root, mapping):
    """Writes ``ROOT/drives.tsv`` for the frames that are there.

    Args:
        root: Folder in the KITTI layout.
        mapping: What :func:`read_mapping` returns.

    Returns:
        How many frames, and how many drives they are from.

    Raises:
        FileNotFoundError: if there is no frame. ValueError: if one is not in the mapping.
    """
    frame_ids = kitti.frame_ids(root)
    for frame_id in frame_ids:
        if frame_id not in mapping:
            raise ValueError(f"{root}: frame {frame_id} is not one of KITTI's training frames, 000000 and so on")
    rows = ["frame_id\traw_drive\traw_frame", *("\t".join([each, *map(str, mapping[each])]) for each in frame_ids)]
    text = "\n".join(rows) + "\n"
    kitti.write_text(kitti.drives_file(root), text)
    return len(frame_ids), len({mapping[frame_id][0] for frame_id in frame_ids})
