"""Images, sounds, pages, histograms, tables and charts: files of the run, each with its name and step."""

from __future__ import annotations

import io
import json
import struct
import wave
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.runs import Run

pytestmark = pytest.mark.once

Stored = Callable[[], Run]


def contents(run: Run) -> dict[str, bytes]:
    return {artifact.name: (run.folder / str(artifact.stored)).read_bytes() for artifact in run.artifacts}


def test_media_are_files_with_their_name_and_step(wandb: Any, stored: Stored) -> None:
    Path("a.png").write_bytes(b"png")
    with wandb.init(project="p") as run:
        image = wandb.Image("a.png", caption="one", boxes={"predictions": {"x": 1}})
        run.log({"loss": 1.0, "val": {"images": [image, wandb.Image("a.png")]}, "page": wandb.Html("<b>")}, step=7)
        run.log({"sound": wandb.Audio("a.png"), "clip": wandb.Video(io.BytesIO(b"gif"), fps=4, format="mp4")})
        run.summary["last"] = wandb.Image("a.png")
        assert run.summary["val"]["images"][1] == {"_type": "image-file", "path": "val.images_7_1.png"}

    kept = {artifact.name: (artifact.type, artifact.metadata) for artifact in stored().artifacts}
    assert kept == {
        "val.images_7_0.png": (
            "image", {"key": "val.images", "step": 7, "caption": "one", "boxes": {"predictions": {"x": 1}}}
        ),
        "val.images_7_1.png": ("image", {"key": "val.images", "step": 7}),
        "page_7.html": ("html", {"key": "page", "step": 7}),
        "sound_7.png": ("audio", {"key": "sound", "step": 7}),
        "clip_7.mp4": ("video", {"key": "clip", "step": 7, "fps": 4}),
        "last_8_summary_0.png": ("image", {"key": "last", "step": 8}),
    }  # fmt: skip
    assert contents(stored())["page_7.html"] == b"<b>"
    assert (stored().summary.last["loss"], stored().summary.points) == (1.0, 1)


def test_a_histogram_counts(wandb: Any, stored: Stored) -> None:
    with wandb.init(project="p") as run:
        run.log({"few": wandb.Histogram([0, 0, 1, 3, float("nan")], num_bins=3)})
        run.log({"made": wandb.Histogram(np_histogram=([1, 2], [0.0, 0.5, 1.0])), "flat": wandb.Histogram([2, 2])})
    with pytest.raises(ValueError, match="Histogram: "):
        wandb.Histogram(np_histogram=([1, 2], [0, 1]))

    found = {name: json.loads(text) for name, text in contents(stored()).items()}
    assert found["few_0.json"] == {"_type": "histogram", "values": [2, 1, 1], "bins": [0, 1, 2, 3]}
    assert found["made_1.json"]["values"] == [1, 2]
    assert sum(found["flat_1.json"]["values"]) == 2


def test_a_table_is_kept_as_it_is_when_it_is_logged(wandb: Any, stored: Stored) -> None:
    Path("a.png").write_bytes(b"png")
    table = wandb.Table(columns=["text", "score", "image"], data=[["a", 0.5, None]])
    growing = wandb.Table(columns=["step"], log_mode="INCREMENTAL")
    with wandb.init(project="p") as run:
        table.add_data("b", float("nan"), wandb.Image("a.png"))
        growing.add_data(0)
        run.log({"table": table, "growing": growing})
        table.add_column("label", ["x", "y"])
        growing.add_row(1)
        run.log({"table": table, "growing": growing})

    found = contents(stored())
    cell = {"_type": "image-file", "path": "table_0_cell0.png"}
    assert json.loads(found["table_0.table.json"]) == {
        "columns": ["text", "score", "image"], "data": [["a", 0.5, None], ["b", "NaN", cell]]
    }  # fmt: skip
    assert json.loads(found["table_1.table.json"])["columns"][-1] == "label"
    assert [json.loads(found[f"growing_{step}.table.json"])["data"] for step in (0, 1)] == [[[0]], [[1]]]
    assert (table.get_column("label"), table.get_index(), next(table.iterrows())[1][3]) == (["x", "y"], [0, 1], "x")
    for call in (lambda: table.add_data(1), lambda: table.add_column("n", [1])):
        with pytest.raises(ValueError, match="Table: "):
            call()


def test_charts_are_tables_with_a_word_on_their_drawing(wandb: Any, stored: Stored) -> None:
    table = wandb.Table(columns=["x", "y"], data=[[1, 2]])
    with wandb.init(project="p") as run:
        run.log({"line": wandb.plot.line(table, "x", "y", title="Line"), "bar": wandb.plot.bar(table, "x", "y")})
        run.log({"many": wandb.plot.line_series([0, 1], [[1, 2], [3, 4]], keys=["a", "b"], title="Many")})
        run.log({"cm": wandb.plot.confusion_matrix(y_true=[0, 1, 1], preds=[0, 0, 1], class_names=["cat", "dog"])})
        run.log({"cm2": wandb.plot.confusion_matrix(y_true=[0, 1], probs=[[0.9, 0.1], [0.6, 0.4]])})
        run.log({"own": wandb.plot_table("team/own", table, {"x": "x"}), "s": wandb.plot.scatter(table, "x", "y")})
        run.log({"h": wandb.plot.histogram(table, "x")})

    found = {name.partition("_")[0]: json.loads(text) for name, text in contents(stored()).items()}
    expected = {"chart": "line", "x": "x", "y": "y", "title": "Line", "columns": ["x", "y"], "data": [[1, 2]]}
    assert found["line"] == expected
    assert found["many"]["data"] == [[0, "a", 1], [1, "a", 2], [0, "b", 3], [1, "b", 4]]
    assert found["cm"]["data"] == [["cat", "cat", 1], ["cat", "dog", 0], ["dog", "cat", 1], ["dog", "dog", 1]]
    assert found["cm2"]["data"][2] == ["Class_2", "Class_1", 1]
    assert (found["own"]["chart"], found["own"]["fields"]) == ("team/own", {"x": "x"})
    for call in (
        lambda: wandb.plot.confusion_matrix(y_true=[0], preds=[0, 1]),
        lambda: wandb.plot.line_series([[0]], [[1], [2]]),
    ):
        with pytest.raises(ValueError, match=r"confusion_matrix|line_series"):
            call()


class Loop:
    def __repr__(self) -> str:
        raise RuntimeError("no text")

    tolist = property(lambda self: 1 / 0)


def test_what_cannot_be_kept_is_one_warning(wandb: Any, stored: Stored, caplog: Any) -> None:
    looped: list[Any] = []
    looped.append(looped)
    with wandb.init(project="p") as run:
        run.log({"gone": wandb.Image("gone.png"), "odd": wandb.Image(Loop()), "loss": 1})
        run.log(
            {"table": wandb.Table(columns=["a"], data=[[looped]]), "other": wandb.Table(["a"], [[Loop()]]), "loss": 2}
        )

    assert stored().summary.last["loss"] == 2
    assert [artifact.name for artifact in stored().artifacts] == ["odd_0.txt"]
    assert caplog.text.count("is not kept") + caplog.text.count("was not stored") == 3, caplog.text


@pytest.mark.extras
def test_arrays_become_files(wandb: Any, stored: Stored) -> None:
    numpy = pytest.importorskip("numpy")
    colours = numpy.arange(2 * 3 * 3, dtype="uint8").reshape(2, 3, 3)
    with wandb.init(project="p") as run:
        run.log({"rgb": wandb.Image(colours), "grey": wandb.Image(numpy.array([[0.0, 1.0]]))})
        run.log({"signed": wandb.Image(numpy.array([[-1.0, 1.0]])), "mask": wandb.Image(numpy.array([[True, False]]))})
        run.log({"sound": wandb.Audio(numpy.array([0.0, 1.0, -2.0]), sample_rate=8000)})
        run.log(
            {"clip": wandb.Video(numpy.zeros((2, 3, 4, 4), "uint8")), "batch": wandb.Image(numpy.zeros((2, 3, 4, 5)))}
        )
        run.log(
            {
                "many": wandb.Histogram(numpy.arange(10_000.0), num_bins=10),
                "rows": wandb.Table(["n"], numpy.ones((2, 1))),
            }
        )

    found = contents(stored())
    assert pixels(found["rgb_0.png"]) == (3, 2, 2, [bytes(range(9)), bytes(range(9, 18))])
    assert pixels(found["grey_0.png"]) == pixels(found["signed_1.png"]) == (2, 1, 0, [b"\0\xff"])
    assert pixels(found["mask_1.png"]) == (2, 1, 0, [b"\xff\0"])
    with wave.open(io.BytesIO(found["sound_2.wav"])) as sound:
        assert (sound.getframerate(), struct.unpack("<3h", sound.readframes(3))) == (8000, (0, 32_767, -32_767))
    assert numpy.load(io.BytesIO(found["clip_3.npy"])).shape == (2, 3, 4, 4)
    assert "batch_3.npy" in found
    assert json.loads(found["many_4.json"])["values"] == [1_000] * 10
    with pytest.raises(ValueError, match="sample_rate"):
        wandb.Audio(numpy.zeros(3))


def pixels(png: bytes) -> tuple[int, int, int, list[bytes]]:
    """Return the width, height, colour type and rows of a PNG file, as its standard has them."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    place, data, head = 8, b"", b""
    while place < len(png):
        (length,), kind = struct.unpack(">I", png[place : place + 4]), png[place + 4 : place + 8]
        body = png[place + 8 : place + 8 + length]
        assert struct.pack(">I", zlib.crc32(kind + body)) == png[place + 8 + length : place + 12 + length]
        head, data = (body if kind == b"IHDR" else head), data + (body if kind == b"IDAT" else b"")
        place += 12 + length
    width, height, depth, colours = struct.unpack(">IIBB", head[:10])
    assert depth == 8
    rows = zlib.decompress(data)
    line = 1 + width * {0: 1, 2: 3, 4: 2, 6: 4}[colours]
    return width, height, colours, [rows[start + 1 : start + line] for start in range(0, len(rows), line)]


def test_figures_and_pil_images_draw_themselves(wandb: Any, stored: Stored) -> None:
    class Figure:
        def savefig(self, file: Any, format: str) -> None:
            file.write(f"drawn {format}".encode())

    class Plotly:
        def write_html(self) -> None: ...

        def to_html(self) -> str:
            return "<plot>"

    class Axes:
        figure = Figure()

    class Pil:
        mode = "CMYK"

        def convert(self, mode: str) -> Any:
            self.mode = mode
            return self

        def save(self, file: Any, format: str) -> None:
            file.write(f"{self.mode} {format}".encode())

    with wandb.init(project="p") as run:
        run.log({"figure": Figure(), "axes": wandb.Image(Axes()), "plotly": Plotly(), "pil": wandb.Image(Pil())})

    assert contents(stored()) == {
        "figure_0.png": b"drawn png", "axes_0.png": b"drawn png", "plotly_0.html": b"<plot>", "pil_0.png": b"RGB PNG"
    }  # fmt: skip
