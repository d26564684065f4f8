"""
The base of AsyncHandler and BufferedHandler, which pass records on to other handlers.

No record reaches a wrapper twice: it knows the wrappers that it passed through, and lines that a target logs while it
handles a record count as passed through the same ones (`origin.Origin`). A line that a target logs about another
target's line reaches no wrapper at all. So no target gets its own lines, and targets never call each other for ever,
however handlers are combined.
"""

from __future__ import annotations

import logging
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from functools import partial

from refunc.logging.handlers.origin import Origin, in_target, origin, passing_through
from refunc.logging.handlers.unseen import show_unseen, shows
from refunc.logging.levels import level_number
from refunc.logging.notices import own_log
from refunc.outlets import foreign
from refunc.outlets.count import Count
from refunc.values.texts import short_text


class NoLock:
    """A lock that locks nothing, for handlers that only append to a deque: it is never held at a fork or a signal."""

    def acquire(self) -> None:
        """Do nothing, at once."""

    def release(self) -> None:
        """Do nothing."""

    def __enter__(self) -> None:
        return

    def __exit__(self, *error: object) -> None:
        return


class Wrapper(logging.Handler):
    """A handler that wraps others: its target, or, without one, the handlers that the logger has when it is added."""

    def __init__(self, target: logging.Handler | Iterable[logging.Handler] | None, level: int | str) -> None:
        # Before stdlib's `__init__`, after which `logging.shutdown` may flush this handler.
        targets = _handlers_in(target, type(self).__name__) if target is not None else ()
        super().__init__(level_number(level))
        self.targets: Sequence[logging.Handler] = targets
        self._adopts = target is None
        self._dropped = Count()
        self._said: set[str] = set()
        self._at: logging.Handler | None = None  # the target that is handling a record
        self._adopted_from: logging.Logger | None = None

    def createLock(self) -> None:  # noqa: N802  # stdlib's name
        """Use no lock; see NoLock."""
        self.lock = NoLock()  # type: ignore[assignment]  # all that stdlib asks of it

    def adopt(self, handlers: Iterable[logging.Handler], logger: logging.Logger | None = None) -> bool:
        """Take over *handlers*, those of *logger*, unless this one was made with a target; True if it did."""
        if self._adopts:
            self.targets = tuple(handlers)
            self._adopts = False
            self._adopted_from = logger
            return True
        return False

    def give_back(self, logger: logging.Logger) -> Sequence[logging.Handler]:
        """Return the handlers taken over from *logger*. They stay targets for the records that still wait."""
        if self._adopted_from is not logger:
            return ()
        self._adopts, self._adopted_from = True, None
        return self.targets

    def replace_target(self, old: Container[logging.Handler], new: logging.Handler) -> bool:
        """Replace targets that are in *old* by *new*, also inside other wrappers; True if there was one."""
        for wrapper in (self, *(target for target in self.all_targets() if isinstance(target, Wrapper))):
            if any(target in old for target in wrapper.targets):
                wrapper.targets = (*(target for target in wrapper.targets if target not in old), new)
                return True
        return False

    def all_targets(self) -> Iterator[logging.Handler]:
        """Yield the targets, and those of targets that are wrappers themselves, each once."""
        known: list[logging.Handler] = []
        waiting = list(reversed(self.targets))
        while waiting:
            target = waiting.pop()
            if target not in known:
                known.append(target)
                yield target
                if isinstance(target, Wrapper):
                    waiting += reversed(target.targets)

    @property
    def refunc_shows(self) -> bool:
        """Whether any target shows its lines to people; see `unseen.shows`."""
        return any(shows(target) for target in self.all_targets() if not isinstance(target, Wrapper))

    def _is_repeated(self, record: logging.LogRecord) -> bool:
        """Whether *record* passed through this wrapper before, or targets log about each other without end."""
        wrappers, generation = origin()
        if self not in wrappers and generation < 2:
            return False
        if record.name != own_log.name:
            self._dropped.add()
            self.say(
                "%s: a target logged %.200r (logger %s) while it handled a record. The line is not passed on, because "
                "that would never end. Other handlers get it, and `dropped` counts such lines.",
                self,
                _text(record),
                record.name,
            )
        return True

    def pass_on(self, record: logging.LogRecord, before: Origin) -> None:
        """Pass *record*, which passed through those *before*, to each target that takes its level."""
        passing_through(self, before, lambda: self._give(record))

    def _give(self, record: logging.LogRecord) -> None:
        # On a logger of the standard library, which does not hand over its handlers.
        if self._adopts and not self.targets:
            self._dropped.add()
            self.say(
                "%s: it has no target, so lines from %s are not shown, and `dropped` counts them. Pass target=..., or "
                "add it with MLLogger.add_handler, which gives it the logger's handlers.",
                self,
                record.name,
            )
        for target in self.targets:
            if record.levelno >= target.level:
                try:
                    self._at = target
                    if isinstance(target, Wrapper):
                        target.handle(record)
                    else:
                        in_target(partial(target.handle, record))
                except Exception as error:  # stdlib handlers contain their own errors; this one did not
                    self._dropped.add()
                    self.say(
                        "%s: its target %s raised %s at a line from %s. `dropped` counts such lines. Raised in %s.",
                        self,
                        type(target).__name__,
                        foreign.one_line(error),
                        f"{record.filename}:{record.lineno}",
                        foreign.place_of(error.__traceback__),
                    )
                finally:
                    self._at = None

    def flush_targets(self) -> None:
        """Flush each target, also after one has raised."""
        passing_through(self, origin(), self._flush_each)

    def _flush_each(self) -> None:
        for target in self.targets:
            try:
                self._at = target
                if isinstance(target, Wrapper):
                    target.flush()
                else:
                    in_target(partial(foreign.flush, target))
            finally:
                self._at = None

    def abandon(self) -> None:
        """Keep the exit from waiting for the target that hangs: `logging.shutdown` takes each handler's lock."""
        hanging = self._at
        for name in ("acquire", "release", "flush", "close"):
            if hanging is not None:
                setattr(hanging, name, _nothing)
        if isinstance(hanging, Wrapper):
            hanging.abandon()

    def say(self, message: str, *args: object) -> None:
        """Log *message* once, to other handlers, or to stderr; never to the targets."""
        if message not in self._said and own_log.isEnabledFor(logging.WARNING):
            self._said.add(message)
            record = own_log.makeRecord(own_log.name, logging.WARNING, __file__, 0, message, args, None)
            # As if the target logged it: other wrappers postpone it if this thread is in a target's call.
            passing_through(self, origin(), lambda: in_target(lambda: own_log.handle(record)))
            show_unseen(record, besides=(self, *origin().wrappers))


def _nothing() -> None:
    pass


def _handlers_in(target: object, wrapper: str) -> tuple[logging.Handler, ...]:
    """Return *target* as a tuple of handlers; raise a TypeError that names an element that is not a handler."""
    if isinstance(target, logging.Handler):
        return (target,)
    each: list[object] = [target]
    if isinstance(target, Sequence) and not isinstance(target, (str, bytes)):
        each = [target[index] for index in range(len(target))]  # by index: dictConfig's lists resolve `cfg://` so
    elif isinstance(target, Iterable) and not isinstance(target, (str, bytes, type, Mapping)):
        each = list(target)
    for one in each:
        if not isinstance(one, logging.Handler):
            raise TypeError(
                f"{wrapper}: the target {short_text(one)} is not a logging.Handler. {_advice(one, wrapper)}"
            )
    return tuple(one for one in each if isinstance(one, logging.Handler))


def _advice(target: object, wrapper: str) -> str:
    if isinstance(target, Mapping):
        return (
            "logging.config.dictConfig makes handlers in the order of their names, and this target is not made yet: "
            f"give the {wrapper} a name that sorts after its target's, such as 'z_{wrapper.lower()}'."
        )
    if isinstance(target, type) and issubclass(target, logging.Handler):
        return f"Give an object of the class: {wrapper}(target={target.__name__}(...))."
    return f"Give one, or several in a list: {wrapper}(target=logging.StreamHandler())."


def _text(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # arguments that do not fit
        return str(record.msg)
