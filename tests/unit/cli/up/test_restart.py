from marchproxy.cli.up.restart import Deaths


def pauses(lives: list[float]) -> list[float]:
    deaths, found = Deaths(), []
    for lived in lives:
        deaths, pause = deaths.another(lived=lived, roll=0.5)
        found.append(pause)
    return found


def test_the_first_time_at_once_then_with_backoff():
    assert pauses([1.0] * 5) == [0.0, 0.5, 1.0, 2.0, 4.0]


def test_the_pause_has_a_bound():
    assert max(pauses([0.1] * 50)) == 15.0


def test_a_long_life_makes_good_for_everything_before():
    assert pauses([1.0, 1.0, 1.0, 60.0, 1.0]) == [0.0, 0.5, 1.0, 0.0, 0.5]
