"""The language that says which runs are wanted, and all that it refuses."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refunc.runs.errors import ExpressionError
from refunc.runs.expression.compiler import compiled, compiled_order, compiled_value
from refunc.runs.expression.values import MISSING, sorting_key

PARAMS = {
    "lr": 0.001,
    "optimizer": "adam",
    "a.b": 3,
    "layers": [1, 2],
    "none": None,
    "deep": True,
    "decay": "1e-3",
    "half": ".5",
    "word": "False",
}
TAGS = {"team": "vision", "t1": ""}
METRICS = {"loss": 0.5, "loss.min": 0.25, "val/acc": 0.9, "\u00b5": 5, "\ufb01t.min": 6}
SINGLE = {
    "status": "completed",
    "start_time": 1_000.0,
    "run_id": "k3f9",
    "run_name": "resnet",
    "experiment_id": "images",
    "experiment_name": "Images",
}


class _Facts(dict[tuple[str, ...], Any]):
    """The facts of one run, at any path."""

    def __missing__(self, path: tuple[str, ...]) -> Any:
        space, *names = path
        values: dict[str, Any] = {"params": PARAMS, "metrics": METRICS, "tags": TAGS}.get(space, {})
        return values.get(".".join(names), MISSING) if names else SINGLE.get(space, MISSING)


FACTS = _Facts()


@pytest.mark.parametrize(
    "text",
    [
        "params.lr < 0.01 and metrics.loss.min < 0.3 and status == 'completed'",
        "params['lr'] == 1e-3 and params['a.b'] == params.a.b == 3",
        "metrics['val/acc'] > 0.5 or metrics.nothing > 1",
        "0 < params.lr < 1",
        "params.optimizer in ('adam', 'sgd') and params.optimizer not in ['x']",
        "2 in params.layers and 'vis' in tags.team",
        "run_name not in ('it\\'s', '', \"a 'b' c\") and run_name == '''resnet'''",
        # Round brackets make a list of one: in Python, these are a text and a number.
        "params.optimizer in ('adam') and (params.optimizer in((  'adam' ))) and params.lr in (1e-3) and 7 in (7)",
        "params.optimizer not in ('adams') and params.lr not in (-1) and params.lr not in (inf)",
        "params.deep in (True) and params.none in (None)",
        "('a' in 'adam') and 'vis' in (tags.team) and 2 in (params.layers)",
        "not params.lr > 1 and params.deep",
        "params.lr * 2 + 1 - 1 < 0.0021 and -params.lr < 0 and 7 // 2 == 3 and 7 % 4 == 3 and 2 ** 3 == 8",
        "params.none == None and params.deep == True",
        "status != 'failed'\n  and run_name == 'resnet'",
        "not params.nothing",
        "  status == 'completed'  ",
        "params.decay < 0.01 and params.decay == 0.001 and params.half * 2 == 1 and -params.half < 0",
        "params.lr < '0.01' and 0.001 in [params.decay] and params.decay in (0.001, 'x') and params.optimizer != 1",
        "params.lr < inf and -inf < params.lr and metrics.loss != inf",
        "run_name ~ 'res*' and run_name !~ 'vit*' and (params.optimizer) ~ ('a?am') and 'a ~ b' != run_name",
        "params.nothing is missing and params.lr is not missing and duration is missing",
        "tags.t1 and not tags.t2 and tags.t1 == ''",
        "start_time > '1970-01-01' and start_time < '2d' and '1w' > start_time and start_time < '2026-01-01 14:30'",
        # The parser makes other letters of these: a Greek mu of the micro sign, f and i of the ligature.
        "metrics.\u00b5 == 5 and ( metrics ) . \ufb01t . min == 6 and metrics['\u00b5'] == 5",
    ],
)
def test_what_holds(text: str) -> None:
    assert compiled(text)(FACTS)


@pytest.mark.parametrize(
    "text",
    [
        *("params.nothing < 1", "params.nothing > 1", "params.nothing == 1", "params.nothing != 1"),
        *("params.nothing in [1]", "params.nothing not in [1]", "1 not in params.nothing", "params.nothing + 1 > 0"),
        *("duration > 1", "duration == None", "parent_id != 'x'", "-run_name == -run_name", "-run_name < 'x'"),
        *("params.optimizer < 1", "params.optimizer + 1 > 0", "1 / 0 > 0", "params.deep == 'x'"),
        *("duration > '2h'", "params.nothing ~ '*'", "params.nothing !~ '*'", "params.lr ~ '*'", "run_name ~ 'res'"),
        *("params.optimizer < 5", "params.layers > 'a'", "1 not in params.lr"),
        *("params.optimizer in ('adam, sgd')", "params.optimizer not in ('adam')", "params.nothing not in ('adam')"),
        *("9 ** 9 ** 9 > 0", "(-8) ** 0.5 > 0", "1 in params.lr", "params.layers > 1"),
        *("params.word", "params.nothing", "not params.deep", "params.deep and params.word"),
    ],
)
def test_a_value_that_is_missing_or_of_another_kind_makes_a_comparison_false(text: str) -> None:
    assert not compiled(text)(FACTS)


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ("params.lr <", 12, "is not valid: it is incomplete"),
        (" status == 'x' and ", 19, "is not valid: it is incomplete"),
        ("", 1, "is not valid: it is incomplete"),
        ("parms.lr < 1", 1, "unknown name 'parms'. Did you mean params?"),
        ("status == 'x' and zzz", 19, "unknown name 'zzz'. Write params.zzz for a param, or metrics.zzz for a metric."),
        ("status == completed", 11, "unknown name 'completed'. If it is a text, quote it: 'completed'."),
        ("status in (failed, 'x')", 12, "quote it: 'failed'"),
        ("params.deep == true", 16, "Write True."),
        ("metrics.loss == nan", 17, "nothing equals NaN; write metrics.loss.nans > 0"),
        ("metrics.loss == float('inf')", 17, "a call is not supported; write inf"),
        ("metrics.val/loss < 1", 13, "in brackets and quotes: metrics['val/loss']."),
        ("metrics.val/top-5/acc.min < 1", 13, "in brackets and quotes: metrics['val/top-5/acc'].min."),
        ("params.batch-size < 1", 14, "in brackets and quotes: params['batch-size']."),
        ("params.lr = 1", 11, "is not valid: write == to compare"),
        ("params.lr == 1 && status == 'a=b'", 16, "is not valid: write `and`"),
        ("status == 'x' OR run_id == 'y'", 15, "is not valid: write `or`"),
        ("status <> 'x'", 8, "is not valid: write !="),
        ("metrics.`val/loss` < 1", 9, "is not valid: a name with other characters is written in brackets"),
        ("run_name LIKE 'x%'", 10, "is not valid: write ~ for a pattern"),
        ("~ status", 1, "is not valid: ~ stands between a value and its pattern"),
        ("run_name ~ run_id", 12, "a pattern is a quoted text"),
        ("'t1' in tags", 9, "write tags.NAME is not missing"),
        ("start_time > 'yesterday'", 14, "'yesterday' is not a time: write it as 10m (ago), 14:30"),
        ("start_time == '2026-07-24'", 15, "start_time is exact to the microsecond, so == never fits"),
        ("duration > '2 hours'", 12, "'2 hours' is not a time span: write it as 90s"),
        ("start_time > 1670628787527", 14, "is in milliseconds, or no time: start_time is in seconds since 1970"),
        ("params.lr < 0,05", 13, "is not valid: write a decimal with a point"),
        ("params.lambda < 1", 1, "is not valid: lambda is a word of the language: write params['lambda']"),
        ("metrics.top 5 acc < 1", 1, "is not valid: a name with other characters is written in brackets"),
        ("metrics.-loss < 1", 1, "is not valid: a name with other characters is written in brackets"),
        ("metrics.loss DESC", 14, "is not valid: write a minus to sort the highest first"),
        ("params.lr == missing", 14, "Write `is missing` after a name"),
        ("run_name == \u201cx\u201d", 13, "is not valid: write straight quotes"),
        ("(params.lr < 1) & (params.deep)", 1, "& is not supported; write `and`"),
        ("run.status == 'x'", 1, "Leave run. out"),
        ("metrics.loss.max() < 1", 1, "write it as in metrics.loss.max"),
        ("max(metrics.loss) < 1", 1, "write it as in metrics.loss.max"),
        ("run_name.startswith('x')", 1, "write ~ for a pattern"),
        ("params.p == {'x': 1}", 13, "write the names of its values"),
        ("status == '\udcff'", 12, "is not valid: it has a character that is half of another one"),
        ("  é = 1", 3, "is not valid"),
        ("'é' == zzz", 8, "unknown name 'zzz'"),
        ("params < 1", 1, "params needs a name after it"),
        ("status.x == 1", 1, "status is a single value"),
        ("params[0] == 1", 8, "a name in brackets must be quoted"),
        ("params[status] == 1", 8, "a name in brackets must be quoted: params['status']"),
        ("metrics[val/loss].min < 1", 9, "a name in brackets must be quoted: metrics['val/loss']"),
        ("[1][status] == 1", 1, "Subscript is not supported"),
        ("params.model == 'vit' or 'mlp'", 26, "'mlp' is not a condition; write it as in params.model == 'mlp', or"),
        ("\"status == 'failed'\"", 1, "is not a condition"),
        ("params.lr < 1,5", 1, "a comma makes a list, which is not a condition; write 1.5 for a number"),
        ("status == 'failed' and [1]", 24, "a list is not a condition"),
        ("params.lr - 1", 1, "a number is not a condition; compare it"),
        ("not 1", 5, "a number is not a condition"),
        ("inf", 1, "a number is not a condition"),
        ("params.lr in 0.1", 14, "`in` needs several values, or a text to search: in (0.1,)"),
        ("params.lr not in -0.1", 18, "`not in` needs several values, or a text to search: not in (-0.1,)"),
        ("params.lr * 2 == '2h'", 18, "a calculation gives a number, and cannot be compared with a text"),
        ("'2h' < start_time - 60", 1, "a calculation gives a number"),
        ("start_time > 2026-12-24", 14, "a date is written in quotes: start_time > '2026-12-24'"),
        ("2026 < start_time", 1, "a date is written in quotes"),
        ("start_time < 20261224", 14, "a date is written in quotes"),
        ("start_time > 2026-07-24", 14, "is not valid: a time is written in quotes: '2026-07-24'"),
        ("start_time > 14:30", 14, "is not valid: a time is written in quotes: '14:30'"),
        ("duration > 2h", 12, "is not valid: a time is written in quotes: '2h'"),
        ("start_time ~ '2026*'", 14, "start_time is a number, and a pattern fits texts only; write start_time >= and"),
        ("start_time in ('2026-07-24',)", 15, "so in never fits"),
        ("params.model in ('vit' 'mlp')", 18, "nothing stands between two texts; write a comma"),
        ("params.model in ['a', 'vit'\"mlp\"]", 23, "nothing stands between two texts; write a comma"),
        ("run_name == 'a' 'b'", 13, "nothing stands between two texts; write a comma"),
        ("start_time in ('2026-07-24')", 16, "so in never fits"),
        ("duration in ('1h', 'x')", 20, "'x' is not a time span"),
        ("metrics.'val/loss' < 1", 8, "is not valid: a name with other characters is written in brackets"),
        ("params.3d < 1", 7, "is not valid: a name with other characters is written in brackets"),
        ("params.lr == 0.1f", 15, "is not valid"),
        ("params.lr => 1", 11, "is not valid: write <= or >="),
        ("params.lr === 1", 11, "is not valid: write == to compare"),
        ("params.lr exists", 11, "is not valid: write params.lr is missing, or params.lr is not missing"),
        ("missing params.lr", 1, "is not valid: write params.lr is missing"),
        ("params.lr is missing and params.x = 1", 35, "is not valid: write == to compare"),
        ("params.lr between 0 and 1", 11, "is not valid: write 0 < params.lr < 1"),
        ("run_name contains 'x'", 10, "is not valid: write ~ for a pattern"),
        ("metrics.a/b.last - metrics.val/loss.last < 0", 11, "quotes: metrics['a/b'].last."),
        ("experiment == 'x'", 1, "Did you mean experiment_name or experiment_id?"),
        ("start > '2d'", 1, "Did you mean start_time?"),
        ("id == 'x'", 1, "Did you mean run_id or experiment_id or parent_id or imported_id?"),
        ("val/loss < 1", 1, "Write params['val/loss'] for a param, or metrics['val/loss'] for a metric."),
        ("val/loss.min < 1", 1, "Write params['val/loss.min'] for a param, or metrics['val/loss'].min for a metric."),
        ("loss.min < 1", 1, "Write params.loss.min for a param, or metrics.loss.min for a metric."),
        ("lr-1 < 1", 1, "Write params.lr for a param, or metrics.lr for a metric."),
        ("PARAMS.lr < 1", 1, "Did you mean params?"),
        ("config.lr < 1", 1, "Did you mean params?"),
        ("open('/etc/passwd')", 1, "a call is not supported"),
        ("status.__class__ == 1", 1, "status is a single value"),
        ("(lambda: 1) == 1", 2, "a lambda is not supported"),
        ("1 if status else 2", 1, "if … else is not supported"),
        ("[x for x in 'ab']", 1, "a comprehension is not supported"),
        ("status is None", 11, "`is` needs the word `missing`"),
        ("1 << 99 > 1", 1, "<< is not supported; write * to multiply"),
        ("f'{status}' == 1", 1, "an f-string is not supported"),
        ("status := 1", 8, "is not valid"),
        ("b'x' == 1", 1, "a value of this kind is not supported"),
        ("1 == 1\x00", 7, "is not valid: it has a null character"),
        ("9" * 1_900 + " ** status.x", 1_905, "status is a single value"),
        ("x" * 2_001, 2_000, "more than 2,000 characters"),
        ("not " * 400 + "status", 205, "nested deeper than 50 levels"),
        ("(" * 900 + "1" + ")" * 900, 201, "is not valid"),
    ],
)
def test_what_is_refused_says_where(text: str, column: int, says: str) -> None:
    with pytest.raises(ExpressionError) as error:
        compiled(text)

    assert says in error.value.problem
    assert error.value.problem.endswith(f"(column {error.value.column})")
    assert "\n" not in error.value.problem
    caret = str(error.value).splitlines()[-1]
    assert caret == "  " + " " * (error.value.column - 1) + "^"
    # Python's own parser says where, and each version a little differently.
    assert abs(error.value.column - column) <= (3 if says == "is not valid" else 0)


@pytest.mark.parametrize(
    ("text", "order", "is_name"),
    [
        ("params.model", ["a", "b", "c"], True),
        ("-params.model", ["c", "b", "a"], True),
        (" - ( params.model ) ", ["c", "b", "a"], True),
        ("-params['model']", ["c", "b", "a"], True),
        ("--params.model", ["a", "b", "c"], True),
        ("-+params.model", ["c", "b", "a"], True),
    ],
)
def test_a_minus_reverses_the_order_and_is_no_part_of_a_value(text: str, order: list[str], is_name: bool) -> None:
    found = compiled_order(text)
    values = [found({("params", "model"): value}) for value in ("b", "c", "a")]

    assert values == ["b", "c", "a"]
    assert sorted(values, key=lambda value: sorting_key(value, descends=found.descends)) == order
    assert found.is_name is is_name


@pytest.mark.parametrize("text", ["-params.model * 2", "params.model == 'a'", "-'x'", "inf", "(params.model) < 1"])
def test_what_is_computed_is_no_name(text: str) -> None:
    assert not compiled_order(text).is_name


@pytest.mark.parametrize("text", ["-params.model", "params.model * 2", "1 + params.model", "-params.model == 'a'"])
def test_a_calculation_with_a_text_has_no_value(text: str) -> None:
    value = compiled_value(text)({("params", "model"): "a"})

    assert value is MISSING or value is False


@pytest.mark.parametrize("text", ["params.lr, params.deep", "params.lr,params.deep", "[params.lr]"])
def test_a_list_is_no_value_to_sort_or_to_group_by(text: str) -> None:
    with pytest.raises(ExpressionError, match="a list is not one value to sort or group by"):
        compiled_value(text)


@given(text=st.text(st.sampled_from("params.lr 9*<>()[]'\"andnotorin+-/%,0x{}:=~!is missing\\é\n"), max_size=60))
def test_whatever_is_typed_is_answered_or_refused(text: str) -> None:
    try:
        expression = compiled(text)
    except ExpressionError:
        return
    expression(FACTS)


def test_nobody_can_keep_it_busy() -> None:
    begin = time.process_time()
    for text in ("9**9**9**9**9", "*".join(["9" * 300] * 6), "9.9e300**9.9e300", "'x' * 10**9 == ''", "[[1]*9]*9 == 1"):
        try:
            compiled(text)(FACTS)
        except ExpressionError:
            pass
    assert time.process_time() - begin < 5
