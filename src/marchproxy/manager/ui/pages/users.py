"""Users: who may sign in, and what each may do. For admins."""

from dataclasses import replace

from markupsafe import Markup
from nicegui import ui
from nicegui.element import Element

from marchproxy.manager.ui.components.badge import Tone, badge
from marchproxy.manager.ui.components.confirm import confirmed
from marchproxy.manager.ui.components.controls import Button, Field, heading
from marchproxy.manager.ui.components.fragment import Fragment
from marchproxy.manager.ui.components.markup import act_button, joined, tag
from marchproxy.manager.ui.components.secret import shown_once
from marchproxy.manager.ui.components.states import empty
from marchproxy.manager.ui.components.table import Column, Row, table
from marchproxy.manager.ui.components.words import ago
from marchproxy.manager.ui.failing import FAILURES, told
from marchproxy.manager.ui.frame import Act, Frame
from marchproxy.manager.ui.shell import page_head
from marchproxy.model.identity import Role, User
from marchproxy.model.revision import Author

_COLUMNS = (Column("Name"), Column("Role"), Column("State"), Column("Signed in"), Column("", "act"))
_FIRST = "It must be changed when signing in with it."
ROLES = {
    Role.VIEWER.value: "viewer: looks",
    Role.OPERATOR.value: "operator: also changes what runs",
    Role.ADMIN.value: "admin: also changes who may",
}


async def build(frame: Frame) -> None:
    """The page."""
    page_head(
        "Users",
        lead="People who may sign in. A viewer looks, an operator changes what runs, an admin also who may.",
    )
    if why := frame.visit.lacks(Role.ADMIN):
        with Element("section").classes("panel"):
            ui.html(empty("Users are the admins' business", why, picture="users"), sanitize=False)
        return
    page = _Users(frame)
    with Element("div").classes("two-thirds"):
        with Element("section").classes("panel"):
            page.list = Fragment(await page.drawn(), on_act=page.act)
        with Element("section").classes("panel"):
            with Element("header"):
                heading("Add a user")
            with Element("div").classes("inside stack"):
                page.form()


def _state(user: User) -> Markup:
    if user.disabled:
        return badge("disabled", Tone.WARN)
    return badge("new password due", Tone.BUSY) if user.must_change else badge("active", Tone.OK)


class _Users:
    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._users = frame.desk.access.users
        self.list: Fragment

    async def drawn(self) -> Markup:
        try:
            users = await self._users.all()
        except FAILURES as error:
            return told(error)
        return table(_COLUMNS, [self._row(user) for user in users], label="Users")

    def form(self) -> None:
        name = Field("Name")
        role = Field("Role", Role.VIEWER.value, choices=ROLES)

        async def add() -> None:
            found = await self._frame.perform(
                self._act("create", name.value.strip()),
                lambda _: self._users.add(name.value.strip(), Role(role.value)),
            )
            if found is not None:
                user, password = found
                secret.show(
                    shown_once(
                        f"The first password of {user.name}",
                        password,
                        _FIRST,
                    )
                )
                name.put("")
                self.list.show(await self.drawn())

        Button("Add", add, kind="primary")
        secret = Fragment(Markup())
        self._secret = secret

    async def act(self, verb: str, name: str) -> None:
        match verb:
            case "enable" | "disable":
                act = replace(self._act("update", name, "Done."), detail=f"{verb}d")
                await self._frame.perform(act, lambda _: self._users.change(name, disabled=verb == "disable"))
            case "reset":
                await self._reset(name)
            case "remove":
                await self._remove(name)
            case _ if verb in ROLES:
                act = replace(self._act("update", name, f"{name} is {verb} now."), detail=f"role {verb}")
                await self._frame.perform(act, lambda _: self._users.change(name, role=Role(verb)))
        self.list.show(await self.drawn())

    async def _reset(self, name: str) -> None:
        text = tag("p", "The present one ends, and all sessions with it.")
        if not await confirmed(f"New password for {name}?", text, verb="Reset"):
            return
        act = self._act("password", name)
        password = await self._frame.perform(act, lambda _: self._users.reset_password(name))
        if password is not None:
            self._secret.show(shown_once(f"The new password of {name}", password, _FIRST))

    async def _remove(self, name: str) -> None:
        text = tag("p", "With all sessions and API keys. What was done by this name stays on record.")
        if not await confirmed(f"Remove {name}?", text, verb="Remove", danger=True):
            return

        async def remove(_: Author) -> bool:
            await self._users.remove(name)
            return True

        await self._frame.perform(self._act("delete", name, f"{name} is removed."), remove)

    def _act(self, verb: str, name: str, done: str = "") -> Act:
        return Act(f"users.{verb}", f"users/{name}", Role.ADMIN, "users:write", done)

    def _row(self, user: User) -> Row:
        others = [role for role in Role if role is not user.role]
        buttons = joined(
            *[act_button(f"Make {role.value}", role.value, user.name, kind="slim plain") for role in others],
            act_button(
                "Enable" if user.disabled else "Disable",
                "enable" if user.disabled else "disable",
                user.name,
                kind="slim plain",
            ),
            act_button("Reset password", "reset", user.name, kind="slim plain"),
            act_button("Remove", "remove", user.name, kind="slim plain danger"),
        )
        name = tag("span", user.name, class_="name")
        return Row(
            user.name,
            (
                name,
                user.role.value,
                _state(user),
                ago(user.last_login),
                tag("span", buttons, class_="row buttons"),
            ),
        )
