"""Images, sounds, videos, pages and histograms, which become files of the run."""

from __future__ import annotations

import io
import json
import os
import wave
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from refunc.compat.wandb.arrays import array_of, bins_of, npy_of, plain
from refunc.compat.wandb.png import png_of
from refunc.logging.notices import warn_once
from refunc.values.texts import text_of


class Media:
    """A value that `log` keeps as a file. Its content is taken when it is made; a file is copied when it is logged."""

    #: The type of its artifact.
    kind: ClassVar[str] = "media"

    def __init__(self, content: bytes | Path, suffix: str, caption: str | None = None, **facts: Any) -> None:
        """
        Args:
            content: The content, or the path of a file that has it.
            suffix: That of the file.
            facts: More members of the artifact's metadata.
        """
        self.content = content
        self.suffix = suffix
        self.caption = caption
        self.facts = {name: value for name, value in {"caption": caption, **facts}.items() if value is not None}

    def read(self) -> bytes:
        """Return the content of the file."""
        return self.content if isinstance(self.content, bytes) else self.content.read_bytes()


class Image(Media):
    """An image: a file's path, an array, a tensor (channels first), a PIL image, or a figure of matplotlib."""

    kind = "image"

    def __init__(
        self,
        data_or_path: Any,
        mode: str | None = None,
        caption: str | None = None,
        grouping: int | None = None,
        classes: Any = None,
        boxes: Mapping[str, Any] | None = None,
        masks: Any = None,
        file_type: str | None = None,
        normalize: bool = True,
    ) -> None:
        """
        Take an image.

        Args:
            boxes: Kept in the metadata. *masks*, *mode*, *grouping*, *file_type* and *normalize* have no meaning here.
        """
        if masks:
            warn_once("wandb-masks", "Image: masks are left out. To keep them, log each as an image of its own.")
        shown = plain(dict(boxes)) if boxes else None
        if isinstance(data_or_path, Image):
            super().__init__(data_or_path.content, data_or_path.suffix, caption or data_or_path.caption, boxes=shown)
            return
        super().__init__(*_content_of(data_or_path, ".png", _image_in), caption, boxes=shown)


class Audio(Media):
    """A sound: a file's path, or an array of samples, of one or more channels, from -1 to 1."""

    kind = "audio"

    def __init__(self, data_or_path: Any, sample_rate: int | None = None, caption: str | None = None) -> None:
        """Take a sound; samples need a *sample_rate* in Hz."""
        self.sample_rate = sample_rate
        super().__init__(*_content_of(data_or_path, ".wav", self._sound_in), caption, sample_rate=sample_rate)

    def _sound_in(self, data: Any) -> bytes | None:
        array = array_of(data)
        if array is None or len(array.shape) not in (1, 2):
            return None
        if not self.sample_rate:
            raise ValueError("Audio: samples need a sample_rate, such as sample_rate=44100.")
        if array.dtype.kind == "f":
            array = array.clip(-1, 1) * 32_767
        file = io.BytesIO()
        with wave.open(file, "wb") as writing:
            writing.setnchannels(1 if len(array.shape) == 1 else int(array.shape[1]))
            writing.setsampwidth(2)
            writing.setframerate(int(self.sample_rate))
            writing.writeframes(array.astype("<i2").tobytes())
        return file.getvalue()


class Video(Media):
    """A video: a file's path, or an open file. An array of frames is kept as a file of numpy: nothing encodes it."""

    kind = "video"

    def __init__(
        self, data_or_path: Any, caption: str | None = None, fps: int | None = None, format: str | None = None
    ) -> None:
        """Take a video; *format* is the suffix for an open file, `gif` by default."""
        super().__init__(*_content_of(data_or_path, f".{format or 'gif'}", lambda data: None), caption, fps=fps)


class Html(Media):
    """A page: text, an open file, or the path of a file."""

    kind = "html"

    def __init__(
        self, data: Any, inject: bool = True, data_is_not_path: bool = False, caption: str | None = None
    ) -> None:
        """Take a page; *inject* has no meaning here."""
        if isinstance(data, str) and (data_is_not_path or not _is_file(data)):
            super().__init__(data.encode("utf-8", "surrogatepass"), ".html", caption)
        else:
            super().__init__(*_content_of(data, ".html", lambda data: None), caption)


class Histogram(Media):
    """Counts and the edges of their bins, of a sequence or from `numpy.histogram`."""

    kind = "histogram"
    MAX_LENGTH = 512

    def __init__(self, sequence: Any = None, np_histogram: Any = None, num_bins: int = 64) -> None:
        """
        Count the numbers of *sequence*, or take the counts and edges of *np_histogram*.

        Raises:
            ValueError: Neither is given; more than 512 bins; edges that are not one more than the counts.
        """
        if np_histogram is not None:
            counts, edges = (list(map(float, part)) for part in np_histogram)
        elif sequence is not None:
            counts, edges = bins_of(sequence, num_bins)
        else:
            raise ValueError("Histogram: give a sequence of numbers, or np_histogram=(counts, edges).")
        if len(counts) > self.MAX_LENGTH or len(edges) != len(counts) + 1:
            raise ValueError(
                f"Histogram: {len(counts)} counts and {len(edges)} edges. Give up to 512, and one edge more."
            )
        self.histogram = [int(number) if number == int(number) else number for number in counts]
        self.bins = edges
        shown = {"_type": "histogram", "values": self.histogram, "bins": self.bins}
        super().__init__(json.dumps(shown).encode(), ".json")


def as_media(value: Any) -> Sequence[Media] | None:
    """Return the media that *value* is, or is a list of; None if it is neither."""
    kind = type(value)
    if kind is float or kind is int or kind is str:
        return None
    if isinstance(value, Media):
        return [value]
    if isinstance(value, (list, tuple)):
        return list(value) if value and all(isinstance(each, Media) for each in value) else None
    try:
        if callable(getattr(value, "savefig", None)):  # matplotlib's figure, and pyplot itself
            return [Image(value)]
        if callable(getattr(value, "write_html", None)) and callable(getattr(value, "to_html", None)):  # plotly's
            return [Html(value.to_html(), data_is_not_path=True)]
    except Exception:  # one that cannot be drawn is kept as a text, with a warning
        pass
    return None


def _content_of(data: Any, suffix: str, read: Any) -> tuple[bytes | Path, str]:
    """Return the content, or the file, and the suffix of *data*. Data that cannot be read are kept as text."""
    if isinstance(data, (str, os.PathLike)):
        path = Path(os.fspath(data))
        return path, path.suffix or suffix
    if isinstance(data, (bytes, bytearray)):
        return bytes(data), suffix
    found = read(data)
    if found is not None:
        return found, suffix
    if callable(getattr(data, "read", None)):
        said = data.getvalue() if hasattr(data, "getvalue") else data.read()
        return said.encode("utf-8", "surrogatepass") if isinstance(said, str) else bytes(said), suffix
    array = array_of(data)
    if array is not None:
        what = f"{suffix[1:]} of the shape {tuple(array.shape)}"
        warn_once(f"wandb-array {suffix}", "an array cannot be made a %s; it is kept as a file .npy.", what)
        return npy_of(array), ".npy"
    warn_once(
        f"wandb-media {type(data).__name__}", "%s cannot be made a file %s; its text is kept.", type(data), suffix
    )
    return text_of(data).encode("utf-8", "backslashreplace"), ".txt"


def _image_in(data: Any) -> bytes | None:
    file = io.BytesIO()
    if callable(getattr(data, "savefig", None)) or hasattr(getattr(data, "figure", None), "savefig"):
        figure = data if hasattr(data, "savefig") else data.figure
        figure.savefig(file, format="png")
        return file.getvalue()
    if callable(getattr(data, "save", None)) and hasattr(data, "convert"):  # PIL's
        drawn = (
            data if getattr(data, "mode", "RGB") in ("1", "L", "LA", "P", "RGB", "RGBA", "I") else data.convert("RGB")
        )
        drawn.save(file, format="PNG")
        return file.getvalue()
    array = array_of(data, channels_last=True)
    try:
        return png_of(array) if array is not None else None
    except ValueError:
        return None


def _is_file(text: str) -> bool:
    try:
        return len(text) < 4_096 and os.path.isfile(text)
    except ValueError:
        return False
