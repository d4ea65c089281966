from bench.postgres.__main__ import Load, Measured, figures_of, ratios_of
from bench.postgres.pgbench import Transactions


def test_ratios_are_paired_by_rounds_and_told_of_what_was_measured():
    load = Load("simple", 16)

    def rounds(*items):
        return [Measured(Transactions(100, tps, 1.0, 2.0), cpu) for tps, cpu in items]

    found = {
        ("dblb", load): rounds((800, 30), (400, 60), (900, 20)),
        ("pgbouncer", load): rounds((1000, 20), (500, 40), (1000, 20)),
        ("direct", load): rounds((1600, 0), (1600, 0), (1800, 0)),
    }
    ratios = ratios_of(found)
    assert ratios["tps_vs_pgbouncer_simple_16"] == 0.8
    assert ratios["cpu_vs_pgbouncer_simple_16"] == 1.5
    assert ratios["tps_vs_direct_simple_16"] == 0.5
    assert "tps_vs_pgbouncer_simple_200" not in ratios
    assert figures_of(found)["dblb_tps_simple_16"] == 800
