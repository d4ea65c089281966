"""A secret that is shown once: a first password, an API key. Pure."""

from markupsafe import Markup

from marchproxy.manager.ui.components.icons import icon
from marchproxy.manager.ui.components.markup import tag


def shown_once(title: str, secret: str, words: str) -> Markup:
    """The secret, which nobody can be told again."""
    copy = tag("button", "Copy", type="button", class_="button slim", data_do="copy", data_text=secret)
    box = tag(
        "div", tag("span", secret, class_="secret", tabindex="0"), copy, class_="row", style="margin:6px 0"
    )
    said = tag("div", tag("strong", f"{title}, shown this once"), box, tag("p", words))
    return tag("div", icon("keys"), said, class_="banner ok", role="status")
