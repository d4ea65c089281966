"""Binary: where ffmpeg is: the system's, else that of the package imageio-ffmpeg."""

import shutil
from functools import cache


class NoFfmpeg(Exception):
    """There is none; says what to do."""


@cache
def find_ffmpeg() -> str:
    """Its path. Raises NoFfmpeg."""
    if found := shutil.which("ffmpeg"):
        return found
    try:
        import imageio_ffmpeg  # noqa: PLC0415 - only who has no other one pays for it

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise NoFfmpeg("no ffmpeg is here: install it, or the Python package imageio-ffmpeg") from error
