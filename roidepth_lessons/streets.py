"""Synthetic streets: a road photo with its boxes, exact depth and LiDAR-like points, from a seed.

Everything is a function of (seed, height, width); the layout of the world is a function of the seed alone. The modules
``street_*`` each do a part of it: `street_layout` says what stands where, `street_rays` what each pixel shows,
`street_light` in which colour, `street_labels` what is known about it.
"""

import itertools
import json
import os
import queue
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np

from . import __version__, kitti
from .camera import Calibration, Camera
from .frames import Frame
from .kitti import write_frame, write_json
from .processes import clear_dead_locks, end_with_parent, only_run
from .session import ProgressLine
from .street_labels import label_objects, lidar_points
from .street_layout import LOOKS, lay_out
from .street_light import develop, shade
from .street_rays import cast_rays
from .street_scene import build_scene

FARTHEST = 250.0
"""Metres: depth beyond is given as unknown, as KITTI's 16-bit depth files end at 256 m."""
COMPLAINT = "error: "
"""How a line of a worker begins that can't go on."""


def draw_street(seed, height=128, width=416, looks="varied"):
    """Draw the street of a seed.

    Args:
        seed: An int or a sequence of ints.
        height, width: Size of the image in pixels.
        looks: See `street_layout.lay_out`.

    Returns:
        A `Frame` with image, camera, objects, exact depth (0 in the sky and beyond 250 m), instances, road, points and
        calibration. What is too small or too hidden is a DontCare region, last in `objects`, and 0 in `instances`;
        what is wholly hidden is left out.
    """
    street = lay_out(seed, looks)
    camera = Camera(street.projection, 375, 1242).resized(height, width)
    scene = build_scene(street, camera)
    rays = cast_rays(street, scene, camera)
    image, road = shade(street, scene, rays)
    objects, instances = label_objects(street, scene, rays, camera)
    near = rays.inverse > 1 / FARTHEST
    depth = np.where(near, 1 / np.maximum(rays.inverse, 1 / FARTHEST), 0).astype(np.float32)
    sensor = np.random.default_rng([street.style["salt"], 1])
    return Frame(
        name=str(seed),
        image=develop(image, street.style, sensor),
        camera=camera,
        objects=objects,
        depth=depth,
        instances=instances,
        road=road,
        points=lidar_points(depth, rays, camera, sensor),
        calibration=Calibration(camera.projection),
    )


def write_streets(
    root, count, seed=0, height=128, width=416, workers=None, progress=True, looks="varied", shard=0, shards=1
):
    """Write streets 0 to count - 1, or a share of them, as a KITTI-layout folder.

    Frame i is ``draw_street([seed, i], height, width, looks)``. Frames that are there are left alone, so a run that was
    stopped, or killed, goes on where it was. A folder in which all is there already is only looked at. Several machines
    fill one folder that they share if each is given a `shard` of its own: none writes what is another's.

    Args:
        root: Folder; the frames go to ``root/training``, a note of what they are to ``root/streets.json``.
        count: Number of frames.
        seed: One int for the whole set.
        height, width: Size of the images in pixels.
        workers: Number of processes; None for one per core.
        progress: Whether to show a line of progress.
        looks: See `street_layout.lay_out`.
        shard, shards: Write only the frames i with ``i % shards == shard``.

    Raises:
        ValueError: if `root` holds frames of another seed, size, look or package version, or frames that are no
            streets, or if there is no such look or no such shard.
        RuntimeError: if a worker process failed, or if another process writes the same frames.
        OSError: if a file can't be written.
    """
    root = Path(root)
    if looks not in LOOKS:
        raise ValueError(f"looks must be one of {', '.join(LOOKS)}, got {looks!r}")
    if count < 0 or (workers is not None and workers < 1):
        raise ValueError(f"count must not be negative and workers be at least 1, got {count} and {workers}")
    if not 0 <= shard < shards:
        raise ValueError(f"shard must be 0 to {shards - 1}, since there are {shards} shards; got {shard}")
    kind = {"seed": int(seed), "height": int(height), "width": int(width), "looks": looks}
    facts, mine = {**kind, "version": __version__}, range(shard, count, shards)
    noted = _read_note(root, facts)
    if noted is not None and noted >= count and not _missing(root, mine):
        clear_dead_locks(root)  # of a run that was killed between its last street and its end
        if progress:
            with ProgressLine() as line:
                line.end(_bar(len(mine), len(mine)))
        return
    share = (shard, shards) if shards > 1 else None
    with only_run(root, share=share):
        _claim_folder(root, facts, count, share)
        _draw_missing(root, mine, kind, workers, progress, share)


def _draw_missing(root, mine, kind, workers, progress, share):
    count, missing = len(mine), _missing(root, mine)
    workers = max(1, min(workers or os.cpu_count() or 1, len(missing) // 2))
    steps = itertools.count(count - len(missing))
    with ProgressLine() as line:

        def step():
            done = next(steps)
            if progress:
                line.show(_bar(done, count))

        step()  # shows what was there before
        if workers == 1:
            for index in missing:
                _write_street(root, index, **kind)
                step()
        else:
            _run_workers({"root": str(root), **kind}, missing, workers, step, share)
        if progress:
            line.end(_bar(count, count))


def _bar(done, count):
    return f"[{'#' * (30 * done // max(count, 1)):<30}] {done:>6} of {count} streets"


def _missing(root, indices):
    labels = root / "training" / "label_2"
    return [i for i in indices if not (labels / f"{i:06d}.txt").is_file()]


def _read_note(root, facts):
    """How many streets a folder is said to hold, None for one without a note; refuses one with others."""
    # The frames are looked for first: whoever begins to fill the folder meanwhile writes the note before them.
    note, frames_there = root / "streets.json", any((root / "training").glob("*/*"))
    if not note.is_file():
        if frames_there:
            raise ValueError(f"{root} holds frames that are not streets (no {note.name}); choose another folder")
        return None
    try:
        found = {"looks": "varied", **kitti.read_json(note)}  # older notes don't say
        differ = {key: found[key] for key in facts if found[key] != facts[key]}
        count = found["count"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{note} can't be read; delete {root} or choose another folder") from error
    if not isinstance(count, int) or count < 0:
        raise ValueError(f"{note} speaks of {count} streets; delete {root} or choose another folder")
    if differ:
        raise ValueError(f"{root} holds streets with {differ}, not {facts}; choose another folder or delete it")
    return count


def _claim_folder(root, facts, count, share):
    """Check that a folder is empty or holds the same streets; clear away what a killed run left; note what it holds."""
    noted = _read_note(root, facts)
    _clear_temporaries(root, share)
    write_json(root / "streets.json", {**facts, "count": max(count, noted or 0)})


def _clear_temporaries(root, share):
    """Of a share ``(shard, shards)``, only those of its own frames: others may be writing theirs."""
    if share is None:
        for folder in (root, *root.glob("training/*")):
            kitti.clear_temporaries(folder)
        return
    shard, shards = share
    for stale in root.glob("training/*/.*.tmp*"):
        number = stale.name[1:].split(".")[0]
        if number.isdecimal() and int(number) % shards == shard:
            stale.unlink(missing_ok=True)


def _write_street(root, index, seed, height, width, looks):
    write_frame(root, replace(draw_street([seed, index], height, width, looks), name=f"{index:06d}"))


def _run_workers(order, missing, workers, step, share):
    """Share the missing frames among processes of this module; call `step` whenever one of them has written a frame.

    Plain processes rather than `multiprocessing`: they start fast, import neither Keras nor the caller's script, and
    end by themselves when the parent is killed.
    """
    path = [str(Path(__file__).resolve().parent.parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path)), "OPENBLAS_NUM_THREADS": "1"}
    lines, started = queue.SimpleQueue(), []
    try:
        for k in range(workers):
            process = subprocess.Popen(
                [sys.executable, "-c", f"from {__name__} import _work; _work()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
            )
            started.append(process)
            process.stdin.write(json.dumps(order) + "\n" + json.dumps(missing[k::workers]) + "\n")
            process.stdin.flush()
            threading.Thread(target=_forward, args=(process.stdout, lines), daemon=True).start()
        while workers:
            line = lines.get()
            if line is None:
                workers -= 1
            elif line.startswith(COMPLAINT):
                raise RuntimeError(line.removeprefix(COMPLAINT).strip())
            else:
                step()
        if any(process.wait() for process in started):
            root = order["root"]
            raise RuntimeError(f"a process that draws streets failed; see its message. What is in {root} is whole")
    finally:
        for process in started:
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()
        _clear_temporaries(Path(order["root"]), share)


def _forward(pipe, lines):
    """Pass on every line of a worker, then None."""
    try:
        for line in pipe:
            lines.put(line)
    except ValueError:
        pass  # the pipe was closed because the run is being given up
    lines.put(None)


def _work():
    """What a worker process does: read the order and its frames from stdin, write them, report each."""
    order, indices = json.loads(sys.stdin.readline()), json.loads(sys.stdin.readline())
    end_with_parent()
    try:
        for index in indices:
            _write_street(index=index, **order)
            print(index, flush=True)
    except BrokenPipeError:  # the parent was killed
        os._exit(1)
    except OSError as error:  # a full disk, for instance: the parent says it, once
        print(f"{COMPLAINT}{error}", flush=True)
