"""A stream for an origin that is above its bitrate for too long."""

from marchproxy.model.rtmp import StreamLimits
from marchproxy.modules.rtmp.policy import ceiling
from marchproxy.modules.rtmp.session.roles import Action
from marchproxy.wire.rtmp.answers import Code
from tests.unit.modules.rtmp.balancing.crafted import balancing, eventually
from tests.unit.modules.rtmp.streams.crafted import BEGINNING, inter, key


async def test_it_ends(monkeypatch):
    monkeypatch.setattr(ceiling, "PATIENCE_SECONDS", 0.0)
    async with balancing("serve") as rig:
        rig.use(*rig.origins, limits=StreamLimits(bitrate=1))
        publisher = rig.comes(Action.PUBLISH)
        await publisher.is_told(Code.PUBLISH_START)
        publisher.says(*BEGINNING, key(0))
        at_origin = await rig.home().one(Action.PUBLISH)
        rig.hall.sweep()
        publisher.says(inter(500, bytes(1_000_000)))

        def is_closed():
            rig.hall.sweep()
            return publisher.client.closed

        await eventually(is_closed)
        assert publisher.client.closed == "bitrate"
        assert publisher.client.codes() == [Code.UNPUBLISHED]
        await eventually(lambda: at_origin.has_ended)
        assert rig.hall.streams() == ()
