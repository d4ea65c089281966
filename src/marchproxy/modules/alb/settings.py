"""Settings of one ALB instance: an entry of `modules` with `type: alb`."""

from typing import Literal

from marchproxy.modules.http.settings import HttpSettings


class AlbSettings(HttpSettings):
    """One instance of the ALB."""

    type: Literal["alb"] = "alb"
