"""The first admin comes in."""

from playwright.async_api import expect

from tests.browser.support.house import House, fill_in
from tests.real.support.manager import GOOD


async def first_sign_in(home: House) -> None:
    """With the password of the file, which is good for nothing but choosing another one; that one is GOOD."""
    async with home.stranger() as page:
        await page.goto(f"{home.url}/routes?q=shop")
        await fill_in(page, "admin", "a wrong password")
        await expect(page.get_by_role("alert")).to_contain_text("not right")
        await fill_in(page, "admin", home.manager.initial_password)
        await expect(page.get_by_role("heading", name="Choose a password")).to_be_visible()
        await page.goto(f"{home.url}/routes")
        await expect(page).to_have_url(f"{home.url}/password")
        await page.get_by_label("Present password").fill(home.manager.initial_password)
        await page.get_by_label("New password", exact=True).fill(GOOD)
        await page.get_by_label("New password again").fill("something else")
        await page.get_by_role("button", name="Change password").click()
        await expect(page.get_by_role("alert")).to_contain_text("not the same")
        await page.get_by_label("Present password").fill(home.manager.initial_password)
        await page.get_by_label("New password", exact=True).fill(GOOD)
        await page.get_by_label("New password again").fill(GOOD)
        await page.get_by_role("button", name="Change password").click()
        await expect(page.get_by_role("heading", name="Overview")).to_be_visible()
