"""Visit: who looks at a page, and what he may do. It is asked again before anything is done."""

from dataclasses import dataclass

from starlette.requests import Request

from marchproxy.manager.access import PasswordChangeNeeded, Unauthenticated
from marchproxy.manager.access.http import cookie_names, where
from marchproxy.manager.desk import Desk
from marchproxy.model.identity import Principal, Role


@dataclass(frozen=True, slots=True)
class Visit:
    """One page that is open. `principal` is who it was when it was opened."""

    desk: Desk
    principal: Principal
    token: str
    address: str

    def __repr__(self) -> str:
        return f"Visit({self.principal.name!r})"

    def lacks(self, role: Role) -> str:
        """Why the visitor may not do what takes a role; empty: he may."""
        mine = self.principal.role
        return "" if mine >= role else f"This takes the role {role.value}; you are {mine.value}."

    async def again(self) -> Principal:
        """Who it is now. Raises Unauthenticated, PasswordChangeNeeded and StoreUnavailable."""
        principal = await self.desk.access.who(cookie=self.token)
        if principal.must_change:
            raise PasswordChangeNeeded
        if principal.name != self.principal.name:
            raise Unauthenticated("somebody else has signed in here")
        return principal


async def visit_of(request: Request, desk: Desk) -> Visit:
    """Who asks for a page. Raises Unauthenticated and StoreUnavailable."""
    name, _ = cookie_names(secure=desk.settings.secure)
    token = request.cookies.get(name)
    principal = await desk.access.who(cookie=token)
    return Visit(desk, principal, token or "", where(request))
