"""The Python blocks of a page, as they are run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
#: Their blocks need a framework: tests/frameworks runs them.
OF_FRAMEWORKS = sorted((DOCS / "how-to/frameworks").glob("*.md"))
BLOCK = re.compile(
    r"(?:<!-- (?P<mark>[\w ]+)[^\n]*-->\n|^Save this as `(?P<file>[^`\n]+)`:\n\n)?^```python\n(?P<code>.*?)^```",
    re.MULTILINE | re.DOTALL,
)


def page_name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def script_of(page: Path) -> str:
    """Return the blocks of *page* that are run, as one script whose line numbers are the page's."""
    text = page.read_text("utf-8")
    script = ""
    for block in BLOCK.finditer(text):
        if block["mark"] not in ("needs", "not run") and not block["file"]:
            lines_before = text.count("\n", 0, block.start("code"))
            script += "\n" * (lines_before - script.count("\n")) + block["code"]
    return script


def written(page: Path, folder: Path) -> Path:
    """Write the blocks of *page* as a script to *folder*."""
    script = folder / f"page_{page.stem.replace('-', '_')}.py"  # not the name of the framework, which it would shadow
    script.write_text(script_of(page), "utf-8")
    return script


def run_page(page: Path, folder: Path) -> str:
    """Run the blocks of *page* in a process of their own; return its stderr."""
    script = written(page, folder)
    done = subprocess.run([sys.executable, script.name], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{page_name(page)}:\n{done.stderr}"
    return done.stderr
