"""What every store does with audit and events, with certificates and with other things that have a name."""

from dataclasses import replace
from datetime import timedelta

import pytest

from marchproxy.kit.clock import VirtualClock
from marchproxy.model.problem import Refused
from marchproxy.model.record import StartedRollout
from marchproxy.store import Store
from tests.real.support.waiting import until
from tests.store_suite.place import NOW, Place, certificate, entry, event


class RecordSuite:
    async def test_audit(self, store: Store):
        written = [
            await store.write_audit(entry(who, action))
            for who, action in (("ada", "routes.update"), ("bob", "routes.create"), ("ada", "users.remove"))
        ]
        assert [replace(one, id=0) for one in written[:1]] == [entry()]
        assert written[0].id < written[1].id < written[2].id
        assert await store.audit() == tuple(reversed(written))
        assert await store.audit(limit=1) == (written[2],)
        assert await store.audit(before=written[2].id, limit=1) == (written[1],)
        assert await store.audit(who="ada") == (written[2], written[0])
        assert await store.audit(action="routes") == (written[1], written[0])
        assert await store.audit(action="routes.create") == (written[1],)
        assert await store.audit(action="rout") == ()
        assert await store.audit(who="ada", action="routes", before=written[0].id) == ()

    async def test_text_that_postgresql_does_not_take(self, store: Store):
        written = await store.write_audit(entry("a\0da", "routes.update"))
        (kept,) = await store.audit(who="a\0da", action="routes")
        assert kept == replace(written, who="a\ufffdda")
        assert await store.user("a\0da") is None

    async def test_events(self, store: Store):
        written = [
            await store.write_event(event(kind, subject))
            for kind, subject in (
                ("instance.came", "alb-1"),
                ("instance.unhealthy", "alb-2"),
                ("scaling", "alb-1"),
            )
        ]
        assert await store.events() == tuple(reversed(written))
        assert await store.events(kind="instance", limit=1) == (written[1],)
        assert await store.events(kind="scaling") == (written[2],)
        assert await store.events(subject="alb-1", before=written[2].id) == (written[0],)

    @pytest.mark.parametrize("name", ["%", "_", "rout%", "'; drop table audit; --"])
    async def test_a_name_is_no_pattern(self, store: Store, name: str):
        await store.write_audit(entry())
        assert await store.audit(action=name) == ()
        assert await store.audit(who=name) == ()

    async def test_what_is_too_old_or_too_many_goes(self, place: Place):
        async with place.open(clock=VirtualClock(NOW), keep_days=90, keep_rows=5) as store:
            for days in (95, 91, 80, 70, 60, 50, 40, 30):
                await store.write_event(event(at=NOW - timedelta(days=days)))
            for days in (91, 89):
                await store.write_audit(entry(at=NOW - timedelta(days=days)))
            assert await store.prune_records() == 4
            assert [(NOW - one.at).days for one in await store.events()] == [30, 40, 50, 60, 70]
            assert [(NOW - one.at).days for one in await store.audit()] == [89]
            assert await store.prune_records() == 0

    async def test_it_goes_by_itself(self, place: Place):
        clock = VirtualClock(NOW)
        async with place.open(clock=clock, keep_days=1) as store:
            await store.write_audit(entry())
            clock.advance(timedelta(days=2).total_seconds())

            async def gone() -> bool:
                return not await store.audit()

            await until(gone)

    async def test_a_number_of_what_went_is_not_used_again(self, place: Place):
        async with place.open(keep_days=1) as store:
            first = await store.write_event(event(at=NOW - timedelta(days=9999)))
            assert await store.prune_records() == 1
            assert (await store.write_event(event())).id > first.id

    async def test_many_are_pruned(self, place: Place):
        async with place.open(keep_rows=10) as store:
            with place.engine().begin() as connection:
                row = "('2030-01-01 00:00:00.000000+00:00', 'a', 'b', 'c', 'info')"
                insert = "insert into events (at, kind, subject, message, severity) values "
                connection.exec_driver_sql(insert + ", ".join([row] * 5000))
            newest = (await store.events(limit=1))[0].id
            assert await store.prune_records() == 4990
            kept = [one.id for one in await store.events(limit=100)]
            assert kept == list(range(newest, newest - 10, -1))

    async def test_certificates(self, place: Place, store: Store):
        shop, other = certificate(), certificate("other")
        await store.put_certificate(shop)
        await store.put_certificate(other)
        newer = replace(shop, chain_pem=b"new chain", key_pem=b"new key", by="bob")
        await store.put_certificate(newer)
        assert await store.certificate("shop") == newer
        assert await store.certificate("none") is None
        assert await store.certificates() == (other, newer)
        kept = [bytes(value) for value in place.values("select key_pem from certificates")]
        assert not any(b"new key" in value or b"PRIVATE" in value for value in kept)
        await store.remove_certificate("shop")
        with pytest.raises(Refused, match="shop does not exist"):
            await store.remove_certificate("shop")
        assert await store.certificates() == (other,)

    async def test_started_rollouts(self, store: Store):
        first = StartedRollout("one", "shop", "v2", "ada", NOW)
        second = StartedRollout("two", "cart", "v3", "bob", NOW + timedelta(minutes=1))
        await store.put_started_rollout(second)
        await store.put_started_rollout(first)
        newer = replace(first, version="v4")
        await store.put_started_rollout(newer)
        assert await store.started_rollouts() == (newer, second)
        await store.remove_started_rollout("one")
        await store.remove_started_rollout("one")
        assert await store.started_rollouts() == (second,)

    async def test_meta(self, store: Store):
        assert await store.meta("file_checksum") is None
        await store.set_meta("file_checksum", "1")
        await store.set_meta("file_checksum", "2")
        assert await store.meta("file_checksum") == "2"

    async def test_a_time_without_a_zone_is_not_taken(self, store: Store):
        with pytest.raises(Exception, match="needs its zone"):
            await store.write_event(event(at=NOW.replace(tzinfo=None)))
