"""The few pictures of the UI, drawn in strokes of the text's colour; the state's shapes among them. Pure."""

from markupsafe import Markup

#: The shape that says a state without its colour: a full circle, a triangle, a square, a ring, an empty circle.
SHAPES = {
    "ok": Markup('<circle cx="5" cy="5" r="4.2"/>'),
    "warn": Markup('<path d="M5 .6 9.7 9.2H.3z"/>'),
    "bad": Markup('<rect x="1" y="1" width="8" height="8" rx="1"/>'),
    "busy": Markup('<circle cx="5" cy="5" r="3.4" fill="none" stroke="currentColor" stroke-width="2.2"/>'),
    "none": Markup('<circle cx="5" cy="5" r="3.7" fill="none" stroke="currentColor" stroke-width="1.4"/>'),
}

_STROKES = {
    "overview": Markup('<path d="M2 9.5 8 3l6 6.5M4 8v5.5h8V8"/>'),
    "listeners": Markup('<path d="M2 8h5M7 4v8M10 3.5l4 4.5-4 4.5"/>'),
    "routes": Markup('<path d="M2 4h4l4 8h4M2 12h4l1-2M10 4h4M9 6l1-2"/>'),
    "pools": Markup('<path d="M3 3.5h10v3.5H3zM3 9h10v3.5H3zM5 5.2h.1M5 10.8h.1"/>'),
    "rollouts": Markup('<path d="M2 13c5 0 4-9 12-9M11 2l3 2-2.5 2.6"/>'),
    "limits": Markup('<path d="M2.5 12a6 6 0 1 1 11 0M8 9.5 11 6"/>'),
    "modules": Markup('<path d="M8 1.8 13.5 5v6L8 14.2 2.5 11V5zM2.5 5 8 8.2 13.5 5M8 8.2v6"/>'),
    "scaling": Markup('<path d="M2.5 13.5V9M6.2 13.5V6M9.9 13.5V8M13.5 13.5v-11"/>'),
    "revisions": Markup('<path d="M3 3v3.5h3.5M3.3 6.3A5.5 5.5 0 1 1 2.7 9M8 5v3.2l2.2 1.4"/>'),
    "activity": Markup('<path d="M1.5 8.5h3L6.5 3l3 10 2-4.5h3"/>'),
    "users": Markup(
        '<path d="M8 7.5a2.7 2.7 0 1 0 0-5.4 2.7 2.7 0 0 0 0 5.4zM2.8 14a5.2 5.2 0 0 1 10.4 0"/>'
    ),
    "keys": Markup(
        '<path d="M6.8 9.2 13.5 2.5M11 5l2 2M9.2 6.8l1.4 1.4"/><circle cx="4.8" cy="11.2" r="2.8"/>'
    ),
    "settings": Markup(
        '<path d="M2 4.5h7M12 4.5h2M2 11.5h2M7 11.5h7"/><circle cx="10.5" cy="4.5" r="1.6"/><circle cx="5.5" cy="11.5" r="1.6"/>'
    ),
    "search": Markup('<circle cx="7" cy="7" r="4.5"/><path d="m10.5 10.5 3.5 3.5"/>'),
    "menu": Markup('<path d="M2 4h12M2 8h12M2 12h12"/>'),
    "scheme": Markup(
        '<circle cx="8" cy="8" r="5.7"/><path d="M8 2.3v11.4M8 4.5 11.8 6M8 8h5.5M8 11.2l4-1" />'
    ),
    "alert": Markup('<path d="M8 2 14.5 13.5h-13zM8 6.5v3.2M8 11.6v.1"/>'),
    "stop": Markup('<circle cx="8" cy="8" r="6"/><path d="M8 4.8v3.7M8 11v.1"/>'),
    "done": Markup('<circle cx="8" cy="8" r="6"/><path d="m5.2 8.2 2 2 3.6-4"/>'),
    "out": Markup('<path d="M9.5 2.5h-6v11h6M6.5 8h7.5M11.5 5.5 14 8l-2.5 2.5"/>'),
    "mark": Markup('<path d="M2 12.5 5.5 4 8 10l2.5-6L14 12.5"/>'),
}


def icon(name: str) -> Markup:
    """A picture beside words that say the same, so that who cannot see it misses nothing."""
    return Markup(
        '<svg class="icon" viewBox="0 0 16 16" fill="none" stroke="currentColor" stroke-width="1.6" '
        'stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">{}</svg>'
    ).format(_STROKES[name])


def shape(tone: str) -> Markup:
    """The shape of a state."""
    return Markup('<svg viewBox="0 0 10 10" fill="currentColor" aria-hidden="true">{}</svg>').format(
        SHAPES[tone]
    )
