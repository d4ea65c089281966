"""The UI as people use it, in a real Chromium, over a real system: each test is something that somebody came to do."""

import re
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.browser.support.arriving import first_sign_in
from tests.browser.support.house import House, fill_in, house, type_yaml
from tests.browser.support.seeing import album, faint_texts, nameless, overhang, take_pictures
from tests.real.support.load import load
from tests.real.support.manager import GOOD

pytestmark = pytest.mark.asyncio(loop_scope="module")
ROUTE = "id: news\npath: /news\nbackends:\n  - {pool: shop-v1, weight: 100}\n"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with house(tmp_path_factory.mktemp("ui")) as found:
        await first_sign_in(found)
        await found.add_user("vera", "viewer")
        yield found


async def test_a_route_is_made_and_its_traffic_is_seen(home: House) -> None:
    """What is wrong is said as it is typed, with its line; what is right is in force, and changes the charts."""
    async with home.person() as page:
        await page.goto(f"{home.url}/routes")
        await page.get_by_role("button", name="New route").click()
        await expect(page.get_by_role("heading", name="New route")).to_be_visible()
        await type_yaml(page, ROUTE.replace("shop-v1", "nowhere"))
        fault = page.get_by_role("alert")
        await expect(fault).to_contain_text("nowhere")
        await expect(fault).to_contain_text("line 4")
        await page.get_by_role("button", name="Save").click()
        await expect(fault).to_contain_text("fault to mend")
        await type_yaml(page, ROUTE)
        await expect(fault).to_have_count(0)
        await page.get_by_label("Why").fill("news for everybody")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("heading", name="news", exact=True)).to_be_visible()

        async with load(home.system.port, path="/news", connections=3, pause=0.01) as tally:
            await tally.more(20)
            await page.goto(f"{home.url}/routes?q=news")
            served = page.locator("#row-news td[data-label=Requests]")
            await expect(served).to_have_text(re.compile(r"[1-9][\d.]*k?/s"))
            await page.goto(f"{home.url}/")
            await expect(page.locator(".figure").first).to_contain_text(re.compile(r"[1-9]"))
            await expect(page.locator(".chart svg path[stroke-width='1.8']").first).to_have_attribute(
                "d", re.compile("L")
            )
            await expect(page.locator(".topology")).to_contain_text(re.compile(r"[1-9][\d.]*k?/s"))


async def test_a_request_is_explained(home: House) -> None:
    async with home.person() as page:
        await page.goto(f"{home.url}/routes/shop")
        await page.get_by_label("URL").fill(f"http://web.test:{home.system.port}/shop/1")
        await page.get_by_role("button", name="Where does it go?").click()
        await expect(page.locator(".steps")).to_contain_text('route "shop"')
        await page.get_by_label("URL").fill("nonsense")
        await page.get_by_role("button", name="Where does it go?").click()
        await expect(page.get_by_role("alert")).to_contain_text("This is no request")


async def test_what_a_part_refuses_is_explained(home: House) -> None:
    """The document is sound, and the NLB cannot do it: it says so, and all stays as it was."""
    listener = f"name: taken\naddress: 127.0.0.1:{home.manager.port}\nprotocol: http\nmodule: alb\n"
    async with home.person() as page:
        await page.goto(f"{home.url}/listeners/new")
        await expect(page.locator(".cm-content")).to_be_visible()
        await type_yaml(page, listener)
        await page.get_by_role("button", name="Save").click()
        panel = page.get_by_role("alert")
        await expect(panel).to_contain_text(re.compile("Refused by"))
        await expect(panel).to_contain_text(str(home.manager.port))
        await page.goto(f"{home.url}/listeners")
        await expect(page.locator("#row-web")).to_be_visible()
        await expect(page.locator("#row-taken")).to_have_count(0)


async def test_a_canary_is_promoted(home: House) -> None:
    async with (
        home.person() as page,
        load(home.system.port, path="/shop", connections=4, pause=0.01) as tally,
    ):
        await tally.more(20)
        await page.goto(f"{home.url}/rollouts")
        await page.get_by_role("link", name="shop", exact=True).click()
        await expect(page.get_by_role("heading", name="Side by side")).to_be_visible()
        await page.get_by_label("Steps, in percent").fill("50, 100")
        await page.get_by_label("Seconds for each").fill("1")
        await page.get_by_label("Requests at least").fill("5")
        await page.get_by_role("button", name="Promote").click()
        question = page.get_by_role("dialog")
        await expect(question).to_contain_text("v2 gets 50 %, 100 %")
        await question.get_by_role("button", name="Promote").click()
        await expect(page.locator(".main")).to_contain_text("promoted", timeout=40_000)
        await page.goto(f"{home.url}/revisions")  # which looks again by itself
        await expect(page.locator("tbody")).to_contain_text("rollout", timeout=30_000)
        await expect(page.locator("tbody tr").first).to_contain_text("in force")
        tally.clear()
        await tally.more(40)
        assert tally.share("green") == 100, tally.answers


async def test_a_revision_is_restored(home: House) -> None:
    async with home.person() as page:
        await page.goto(f"{home.url}/revisions/1")
        await page.get_by_role("button", name="What would change?").click()
        await expect(page.get_by_text("Nothing has been changed yet")).to_be_visible()
        await page.get_by_role("button", name="Restore").click()
        await expect(page.get_by_text(re.compile(r"Revision \d+ is in force"))).to_be_visible()
        await page.goto(f"{home.url}/activity?show=audit")
        await expect(page.locator("tbody")).to_contain_text("revisions.restore")


async def test_an_instance_is_drained_and_gets_traffic_again(home: House) -> None:
    async with home.person() as page:
        await page.goto(f"{home.url}/modules")
        row = page.locator("#row-alb-1")
        await row.get_by_role("button", name="Drain alb-1").click()
        question = page.get_by_role("dialog")
        await expect(question).to_contain_text("the only one of its kind")
        await page.keyboard.press("Escape")
        await expect(question).to_have_count(0)
        await row.get_by_role("button", name="Drain alb-1").click()
        await question.get_by_role("button", name="Drain").click()
        await expect(row).to_contain_text("draining")
        await row.get_by_role("button", name="Undrain alb-1").click()
        await expect(row).to_contain_text("healthy")


async def test_a_viewer_changes_nothing(home: House) -> None:
    """Buttons say why they cannot be pressed; who makes them pressable is refused by the server, and on record."""
    async with home.person("vera") as page:
        await page.goto(f"{home.url}/routes/shop")
        save = page.get_by_role("button", name="Save")
        await expect(save).to_have_attribute("aria-disabled", "true")
        await expect(save).to_have_attribute("title", "This takes the role operator; you are viewer.")
        await expect(page.locator(".cm-content")).to_have_attribute("contenteditable", "false")
        await page.goto(f"{home.url}/users")
        await expect(page.get_by_text("Users are the admins' business")).to_be_visible()
        await page.goto(f"{home.url}/modules")
        drain = page.get_by_role("button", name="Drain alb-1")
        await expect(drain).to_have_attribute("aria-disabled", "true")
        await drain.evaluate("(button) => { button.removeAttribute('aria-disabled'); button.click(); }")
        await page.get_by_role("dialog").get_by_role("button", name="Drain").click()
        await expect(page.get_by_role("alert")).to_contain_text("this takes the role operator")
    async with home.person() as page:
        await page.goto(f"{home.url}/activity?show=audit&who=vera")
        await expect(page.locator("tbody")).to_contain_text("denied")


async def test_keys_take_one_everywhere(home: House) -> None:
    async with home.person() as page:
        await page.keyboard.press("/")
        await expect(page.get_by_role("searchbox")).to_be_focused()
        await page.keyboard.type("shop-v")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Search: shop-v")).to_be_visible()
        await expect(page.get_by_role("link", name="shop-v2")).to_be_visible()
        await page.keyboard.press("g")
        await page.keyboard.press("p")
        await expect(page).to_have_url(f"{home.url}/pools")
        await expect(page.locator("#row-shop-v2")).to_be_visible()
        await page.keyboard.press("/")
        await page.keyboard.type("v2")
        await expect(page.locator("tbody tr")).to_have_count(1)
        await page.keyboard.press("Escape")
        assert await page.evaluate("document.activeElement === document.body")
        await page.keyboard.press("Tab")
        ring = "getComputedStyle(document.activeElement).outlineStyle"
        assert await page.evaluate(ring) == "solid"


async def test_colours_are_chosen_and_stay(home: House) -> None:
    async with home.person(color_scheme="dark") as page:
        root, button = page.locator("html"), page.get_by_role("button", name="Colours")
        await expect(button).to_have_accessible_name("Colours: auto")
        await button.click()
        await expect(button).to_have_accessible_name("Colours: light")
        await page.goto(f"{home.url}/routes/shop")
        await expect(root).to_have_attribute("data-scheme", "light")
        await expect(page.locator(".cm-editor")).to_have_css("background-color", "rgb(255, 255, 255)")
        await button.click()
        await expect(root).to_have_attribute("data-scheme", "dark")
        await expect(page.locator(".cm-editor")).to_have_css("background-color", "rgb(30, 30, 30)")


async def test_a_key_is_shown_once(home: House) -> None:
    async with home.person() as page:
        await page.goto(f"{home.url}/keys")
        await page.get_by_label("Name").fill("deploy")
        await page.get_by_role("button", name="Make it").click()
        secret = page.locator(".secret")
        await expect(secret).to_have_text(re.compile(r"^mp_\S{30,}"))
        text = await secret.inner_text()
        await page.reload()
        await expect(page.locator("tbody")).to_contain_text("deploy")
        assert text not in await page.content()


async def test_an_address_that_no_page_has(home: House) -> None:
    async with home.stranger() as page:
        answer = await page.goto(f"{home.url}/nowhere/at/all")
        assert answer is not None
        assert answer.status == 404
        await expect(page.get_by_role("heading", name="Not found")).to_be_visible()


async def test_a_page_leaves_with_its_session(home: House) -> None:
    """The session ends in one window; another one of the same browser notices by itself, and knows where it was."""
    async with home.person() as page:
        other = await page.context.new_page()
        await other.goto(f"{home.url}/modules")
        await expect(other.locator("#row-alb-1")).to_be_visible()
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        await expect(other.get_by_role("heading", name="Sign in")).to_be_visible()
        await fill_in(other, "admin", GOOD)
        await expect(other.get_by_role("heading", name="Modules")).to_be_visible()


async def test_figures_that_are_old_are_said_to_be(home: House) -> None:
    """The NLB hangs: what was seen last stays, under a banner that says how old it is."""
    process = home.system.nlb.process
    assert process is not None
    async with home.person() as page:
        process.send(signal.SIGSTOP)
        try:
            await expect(page.get_by_text("Not up to date.")).to_be_visible(timeout=40_000)
            await expect(page.locator(".topology")).to_contain_text("shop-v1")
        finally:
            process.send(signal.SIGCONT)
        await expect(page.get_by_text("Not up to date.")).to_have_count(0)


#: Every page, also those of what is not there.
TRAFFIC = (
    "/", "/listeners", "/listeners/web", "/routes", "/routes/shop", "/routes/new", "/routes/gone", "/pools", "/pools/shop-v1",
    "/rollouts", "/rollouts/route/shop", "/limits", "/limits/shop-limit",
)  # fmt: skip
BESIDE = (
    "/modules", "/modules/alb-1", "/modules/gone", "/scaling", "/revisions", "/revisions/2", "/revisions/999",
    "/revisions/document", "/activity", "/activity?show=audit", "/users", "/keys", "/settings", "/search", "/search?q=shop", "/sign-in", "/password", "/nowhere",
)  # fmt: skip
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1440, "height": 900}


@pytest.mark.parametrize("addresses", [TRAFFIC, BESIDE], ids=["traffic", "beside"])
async def test_every_page_can_be_read_in_every_light_and_width(
    home: House, addresses: tuple[str, ...]
) -> None:
    """Contrast, names of controls, and nothing wider than a phone; `make screenshots` keeps a picture of each."""
    folder = album()
    wrong: dict[str, list[str]] = {}
    async with home.person(viewport=DESK) as page:
        for address in addresses:
            await page.goto(f"{home.url}{address}")
            await expect(page.locator("h1")).to_be_visible()
            wrong[address] = await nameless(page)
            for scheme in ("light", "dark"):
                await page.emulate_media(color_scheme=scheme)
                wrong[address] += [f"{scheme}: {text}" for text in await faint_texts(page)]
            for width, size in (("desktop", DESK), ("phone", PHONE)):
                await page.set_viewport_size(size)
                if (over := await overhang(page)) > 0:
                    wrong[address].append(f"{width}: {over} px too wide")
                if folder is not None:
                    await take_pictures(page, folder, f"{address if address != '/' else 'overview'}-{width}")
            await page.set_viewport_size(DESK)
    assert {address: found for address, found in wrong.items() if found} == {}


async def test_on_a_phone_the_pages_are_in_a_drawer(home: House) -> None:
    async with home.person(viewport=PHONE) as page:
        link = page.get_by_role("link", name="Routes")
        await expect(link).to_be_hidden()
        await page.get_by_role("button", name="Pages", exact=True).click()
        await expect(link).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(link).to_be_hidden()
        await expect(page.get_by_role("button", name="Pages", exact=True)).to_be_focused()
        await page.get_by_role("button", name="Pages", exact=True).click()
        await link.click()
        await expect(page.get_by_role("heading", name="Routes")).to_be_visible()
