"""A file of keys: YAML with `virtual_keys`, entry by entry as in the document. Pure."""

from marchproxy.contract.document.convert.ai import virtual_key
from marchproxy.contract.document.schema.ai import VirtualKeyDocument
from marchproxy.kit.settings import Located, Problem, Section, SettingsError, parse, parse_yaml
from marchproxy.kit.settings.located import line_of
from marchproxy.model.ai import VirtualKey
from marchproxy.model.checks.virtual_keys import check_virtual_keys


class _File(Section):
    virtual_keys: tuple[VirtualKeyDocument, ...] = ()


def read_keys(content: bytes, file: str) -> tuple[VirtualKey, ...]:
    """The keys in the file's content. Raises SettingsError with every fault and its line; none repeats a hash."""
    try:
        located = parse_yaml(content.decode(), file)
    except UnicodeDecodeError as error:
        raise SettingsError([Problem("", "is not UTF-8 text", None, file)]) from error
    found = parse(_File, located.value, located.lines, file)
    keys = tuple(virtual_key(item) for item in found.virtual_keys)
    problems = [
        Problem(one.path, one.message, _line(one.path, located), file) for one in check_virtual_keys(keys)
    ]
    if problems:
        raise SettingsError(problems)
    return keys


def _line(path: str, located: Located) -> int | None:
    """The line of `virtual_keys[2].hash`, or of what is around it."""
    index, _, rest = path.removeprefix("virtual_keys[").partition("]")
    name = rest.removeprefix(".").partition("[")[0]
    return line_of(located.lines, ("virtual_keys", int(index), *((name,) if name else ())))
