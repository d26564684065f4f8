"""
clu's metric writers, imported without TensorFlow.

clu imports TensorFlow for a writer of its own, which no test here uses. TensorFlow is hundreds of megabytes, and a
process that has imported it crashes at the import of torchao. So where it is absent, empty modules stand in for it.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

#: The search path with the stand-ins, empty where TensorFlow is installed.
SEARCH_PATH = [] if find_spec("tensorflow") else [str(Path(__file__).with_name("stand_ins"))]

sys.path[:0] = SEARCH_PATH
from clu import metric_writers, values  # noqa: E402

if SEARCH_PATH:
    sys.path.remove(SEARCH_PATH[0])
    for _name in [name for name in sys.modules if name.partition(".")[0] in ("tensorflow", "tensorboard")]:
        if str(getattr(sys.modules[_name], "__file__", "")).startswith(SEARCH_PATH[0]):
            del sys.modules[_name]

__all__ = ["metric_writers", "values"]
