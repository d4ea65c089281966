"""API keys: what programs show in place of a password. One's own; all of them, for an admin."""

from datetime import timedelta

from markupsafe import Markup
from nicegui.element import Element

from marchproxy.manager.access import SCOPES
from marchproxy.manager.ui.components.badge import badge
from marchproxy.manager.ui.components.confirm import confirmed
from marchproxy.manager.ui.components.controls import Button, Field, heading
from marchproxy.manager.ui.components.fragment import Fragment
from marchproxy.manager.ui.components.markup import act_button, tag
from marchproxy.manager.ui.components.secret import shown_once
from marchproxy.manager.ui.components.states import empty
from marchproxy.manager.ui.components.table import Column, Row, table
from marchproxy.manager.ui.components.words import ago, span
from marchproxy.manager.ui.failing import FAILURES, told
from marchproxy.manager.ui.frame import Act, Frame
from marchproxy.manager.ui.pages.users import ROLES
from marchproxy.manager.ui.shell import page_head
from marchproxy.model.identity import ApiKey, Role
from marchproxy.model.revision import Author

_COLUMNS = (Column("Name"), Column("May"), Column("Owner"), Column("Used"), Column("Ends"), Column("", "act"))
_DAYS = {"30": "30 days", "90": "90 days", "365": "a year", "": "never"}


async def build(frame: Frame) -> None:
    """The page."""
    page_head(
        "API keys",
        lead="For programs. A key never may more than its owner, and is shown once, when it is made.",
    )
    page = _Keys(frame)
    with Element("div").classes("two-thirds"):
        with Element("section").classes("panel"):
            page.list = Fragment(await page.drawn(), on_act=page.act)
        with Element("section").classes("panel"):
            with Element("header"):
                heading("Make a key")
            with Element("div").classes("inside stack"):
                page.form()


class _Keys:
    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._keys = frame.desk.access.keys
        self.list: Fragment

    async def drawn(self) -> Markup:
        try:
            keys = await self._keys.seen_by(await self._frame.visit.again())
        except FAILURES as error:
            return told(error)
        if not keys:
            text = (
                "A program shows its key as `Authorization: Bearer mp_…`; the section “Make a key” makes one."
            )
            return empty("No keys", text, picture="keys")
        return table(_COLUMNS, [self._row(key) for key in keys], label="API keys")

    def form(self) -> None:
        mine = self._frame.visit.principal.role
        name = Field("Name", hint="What it is for.")
        roles = {role: words for role, words in ROLES.items() if Role(role) <= mine}
        role = Field("Role", Role.VIEWER.value, choices=roles)
        known = [scope for scope, least in SCOPES.items() if scope != "session" and least <= mine]
        scopes = Field(
            "Only for",
            kind="area",
            hint=f"Empty: all that its role may. Otherwise some of {', '.join(known)}.",
        )
        days = Field("Ends after", "90", choices=_DAYS)

        async def make(_: Author) -> tuple[ApiKey, str]:
            principal = await self._frame.visit.again()
            ends = self._frame.desk.clock.now() + timedelta(days=int(days.value)) if days.value else None
            wanted = tuple(scopes.value.replace(",", " ").split())
            return await self._keys.make(
                principal, name.value.strip(), Role(role.value), scopes=wanted, expires_at=ends
            )

        async def pressed() -> None:
            found = await self._frame.perform(self._act("create", ""), make)
            if found is not None:
                key, text = found
                secret.show(
                    shown_once(
                        f"The key {key.name}",
                        text,
                        "Keep it where the program finds it and nobody else does.",
                    )
                )
                name.put("")
                self.list.show(await self.drawn())

        Button("Make it", pressed, kind="primary")
        secret = Fragment(Markup())

    async def act(self, verb: str, key_id: str) -> None:
        if verb != "remove" or not await confirmed(
            "End this key?",
            tag("p", "Programs that show it are refused from now on."),
            verb="End it",
            danger=True,
        ):
            return

        async def remove(_: Author) -> bool:
            await self._keys.remove(await self._frame.visit.again(), key_id)
            return True

        await self._frame.perform(self._act("delete", key_id, "It is ended."), remove)
        self.list.show(await self.drawn())

    def _act(self, verb: str, name: str, done: str = "") -> Act:
        return Act(f"keys.{verb}", f"api-keys/{name}".rstrip("/"), Role.VIEWER, "keys:write", done)

    def _row(self, key: ApiKey) -> Row:
        now = self._frame.desk.clock.now()
        may = tag(
            "span", key.role.value, tag("span", ", ".join(key.scopes), class_="sub") if key.scopes else None
        )
        if key.expires_at is None:
            ends: Markup = tag("span", "never", class_="quiet")
        elif key.expires_at <= now:
            ends = badge("expired")
        else:
            ends = tag(
                "span",
                f"in {span((key.expires_at - now).total_seconds())}",
                title=f"{key.expires_at:%Y-%m-%d %H:%M} UTC",
            )
        name = tag(
            "span", tag("span", key.name, class_="name"), tag("span", tag("code", key.id), class_="sub")
        )
        return Row(
            key.id,
            (
                name,
                may,
                key.owner,
                ago(key.last_used),
                ends,
                act_button("End", "remove", key.id, kind="slim danger"),
            ),
        )
