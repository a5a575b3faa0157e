"""The breaker: who asks, who waits and who is refused, by a clock that the tests turn."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from spi_dash.breaker import PAUSE_S, SLOW_S, Breaker
from spi_dash.errors import NotFound, Unavailable


class Away(Unavailable):
    pass


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def breaker(clock):
    return Breaker("the store", threads=4, still_s=3, clock=clock)


def fail(breaker, clock, after_s):
    with pytest.raises(Away), breaker.call(Away):
        clock.now += after_s
        raise Away("gone")


def ask(breaker):
    with breaker.call(Away):
        return True


def test_a_call_whose_time_was_up_spares_others_the_wait(breaker, clock):
    fail(breaker, clock, SLOW_S)
    with pytest.raises(Unavailable, match="the store does not answer") as refusal:
        ask(breaker)
    assert refusal.value.details["retry_after_s"] > 0
    clock.now += PAUSE_S
    assert ask(breaker) and ask(breaker)


def test_quick_failures_and_refusals_are_no_hanging(breaker, clock):
    for _ in range(10):
        fail(breaker, clock, SLOW_S / 2)
    with pytest.raises(NotFound), breaker.call(Away):
        clock.now += 100
        raise NotFound("it answers")
    assert ask(breaker)


def test_one_tries_and_the_others_are_refused_meanwhile(breaker, clock):
    fail(breaker, clock, SLOW_S)
    clock.now += PAUSE_S
    with ThreadPoolExecutor(1) as pool:
        with breaker.call(Away), pytest.raises(Unavailable):
            pool.submit(ask, breaker).result()
        assert pool.submit(ask, breaker).result()


def test_a_trial_that_fails_begins_another_pause(breaker, clock):
    fail(breaker, clock, SLOW_S)
    clock.now += PAUSE_S
    fail(breaker, clock, 0)
    with pytest.raises(Unavailable):
        ask(breaker)


def test_one_broken_connection_of_many_closes_nothing(breaker, clock):
    with ThreadPoolExecutor(1) as pool, pytest.raises(Away), breaker.call(Away):
        clock.now += SLOW_S
        assert pool.submit(ask, breaker).result()
        raise Away("only this one")
    assert ask(breaker)


def hold(breaker, inside, go_on):
    with breaker.call(Away):
        inside.set()
        go_on.wait(20)


def test_some_threads_stay_free_when_nothing_answers(breaker, clock):
    """Of four threads two may wait for it; the third is refused once nothing has come for a while."""
    go_on = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        try:
            holders = []
            for _ in range(2):
                inside = threading.Event()
                holders.append(pool.submit(hold, breaker, inside, go_on))
                assert inside.wait(20)
            clock.now += 3
            with pytest.raises(Unavailable):
                ask(breaker)
        finally:
            go_on.set()
        for holder in holders:
            holder.result()
    assert ask(breaker)


def test_who_finds_no_place_waits_while_answers_come(breaker):
    """Slow, but at work: eight threads share the two places, and nobody is refused."""
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda _: ask(breaker), range(400)))


def test_a_call_in_a_call_takes_no_second_place():
    breaker = Breaker("the store", threads=1)
    with breaker.call(Away) as outer, breaker.call(Away) as inner:
        assert inner is outer
    assert ask(breaker)


def test_an_answer_that_is_read_slowly_takes_no_place(clock):
    breaker = Breaker("the store", threads=1, clock=clock)
    with ThreadPoolExecutor(1) as pool, breaker.call(Away):
        breaker.answered()
        clock.now += 100
        assert pool.submit(ask, breaker).result()


def test_who_waits_for_files_does_not_wait_for_rows(clock):
    """An upload holds its transaction open while the storage hangs: the database is not what does not answer."""
    rows = Breaker("the database", threads=3, still_s=5, clock=clock)
    files = Breaker("the store", threads=3, still_s=9, clock=clock, before=rows)
    inside, go_on = threading.Event(), threading.Event()

    def upload():
        with rows.call(Away), files.call(Away):
            inside.set()
            assert go_on.wait(20)

    with ThreadPoolExecutor(1) as pool:
        uploading = pool.submit(upload)
        assert inside.wait(20)
        clock.now += 6
        assert ask(rows)
        go_on.set()
        uploading.result()
    assert ask(rows) and ask(files)
