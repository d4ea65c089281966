"""What a page is like for people who see badly, or not at all: contrasts as WCAG computes them, and names of controls."""

import os
import re
from pathlib import Path

from playwright.async_api import Page

#: Texts whose contrast with what is behind them is below 4.5 : 1 (3 : 1 for large ones), computed in the browser.
_FAINT = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = (element) => {
    let shown = null;
    for (let at = element; at; at = at.parentElement) {
      const [r, g, b, a] = rgba(getComputedStyle(at).backgroundColor);
      if (a > 0.98) return shown ? shown.map((v, i) => v + [r, g, b][i] * (1 - shown[3])).slice(0, 3) : [r, g, b];
      if (a > 0 && !shown) shown = [r * a, g * a, b * a, a];
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const element of document.querySelectorAll("body *")) {
    const text = [...element.childNodes].filter((n) => n.nodeType === 3).map((n) => n.nodeValue.trim()).join("");
    const box = element.getBoundingClientRect();
    if (!text || box.width < 2 || box.height < 2 || element.closest("svg, .cm-editor, [aria-disabled=true], :disabled, .nicegui-error-popup, #esm-fallback")) continue;
    const style = getComputedStyle(element);
    if (style.visibility !== "visible" || style.clipPath !== "none") continue;
    const [a, b] = [light(rgba(style.color)), light(ground(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const size = parseFloat(style.fontSize);
    const least = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
    if (contrast < least) faint.push(`${text.slice(0, 30)}: ${contrast.toFixed(2)}`);
  }
  return faint;
}"""

#: Controls without a name, ids that are there twice, and headings that skip a level.
_NAMELESS = """() => {
  const wrong = [];
  const named = (e) => e.getAttribute("aria-label") || e.getAttribute("aria-labelledby") || e.labels?.length || e.textContent.trim() || e.title;
  for (const e of document.querySelectorAll("button, a[href], input:not([type=hidden]), select, textarea, [role=textbox]"))
    if (!named(e) && !e.closest("[aria-hidden=true], .cm-editor")) wrong.push(`no name: ${e.outerHTML.slice(0, 80)}`);
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  for (const id of new Set(ids.filter((id, at) => ids.indexOf(id) !== at))) wrong.push(`twice: ${id}`);
  if (document.querySelectorAll("h1").length !== 1) wrong.push("not one h1");
  if (document.querySelectorAll("main:not([role=none])").length !== 1) wrong.push("not one main");
  if (!document.documentElement.lang) wrong.push("no language");
  for (const e of document.querySelectorAll("table")) if (!e.getAttribute("aria-label")) wrong.push("a table without a name");
  return wrong;
}"""


async def faint_texts(page: Page) -> list[str]:
    """Texts that are hard to read, with their contrast."""
    found: list[str] = await page.evaluate(_FAINT)
    return found


async def nameless(page: Page) -> list[str]:
    """What a screen reader could not tell of."""
    found: list[str] = await page.evaluate(_NAMELESS)
    return found


async def overhang(page: Page) -> int:
    """By how many pixels the page is wider than the window."""
    wide: int = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return wide


def album() -> Path | None:
    """Where screenshots are kept, outside the repository; None: nobody asked for them by SCREENSHOTS=folder."""
    asked = os.environ.get("SCREENSHOTS")
    if not asked:
        return None
    Path(asked).mkdir(parents=True, exist_ok=True)
    return Path(asked)


async def take_pictures(page: Page, folder: Path, name: str) -> None:
    """One of the whole page in either scheme."""
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        words = re.sub(r"\W+", "-", f"{name}-{scheme}").strip("-")
        await page.screenshot(path=folder / f"{words}.png", full_page=True)
