"""Who is served next: one job at a time, visitors in turn, so that nobody's ten clips hold up another's picture."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from .errors import InputError
from .limits import Limits

FULL = "The queue is full at the moment ({} jobs are waiting); please try again in a few minutes."
TOO_MANY = "You already have {} jobs waiting or running; wait for one of them to finish, or stop it."


@dataclass(eq=False)
class Ticket:
    """A place in the queue. Use it as a context manager: leaving gives the place up, at any stage."""

    desk: Desk
    visitor: str
    number: int
    taken: float
    started: float | None = field(default=None)

    def ahead(self) -> int:
        """Jobs that are served before this one, the running one included; 0 once it is its turn."""
        return self.desk.ahead(self)

    def wait(self, timeout: float) -> bool:
        """True as soon as it is this job's turn, False after `timeout` seconds."""
        return self.desk.wait(self, timeout)

    @property
    def waited(self) -> float:
        """Seconds spent in the queue."""
        return (self.started or self.desk.clock()) - self.taken

    def __enter__(self) -> Ticket:
        return self

    def __exit__(self, *_: object) -> None:
        self.desk.leave(self)


class Desk:
    """The queue in front of the engine. Safe to use from any thread."""

    def __init__(self, limits: Limits) -> None:
        self.limits, self.clock = limits, time.monotonic
        self._numbers, self._turns = itertools.count(), itertools.count()
        self._changed = threading.Condition()
        self._waiting: list[Ticket] = []
        self._running: Ticket | None = None
        self._served: dict[str, int] = {}  # visitor -> when they had a turn last, counted in turns

    def take(self, visitor: str) -> Ticket:
        """A place at the end of the visitor's own row; raises InputError when there is none left."""
        with self._changed:
            own = sum(ticket.visitor == visitor for ticket in self._everyone())
            if own >= self.limits.jobs_per_visitor:
                raise InputError(TOO_MANY.format(own))
            if len(self._waiting) >= self.limits.queue:
                raise InputError(FULL.format(len(self._waiting)))
            ticket = Ticket(self, visitor, next(self._numbers), self.clock())
            self._waiting.append(ticket)
            self._serve()
            return ticket

    def ahead(self, ticket: Ticket) -> int:
        """See `Ticket.ahead`."""
        with self._changed:
            if ticket is self._running or ticket not in self._waiting:
                return 0
            return self._order().index(ticket) + (self._running is not None)

    def wait(self, ticket: Ticket, timeout: float) -> bool:
        """See `Ticket.wait`."""
        with self._changed:
            return self._changed.wait_for(lambda: self._running is ticket, timeout)

    def leave(self, ticket: Ticket) -> None:
        """Give up a place or end a turn; harmless when that has happened already."""
        with self._changed:
            if ticket is self._running:
                self._running = None
            elif ticket in self._waiting:
                self._waiting.remove(ticket)
            self._serve()

    @property
    def waiting(self) -> int:
        """Jobs in the queue, without the running one."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """1 while a job runs, else 0."""
        return int(self._running is not None)

    def _everyone(self) -> list[Ticket]:
        return [*self._waiting, *([self._running] if self._running else [])]

    def _order(self) -> list[Ticket]:
        """Every visitor's first job, those who were served longest ago first; then every visitor's second."""
        rounds: Counter[str] = Counter()
        keys: dict[int, tuple[int, int]] = {}
        for ticket in self._waiting:
            keys[ticket.number] = rounds[ticket.visitor], self._served.get(ticket.visitor, -1)
            rounds[ticket.visitor] += 1
        return sorted(self._waiting, key=lambda ticket: (keys[ticket.number], ticket.number))

    def _serve(self) -> None:
        if self._running is None and self._waiting:
            self._running = self._order()[0]
            self._running.started = self.clock()
            self._waiting.remove(self._running)
            self._served[self._running.visitor] = next(self._turns)
        if self._running is None:
            self._served.clear()  # nobody waits: nobody has to be remembered
        self._changed.notify_all()
