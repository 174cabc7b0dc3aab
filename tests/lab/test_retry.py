"""What follows when a unit failed, as a table: no process and no folder is needed."""

from preheat.core.run import Run
from preheat.lab.plan import Choice, Unit
from preheat.lab.retry import after

RUNS = tuple(Run(task="quadratic", optimizer="sgd", length=10, seed=seed) for seed in range(3))
FLEET = Unit(RUNS, Choice(3, "traced", 1e-3, 0.0, 100))
ALONE = Unit(RUNS[:1], Choice(1, "eager", 1e-3, 0.0, 100))


def test_a_fleet_is_tried_run_by_run_and_in_halves_where_memory_ran_out():
    each, text = after(FLEET, "boom", 1, memory=False)
    assert [u.runs for u in each] == [(r,) for r in RUNS] and text == "boom"
    assert {(u.choice.size, u.choice.realise) for u in each} == {(1, "eager")}
    two, text = after(FLEET, "boom", 5, memory=True)
    assert [len(u.runs) for u in two] == [2, 1] and "going on with 2 and 1" in text


def test_a_run_alone_is_tried_once_more_and_then_given_up():
    assert after(ALONE, "boom", 1, memory=False) == ((ALONE,), "boom")
    assert after(ALONE, "boom", 2, memory=False) == ((), "boom")
    left, text = after(ALONE, "boom", 2, memory=True)
    assert left == () and "write a smaller batch_size (it is 32) or precision bf16 (boom)" in text
