"""The picture: what is drawn of a view, and where."""

import re
from xml.etree import ElementTree as ET

import pytest

from marchproxy.manager.ui.components.badge import Tone
from marchproxy.manager.ui.topology import drawing, picture
from marchproxy.manager.ui.topology.picture import MOST
from marchproxy.manager.watching import EndpointView, ListenerView, LiveView, PartView, PoolView, Rates
from marchproxy.model.module import HealthStatus, ModuleType

HEALTHY, ILL = HealthStatus.HEALTHY, HealthStatus.UNHEALTHY


def listener(name, module="alb", **more):
    return ListenerView(name=name, address="0.0.0.0:80", protocol="http", module_type=module, **more)


def part(name, kind=ModuleType.ALB, version="v1", health=HEALTHY, **more):
    return PartView(id=name, kind=kind, version=version, address="10.0.0.1:1", health=health, **more)


def pool(name, *healths, requests=0.0, instances=("alb-1",)):
    endpoints = tuple(EndpointView(f"10.0.0.{number}:1", health) for number, health in enumerate(healths))
    return PoolView(
        name=name, version="v1", stats=Rates(requests=requests), endpoints=endpoints, instances=instances
    )


def view(listeners=(), parts=(), pools=()):
    return LiveView(listeners=tuple(listeners), parts=tuple(parts), pools={one.name: one for one in pools})


SEEN = view(
    [
        listener("web", weights={"v1": 90, "v2": 10}, accepted=50.0),
        listener("db", "dblb", weights={"v1": 100}),
    ],
    [part("alb-1"), part("alb-2", version="v2"), part("dblb-1", ModuleType.DBLB)],
    [pool("shop", HEALTHY, ILL, requests=30.0, instances=("alb-1", "alb-2")), pool("dead", ILL)],
)


def test_what_flows_is_divided_by_weights_and_by_instances():
    links = {(link.source, link.target): (link.flow, link.label) for link in picture(SEEN).links}
    assert links == {
        ("listener:web", "module:alb:v1"): (45.0, "90 %"),
        ("listener:web", "module:alb:v2"): (5.0, "10 %"),
        ("listener:db", "module:dblb:v1"): (0.0, ""),
        ("module:alb:v1", "pool:shop"): (15.0, ""),
        ("module:alb:v2", "pool:shop"): (15.0, ""),
        ("module:alb:v1", "pool:dead"): (0.0, ""),
    }


@pytest.mark.parametrize(
    ("seen", "tones"),
    [
        (view(parts=[part("a"), part("b")]), [Tone.OK]),
        (view(parts=[part("a"), part("b", health=ILL)]), [Tone.WARN]),
        (view(parts=[part("a"), part("b", draining=True)]), [Tone.WARN]),
        (view(parts=[part("a", health=ILL)]), [Tone.BAD]),
        (view(pools=[pool("p", HEALTHY, None)]), [Tone.OK]),
        (view(pools=[pool("p", HEALTHY, ILL)]), [Tone.WARN]),
        (view(pools=[pool("p", ILL)]), [Tone.BAD]),
        (view(pools=[pool("p")]), [Tone.NONE]),
        (view([listener("web", failed=0.5)]), [Tone.WARN]),
        (view(), []),
    ],
)
def test_how_well_each_is(seen, tones):
    assert [node.tone for node in picture(seen).nodes] == tones


def test_of_many_the_busiest_are_shown_in_their_order():
    many = picture(view(pools=[pool(f"p{number}", HEALTHY, requests=float(number)) for number in range(100)]))
    names = [node.lines[0] for node in many.nodes]
    assert names == [*(f"p{number}" for number in range(101 - MOST, 100)), f"{101 - MOST} more pools"]


def test_modules_stand_as_the_listeners_that_lead_to_them():
    seen = view(
        [listener("db", "dblb", weights={"v1": 100}), listener("web", weights={"v1": 100})],
        [part("alb-1"), part("dblb-1", ModuleType.DBLB)],
    )
    assert [node.lines[0] for node in picture(seen).nodes if node.column == 1] == ["DBLB v1", "ALB v1"]


def test_the_drawing_is_sound_and_nothing_in_it_overlaps():
    made = drawing(picture(SEEN))
    svg = ET.fromstring(re.search(r"<svg.*</svg>", made)[0])
    boxes = [rect.attrib for rect in svg.iter("rect") if "box" in rect.get("class", "")]
    places = [tuple(int(box[name]) for name in ("x", "y", "width", "height")) for box in boxes]
    height = int(svg.get("viewBox").split()[3])
    assert len(places) == 7
    assert all(y + h <= height for _, y, _, h in places)
    for index, (x, y, _, h) in enumerate(places):
        assert not any(x == x2 and y < y2 + h2 and y2 < y + h for x2, y2, _, h2 in places[:index])


def test_names_are_escaped_and_short():
    made = drawing(picture(view([listener("<b>" * 30)])))
    assert "<b>" not in made
    assert "…" in made


def test_nothing_is_drawn_of_nothing():
    assert picture(view()).nodes == ()
    assert "<svg" in drawing(picture(view()))
