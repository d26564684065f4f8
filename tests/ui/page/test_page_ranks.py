"""A run of several ranks and attempts on the page: one curve, or one for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.ranked import RUN_ID, ranked
from tests.ui.page.conftest import CHARTS, Server

pytestmark = [pytest.mark.once, pytest.mark.ui]

CURVES = f"{CHARTS}[0].curves.map(curve => [curve.label, curve.y.length, curve.y.at(-1)])"


def test_ranks_and_attempts_are_choices(page: Any, serving: Callable[[str], Server]) -> None:
    server = serving("ranked")
    ranked(server.store, ranks=4, attempts=2)

    page.open(server)
    page.drawn(1)
    assert page.texts("#table tbody th") == ["resnet  attempt 2, 4 ranks"]
    # The newest attempt went back to step 9: points that the first one logged before that stand.
    assert page.ask(CURVES) == [["resnet", 20, 200]]

    page.choose("#ranks select", "all")
    page.until(CURVES, [[f"rank {rank}", 20, 200 + rank] for rank in range(4)])
    assert len(set(page.ask(f"{CHARTS}[0].curves.map(curve => curve.slot)"))) == 4

    page.choose("#attempts select", "all")
    each = [[f"rank {rank}  attempt {at}", (15, 10)[at - 1], 100 * at + rank] for rank in range(4) for at in (1, 2)]
    page.until(f"{CURVES}.sort((one, other) => one[0] < other[0] ? -1 : 1)", each)

    page.choose("#ranks select", "mean")
    page.choose("#attempts select", "newest")
    page.until(CURVES, [["resnet", 20, 201.5]])
    assert "rank=mean" in page.driver.current_url
    page.open(server, f"rank=max&run=0:{RUN_ID}")
    page.until(CURVES, [["resnet", 20, 203]])
    assert page.complaints() == []
