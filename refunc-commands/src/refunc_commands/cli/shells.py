"""The words of a line that a shell asks to complete, which click does not take as they are meant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from click.shell_completion import CompletionItem, ShellComplete, add_completion_class, get_completion_class

#: The options whose value is an expression, and may begin with a minus.
_EXPRESSIONS: Final = frozenset(("--sort", "--where"))


def mend_completion() -> None:
    """Let click complete values with a leading minus, and values of `--option=…`, which bash takes apart."""
    for name in ("bash", "zsh", "fish"):
        known = get_completion_class(name)
        if known is not None:
            add_completion_class(type(f"Mended{known.__name__}", (_Mended, known), {}), name)


class _Mended(ShellComplete):
    """A shell whose words are mended before click looks for completions."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """Return what *incomplete*, behind the words *args*, may become."""
        words = list(_joined(args))
        option = words[-1] if words else ""
        sign = "-" if option in _EXPRESSIONS and incomplete.startswith("-") else ""
        found = super().get_completions(words, incomplete.removeprefix(sign))
        for item in found if sign else ():
            item.value = sign + item.value
        return found


def _joined(args: list[str]) -> Iterator[str]:
    """Yield the words without the signs that stand between an option and its value."""
    for before, word in zip(["", *args], args, strict=False):
        if word != "=" or not before.startswith("--"):
            yield word
