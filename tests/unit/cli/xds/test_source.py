import pytest

from marchproxy.cli.xds.source import Source, signature_of
from marchproxy.engines.envoy.xds import Identity, ResourceType

GOOD = "listeners: [{name: web, address: '127.0.0.1:%d'}]\n"


async def sound(catalogue):
    """Nothing is wrong with it."""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "xds.yaml"
    path.write_text(GOOD % 80)
    return path


@pytest.fixture
def seen():
    return []


@pytest.fixture
def source(file, seen):
    def publish(catalogue):
        snapshot = catalogue.assign(Identity("edge"))
        seen.append(set(snapshot.of(ResourceType.LISTENER)))

    return Source(file, publish, judge=sound, read=signature_of(file))


async def test_an_untouched_file_is_not_read_again(source, seen):
    for _ in range(3):
        await source.look()
    assert seen == []


async def test_a_changed_file_is_read_once_it_is_left_alone(file, source, seen):
    file.write_text((GOOD % 80).replace("web", "other"))
    await source.look()
    assert seen == []  # it may be half written
    await source.look()
    await source.look()
    assert seen == [{"other"}]


async def test_a_change_since_the_file_was_first_read_is_noticed(file, seen):
    source = Source(file, seen.append, judge=sound, read=signature_of(file))
    file.write_text(GOOD % 8081)
    for _ in range(2):
        await source.look()
    assert len(seen) == 1


@pytest.mark.parametrize(
    "text",
    ["listeners: [", "nonsense: 1", "routes: [{id: r}]", "xds: {nodes: [{routes: [none]}]}"],
    ids=["no YAML", "unknown key", "cannot be compiled", "unknown name"],
)
async def test_a_file_with_errors_changes_nothing_and_is_told_of(file, source, seen, text):
    file.write_text(text)
    await source.reload()
    assert seen == []
    assert source.fault
    file.write_text(GOOD % 80)
    await source.reload()
    assert (seen, source.fault) == ([{"web"}], "")


async def test_a_file_that_is_gone_changes_nothing(file, source, seen):
    file.unlink()
    await source.look()
    await source.look()
    assert (seen, source.fault) == ([], "")
    await source.reload()
    assert source.fault
