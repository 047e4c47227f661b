"""The queue: one at a time, visitors in turn, limits, and places given up at any stage."""

import threading

import pytest

from espcn_demo.desk import Desk
from espcn_demo.errors import InputError
from espcn_demo.limits import Limits


def order(desk, tickets):
    """Serve everything and return the names in the order of their turns."""
    served = []
    while desk.running:
        current = next(name for name, ticket in tickets.items() if ticket is desk._running)
        served.append(current)
        desk.leave(tickets[current])
    return served


def test_visitors_take_turns():
    desk = Desk(Limits())
    names = ["a1", "a2", "a3", "b1", "b2", "c1"]
    tickets = {name: desk.take(name[0]) for name in names}
    assert [tickets[name].ahead() for name in ("a1", "b1", "c1", "a2")] == [0, 1, 2, 3]
    assert order(desk, tickets) == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_one_runs_at_a_time_and_each_has_its_turn():
    desk, running, most = Desk(Limits(queue=100, jobs_per_visitor=9)), [], []

    def work(visitor):
        with desk.take(visitor) as ticket:
            while not ticket.wait(0.01):
                assert ticket.ahead() >= 0
            running.append(visitor)
            most.append(len(running))
            running.remove(visitor)

    threads = [threading.Thread(target=work, args=(str(number % 7),)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 40
    assert (desk.waiting, desk.running) == (0, 0)


def test_a_place_in_the_queue_can_be_given_up():
    desk = Desk(Limits())
    first, second, third = desk.take("a"), desk.take("b"), desk.take("c")
    desk.leave(second)
    desk.leave(second)
    assert third.ahead() == 1
    desk.leave(first)
    assert third.wait(0)
    assert not second.wait(0)


def test_limits_are_sentences():
    desk = Desk(Limits(queue=2, jobs_per_visitor=2))
    tickets = [desk.take("a"), desk.take("a")]
    with pytest.raises(InputError, match="already have 2 jobs"):
        desk.take("a")
    desk.take("b")
    with pytest.raises(InputError, match="queue is full"):
        desk.take("c")
    desk.leave(tickets[0])
    desk.take("c")
