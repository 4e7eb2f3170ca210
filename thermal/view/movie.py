"""``thermal view RUN ... --movie``: the panels over time, as a film without a window."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from thermal.errors import CaseError
from thermal.store import Run
from thermal.store.files import atomic
from thermal.view.camera import Image
from thermal.view.player import Player
from thermal.view.rendering import RenderingError, rendering_problem

MOVIES = (".mp4", ".gif")
"""Endings of movies."""
_FRAMES = {".mp4": 10, ".gif": 8}
"""A second."""
_LONGEST = 30.0
"""s; runs with more saved times are shown at evenly spread ones of them."""
_END = 1.5
"""s that the last moment stays."""
_TURN = math.radians(40.0)
"""By which the camera goes around, so that depth is seen."""
_START = math.atan2(1.0, 0.62)  # where the pictures are taken from
_HEIGHT = 0.36


def write_movie(runs: Sequence[Run], path: Path | str, size: tuple[int, int] = (1280, 912)) -> Path:
    """Write the temperature over time in the panels of ``runs`` as .mp4 or .gif, and return the path.

    Raises ``CaseError`` for other endings and for runs that kept no temperatures over time, and ``RenderingError``
    where nothing can be rendered or what writes films is not installed.
    """
    target = Path(path)
    kind = target.suffix.lower()
    if kind not in MOVIES:
        raise CaseError(f"--movie {target}: found the ending {kind!r}; the name must end with {' or '.join(MOVIES)}")
    if all(len(run.times) < 2 for run in runs):
        raise CaseError(f"{runs[0].folder}: kept no temperatures over time; ask for them in [output] of the case")
    problem = rendering_problem() or (_no_encoder() if kind == ".mp4" else None)
    if problem is not None:
        raise RenderingError(problem)
    target.parent.mkdir(parents=True, exist_ok=True)
    write = {".mp4": _write_mp4, ".gif": _write_gif}[kind]
    player = Player(runs, off_screen=True, size=size)
    try:
        with atomic(target) as scratch:
            write(_frames(player, _FRAMES[kind]), scratch, _FRAMES[kind])
    finally:
        player.close()
    return target


def _no_encoder() -> str | None:
    try:
        import imageio_ffmpeg  # noqa: F401
    except ImportError:
        return 'a movie as .mp4 needs: pip install "thermal[movie]"; a .gif needs nothing more'
    return None


def _frames(player: Player, rate: int) -> Iterator[Image]:
    """The panels at the saved times, the camera going a little around."""
    most = int(_LONGEST * rate)
    times = player.times
    if len(times) > most:
        times = times[np.unique(np.linspace(0, len(times) - 1, most).round().astype(int))]
    count = len(times)
    for index, time in enumerate(times):
        angle = _START + _TURN * (index / max(count - 1, 1) - 0.5)
        player.aim((math.cos(angle), math.sin(angle), _HEIGHT))
        player.show_time(float(time))
        picture = player.picture()
        repeats = 1 + (round(_END * rate) if index == count - 1 else 0)
        for _ in range(repeats):
            yield picture


def _write_mp4(frames: Iterator[Image], path: Path, rate: int) -> None:
    import imageio.v2 as imageio

    film: Any = imageio.get_writer(path, format="FFMPEG", fps=rate, codec="libx264", quality=7, macro_block_size=16)
    with film:
        for frame in frames:
            film.append_data(frame)


def _write_gif(frames: Iterator[Image], path: Path, rate: int) -> None:
    """Each frame with a palette that reaches the ends of the scale of colours, which one by medians does not."""
    first, *others = [
        PIL.Image.fromarray(frame).quantize(256, PIL.Image.Quantize.MAXCOVERAGE, dither=PIL.Image.Dither.NONE)
        for frame in frames
    ]
    first.save(path, format="GIF", save_all=True, append_images=others, duration=round(1000 / rate), loop=0)
