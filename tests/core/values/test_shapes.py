"""Objects that hold several values: each is read by itself, so that one that cannot be read costs only itself."""

from __future__ import annotations

import argparse
import array
import collections
import dataclasses
import enum
import importlib.util
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refunc.values.jsonable import jsonable, jsonable_mapping, number


class Plain:
    def __init__(self) -> None:
        self.lr = 0.1
        self._cache = object()


class OfItsClass:
    lr = 0.1

    def train(self) -> None: ...


class Slotted:
    __slots__ = ("lr", "unset")

    def __init__(self) -> None:
        self.lr = 0.1


class Said(Plain):
    def __repr__(self) -> str:
        return "Said()"


class Live(Plain):
    """A model: it holds settings, and is more than these."""

    def __call__(self) -> None: ...


class Namespace(argparse.Namespace):
    pass


class ToDict:
    def to_dict(self) -> dict[str, Any]:
        return {"lr": 0.1}


class GetConfig:
    def get_config(self) -> dict[str, Any]:
        return {"lr": 0.1}


class ModelDump:
    def model_dump(self) -> dict[str, Any]:
        return {"lr": 0.1}


class Tuple(NamedTuple):
    lr: float = 0.1


@attrs.define
class Attrs:
    lr: float = 0.1


class Keyed:
    """A mapping in all but its type."""

    def keys(self) -> list[str]:
        return ["lr"]

    def __getitem__(self, key: str) -> float:
        return 0.1


@pytest.mark.parametrize(
    "make",
    [
        Plain, OfItsClass, Slotted, Said, Namespace, ToDict, GetConfig, ModelDump, Tuple, Attrs, Keyed, dict,
        collections.UserDict, collections.OrderedDict, argparse.Namespace, lambda: OfItsClass,
    ],
)  # fmt: skip
def test_what_a_call_is_given_is_read_by_its_names(make: Any) -> None:
    config = make(lr=0.1) if make in (dict, collections.UserDict, collections.OrderedDict) else make()
    if isinstance(config, argparse.Namespace):
        config.lr = 0.1

    assert jsonable_mapping(config) == {"lr": 0.1}


def test_within_another_value_what_says_something_of_itself_is_that_text() -> None:
    live = f"<{Live.__module__}.Live object>"

    assert jsonable([Plain(), OfItsClass, Said(), Live()]) == [{"lr": 0.1}, "OfItsClass", "Said()", live]


@pytest.mark.parametrize(
    "make",
    [list, tuple, collections.deque, collections.UserList, range, lambda it: array.array("q", it), lambda it: {*it},
     lambda it: dict.fromkeys(it).keys(), lambda it: dict(enumerate(it)).values()],
)  # fmt: skip
def test_sequences_and_sets_are_lists(make: Callable[[Any], Any]) -> None:
    given = make(3) if make is range else make([0, 1, 2])

    assert jsonable({"layers": given}) == {"layers": [0, 1, 2]}


def test_a_long_sequence_of_another_library_is_not_read_whole() -> None:
    class Images(Sequence[Any]):
        reads = 0

        def __getitem__(self, at: Any) -> Any:
            self.reads += 1
            return at

        def __len__(self) -> int:
            return 50_000

    images = Images()

    assert "Images object" in jsonable({"data": images})["data"]
    assert images.reads == 0
    assert len(jsonable(collections.deque(range(5_000)))) == 5_000


# -- fields that cannot be read ---------------------------------------------------------------------------------------


class MissingError(Exception):
    pass


class Config(Mapping[str, Any]):
    """As of a config library: a value is worked out when it is asked for."""

    def __init__(self, values: Mapping[str, Any], broken: Sequence[str]) -> None:
        self.values_, self.broken = values, broken

    def __getitem__(self, name: str) -> Any:
        if name in self.broken:
            raise MissingError(f"no {name}\nsecond line")
        return self.values_[name]

    def __iter__(self) -> Iterator[str]:
        return iter([*self.values_, *self.broken])

    def __len__(self) -> int:
        return len(self.values_) + len(self.broken)


class Listed(Sequence[Any]):
    def __getitem__(self, at: Any) -> Any:
        if at == 1:
            raise MissingError("no 1")
        return [10, None, 30][at]

    def __len__(self) -> int:
        return 3


@dataclasses.dataclass
class Unset:
    lr: float = 0.1
    broken: float = dataclasses.field(init=False)


@attrs.define
class UnsetAttrs:
    lr: float = 0.1
    broken: float = attrs.field(init=False)


@dataclasses.dataclass
class Computed:
    lr: float = 0.1

    @property
    def broken(self) -> float:
        raise MissingError("no broken")


Computed.__dataclass_fields__["broken"] = Computed.__dataclass_fields__["lr"]


class DumpRaises(Unset):
    def to_dict(self) -> dict[str, Any]:
        return {"lr": self.lr, "broken": self.broken}


@pytest.mark.parametrize(
    "make", [lambda: Config({"lr": 0.1}, ["broken"]), Unset, UnsetAttrs, Computed, DumpRaises],
    ids=["mapping", "dataclass", "attrs", "property", "to_dict"],
)  # fmt: skip
@pytest.mark.parametrize("nested", [False, True])
def test_one_field_that_cannot_be_read_costs_only_itself(make: Callable[[], Any], nested: bool) -> None:
    faults: dict[str, str] = {}

    plain = jsonable_mapping({"trainer": make(), "seed": 1} if nested else make(), faults)

    config = plain["trainer"] if nested else plain
    assert config["lr"] == 0.1
    assert config["broken"].startswith("<cannot be read: ")
    assert "\n" not in config["broken"]
    assert list(faults) == ["trainer.broken" if nested else "broken"]


def test_an_element_that_cannot_be_read_costs_only_itself() -> None:
    faults: dict[str, str] = {}

    assert jsonable({"a": Listed()}, faults) == {"a": [10, "<cannot be read: MissingError: no 1>", 30]}
    assert list(faults) == ["a[1]"]


_NAMES = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=5)


@given(
    st.recursive(st.dictionaries(_NAMES, st.integers(0, 9)), lambda inner: st.dictionaries(_NAMES, inner)), st.data()
)
def test_every_field_that_can_be_read_is_there_typed(tree: dict[str, Any], data: st.DataObject) -> None:
    broken: list[str] = []

    def made(values: dict[str, Any], path: str) -> Config:
        names = data.draw(st.lists(_NAMES, max_size=2, unique=True))
        names = [name for name in names if name not in values]
        broken.extend(path + name for name in names)
        return Config({k: made(v, f"{path}{k}.") if isinstance(v, dict) else v for k, v in values.items()}, names)

    def readable(values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {k: readable(v) for k, v in values.items() if not (isinstance(v, str) and v.startswith("<cannot"))}

    faults: dict[str, str] = {}
    plain = jsonable_mapping(made(tree, ""), faults)

    if plain and "cut" not in json.dumps(plain):
        depth = max((path.count(".") for path in broken), default=0)
        assert depth >= 8 or sorted(faults) == sorted(broken)
        assert depth >= 8 or readable(plain) == tree


def test_an_object_that_leads_back_to_itself_is_read_once() -> None:
    parent, child = Plain(), Plain()
    parent.child, child.parent = child, parent  # type: ignore[attr-defined]

    assert jsonable(parent)["child"]["parent"] == f"<{Plain.__module__}.Plain object>"


# -- libraries --------------------------------------------------------------------------------------------------------


@pytest.mark.extras
def test_numbers_of_numpy_and_what_is_missing_in_it() -> None:
    np = pytest.importorskip("numpy")

    values = {
        "longdouble": np.longdouble("1.5"), "several": np.array([1.5], dtype=np.longdouble), "none": np.ma.masked,
        "masked": np.ma.array([1, 2], mask=[0, 1]), "five": np.timedelta64(5, "s"), "nano": np.timedelta64(5, "ns"),
        "nat": np.datetime64("NaT", "s"), "dtype": np.dtype("f4"), np.int64(3): np.bool_(True),
        "rng": np.random.default_rng(0),
    }  # fmt: skip

    assert jsonable(values) == {
        "longdouble": 1.5, "several": [1.5], "none": None, "masked": [1, None], "five": 5.0, "nano": 5e-09, "nat": None,
        "dtype": "float32", "3": True, "rng": "Generator(PCG64)",
    }  # fmt: skip
    assert [number(value) for value in values.values()] == [1.5, 1.5, None, None, 5.0, 5e-09, None, None, True, None]
    assert number(np.ma.array([1.0], mask=[True])) is None


@pytest.mark.once
@pytest.mark.extras
def test_pandas_values(require: Callable[[bool, str], None]) -> None:
    require(importlib.util.find_spec("pandas") is not None, "pip install pandas")
    import pandas

    assert jsonable_mapping(pandas.Series({"lr": 0.5, "epochs": 3})) == {"lr": 0.5, "epochs": 3.0}
    assert jsonable([pandas.NA, pandas.NaT, pandas.Timedelta("2s"), pandas.Series([1.5])]) == [None, None, 2.0, [1.5]]
    assert number(pandas.Series([1.5])) == 1.5
    assert "100000×1" in jsonable(pandas.DataFrame({"a": range(100_000)}))


@pytest.mark.extras
def test_an_omegaconf_config_with_holes_in_it(require: Callable[[bool, str], None]) -> None:
    require(importlib.util.find_spec("omegaconf") is not None, "pip install omegaconf")
    from omegaconf import OmegaConf

    faults: dict[str, str] = {}
    config = OmegaConf.create(
        {"lr": 0.1, "model": {"hidden": 8, "twice": "${model.hidden}", "data": "???"}, "layers": [64, "???", {"a": 1}],
         "missing": "???", "bad": "${nowhere}", "tolist": 1, "to_dict": 2, "nothing": None}
    )  # fmt: skip

    plain = jsonable_mapping(config, faults)

    assert sorted(faults) == ["bad", "layers[1]", "missing", "model.data"]
    assert (plain["lr"], plain["model"]["twice"], plain["tolist"], plain["to_dict"]) == (0.1, 8, 1, 2)
    assert (plain["layers"][0], plain["layers"][2], plain["nothing"]) == (64, {"a": 1}, None)


@pytest.mark.extras
@pytest.mark.parametrize("parsed", [True, False])
def test_flags_of_absl_are_those_of_the_script(require: Callable[[bool, str], None], parsed: bool) -> None:
    require(importlib.util.find_spec("absl") is not None, "pip install absl-py")
    from absl import flags, logging  # noqa: F401  # defines flags of its own

    values = flags.FlagValues()
    values.append_flag_values(flags.FLAGS)
    flags.DEFINE_float("lr", 0.1, "", flag_values=values)
    flags.DEFINE_list("layers", ["64", "8"], "", flag_values=values)
    flags.DEFINE_enum_class("colour", Colour.RED, Colour, "", flag_values=values)
    flags.DEFINE_integer("tolist", None, "", flag_values=values)
    if parsed:
        values(["script", "--lr=0.2"])

    assert "verbosity" in values
    assert jsonable_mapping(values) == {
        "lr": 0.2 if parsed else 0.1, "layers": ["64", "8"], "colour": "red", "tolist": None
    }  # fmt: skip


class Colour(enum.Enum):
    RED = "red"


@pytest.mark.extras
def test_a_pydantic_model(require: Callable[[bool, str], None]) -> None:
    require(importlib.util.find_spec("pydantic") is not None, "pip install pydantic")
    import pydantic

    class Model(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
        lr: float = 0.1
        colour: Colour = Colour.RED
        key: pydantic.SecretStr = pydantic.SecretStr("hunter2hunter2")
        lock: Any = threading.Lock()
        inner: Unset = Unset()

    class Refuses(Model):
        @pydantic.field_serializer("lr")
        def refuse(self, lr: float) -> float:
            raise MissingError

    for made in (Model(), Refuses()):
        plain = jsonable_mapping(made)
        assert (plain["lr"], plain["colour"], plain["inner"]["lr"]) == (0.1, "red", 0.1)
        assert "hunter2" not in plain["key"]
