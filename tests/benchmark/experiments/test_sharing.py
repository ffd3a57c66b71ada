"""How work is shared out where nobody says how."""

from pml_potential.benchmark.experiments.sharing import HEARTBEAT, Sharing


def test_all_of_the_work_is_done_here_by_default() -> None:
    assert Sharing() == Sharing(storage=None, fold_processes=1, heartbeat=HEARTBEAT)
