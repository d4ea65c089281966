import pytest

from marchproxy.cli.managed.top.frame import Page, Scene, lines, rows_of, screen, table
from marchproxy.cli.screen import Sheet, columns
from tests.unit.cli.managed.seen import live, part

URL = "http://127.0.0.1:8000"


def words(scene: Scene, width: int = 100) -> str:
    return "\n".join(line.plain for line in lines(scene, width))


def test_everything_is_on_one_page() -> None:
    shown = words(Scene(live(), URL))
    for said in (
        "MarchProxy  http://127.0.0.1:8000  revision 7 by ann",
        "1.25k req/s  1.0 % errors  p99 4.2 ms  3 open  in 2 KiB/s  out 0 B/s",
        "nlb-1 healthy   1 of 2 instances run another revision",
        "web       127.0.0.1:8000  http  envoy",
        "alb-2     alb   v1       degraded, draining, behind",
        "shop-v1  v1       2 of 3",
        "route shop  v2       ramping at 25 %  started",
        "03:04:05  alb     1 → 2      cpu 90 % of 60 %  started",
    ):
        assert said in shown
    assert shown.index("\nbusy ") < shown.index("\nshop ")  # the busiest first


@pytest.mark.parametrize("width", [20, 40, 80, 81, 200])
@pytest.mark.parametrize("page", list(Page))
def test_no_line_is_wider_than_the_screen(page: Page, width: int) -> None:
    view = live(
        parts=[part("an-instance-with-a-long-name-日本-" * 4, health="unhealthy", silent="no answer")]
    )
    scene = Scene(view, "https://a-manager-far-away.example:8000" * 3, page)
    shown = screen(scene, width, 24)
    assert len(shown) == 24
    assert max(line.cell_len for line in shown) <= width
    assert max(line.cell_len for line in lines(scene, width)) <= width


def test_words_are_cut_before_numbers() -> None:
    sheet = Sheet("T", columns("name", "#figure"), [("a-name-that-is-long", "123456")])
    assert [line.plain for line in table(sheet, 16)] == ["T", "name      figure", "a-name-…  123456"]


def test_what_is_old_or_away_is_told() -> None:
    assert "no NLB has answered for 9 s: what is shown is old" in words(Scene(live(age=9.0), URL))
    assert "no NLB has answered yet" in words(Scene(live(at=None, nlbs=[]), URL))
    assert "nobody answers" in words(Scene(live(), URL, failure="nobody answers"))
    assert "nlb-1 silent" in words(Scene(live(nlbs=[{**live()["nlbs"][0], "failure": "refused"}]), URL))


def test_an_empty_system_says_so() -> None:
    empty = live(head=None, parts=[], listeners=[], routes={}, pools={}, rollouts=[], scaling=[])
    shown = words(Scene(empty, URL))
    for said in ("no module has registered", "none is asked for at present", "nothing is scaled"):
        assert said in shown


def test_one_scrolls_to_the_end_and_no_further() -> None:
    view = live(parts=[part(f"alb-{number}") for number in range(50)])
    scene = Scene(view, URL, Page.INSTANCES)
    length, room = rows_of(scene, 80, 24)
    assert (length, room) == (52, 19)
    first = screen(scene, 80, 24)
    assert first[4].plain == "Instances"
    assert first[-1].plain.endswith("1-19 of 52")
    last = screen(Scene(view, URL, Page.INSTANCES, first=999), 80, 24)
    assert last[-2].plain.startswith("alb-49")
    assert last[-1].plain.endswith("34-52 of 52")


def test_pages_go_round() -> None:
    assert Page.ALL.beside(-1) is Page.SCALING
    assert Page.SCALING.beside(1) is Page.ALL
