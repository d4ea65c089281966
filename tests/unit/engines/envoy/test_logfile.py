from marchproxy.engines.envoy.logfile import EnvoyLog


def test_the_tail_begins_at_the_mark(tmp_path):
    log = EnvoyLog(tmp_path / "envoy.log", limit=1000)
    assert log.tail() == ""
    log.path.write_bytes(b"an earlier run\n")
    log.mark()
    assert log.tail() == ""
    with log.path.open("ab") as file:
        file.write(b"\n".join(b"line %d" % number for number in range(20)) + b"\n\xff\n")
    assert log.tail(lines=3) == "line 18\nline 19\n\N{REPLACEMENT CHARACTER}"


async def test_an_outgrown_log_is_copied_away_under_the_writer(tmp_path):
    log = EnvoyLog(tmp_path / "envoy.log", limit=10)
    with log.path.open("ab", buffering=0) as writer:
        writer.write(b"0123456789")
        await log.trim()
        assert log.path.read_bytes() == b"0123456789"  # not above the limit yet
        writer.write(b"a")
        log.mark()
        await log.trim()
        writer.write(b"next")
    assert log.path.read_bytes() == b"next"
    assert (tmp_path / "envoy.log.1").read_bytes() == b"0123456789a"
    assert log.tail() == "next"


async def test_no_log_yet(tmp_path):
    await EnvoyLog(tmp_path / "envoy.log", limit=10).trim()
    assert list(tmp_path.iterdir()) == []
