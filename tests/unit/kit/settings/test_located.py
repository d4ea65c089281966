import pytest

from marchproxy.kit.settings import Problem, SettingsError, dotted, parse_yaml
from marchproxy.kit.settings.problems import suggestion


def test_values_and_lines():
    document = parse_yaml(
        "nlb:\n  grpc: 127.0.0.1:0\n  listeners:\n    - name: web\n      port: 80\n    - name: db\n"
    )
    assert document.value == {
        "nlb": {"grpc": "127.0.0.1:0", "listeners": [{"name": "web", "port": 80}, {"name": "db"}]}
    }
    assert document.lines[("nlb", "listeners", 0, "port")] == 5
    assert document.lines[("nlb", "listeners", 1)] == 6
    assert document.problem(("nlb", "listeners", 1, "port"), "missing").line == 6


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", {}),
        ("# only a comment\n", {}),
        ("a: no", {"a": "no"}),
        ("on: true", {"on": True}),
        ("a: 22:22", {"a": "22:22"}),
        ('a: 5e-324\nb: 1.5e3\nc: "1e3"', {"a": 5e-324, "b": 1500.0, "c": "1e3"}),
        ("a: 2030-01-01", {"a": "2030-01-01"}),
        ("80: x", {"80": "x"}),
        ("a: null", {"a": None}),
        ("a: =", {"a": "="}),
        ("base: &b {x: 1, y: 2}\nuse: {<<: *b, y: 3}", {"base": {"x": 1, "y": 2}, "use": {"x": 1, "y": 3}}),
        ("use: {<<: [{x: 1}, {x: 2, y: 2}]}", {"use": {"x": 1, "y": 2}}),
    ],
)
def test_values(text, value):
    assert parse_yaml(text).value == value


@pytest.mark.parametrize(
    ("text", "line", "path", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "a", "duplicate key; it was first given on line 1"),
        ("a:\n  - x: 1\n    x: 2\n", 3, "a[0].x", "duplicate key; it was first given on line 2"),
        ("a: 1\nb: [1, 2\n", 3, "", "not readable as YAML"),
        ("a: 1\n\tb: 2\n", 2, "", "not readable as YAML"),
        ("a: !!python/object/apply:os.system [id]\n", 1, "a", "is not allowed"),
        ("a: !!python/name:os.system x\n", 1, "", "could not determine a constructor"),
        ("a: 1\n---\nb: 2\n", 2, "", "not readable as YAML"),
        ("a: *nowhere\n", 1, "", "undefined alias"),
        ("a: 1\n? [x, y]\n: 2\n", 2, "", "a key must be plain text"),
        ("a: !!int x\n", 1, "a", "not a value of this kind"),
        ("a: 0x_\n", 1, "a", "not a value of this kind"),
        ("a: " + "9" * 5000, 1, "a", "not a value of this kind"),
        ("a: {<<: 3}", 1, "a", "only mappings can be merged"),
        ("a: &a [*a]", 1, None, "64 levels"),
        ("a: \x01", None, "", "not readable as YAML"),
        ("a: " + "[" * 100_000, 1, "", "64 levels"),
    ],
)
def test_errors_say_where(text, line, path, message):
    with pytest.raises(SettingsError) as caught:
        parse_yaml(text, "first-light.yaml")
    problem = caught.value.problems[0]
    assert message in problem.message
    assert problem.line == line
    assert problem.file == "first-light.yaml"
    assert path is None or problem.path == path


def test_every_duplicate_is_reported():
    with pytest.raises(SettingsError) as caught:
        parse_yaml("a: 1\na: 2\nb: 1\nb: 2\n")
    assert [problem.path for problem in caught.value.problems] == ["a", "b"]


def test_aliases_cannot_blow_up():
    levels = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 9))
    with pytest.raises(SettingsError, match="more than 500000 values"):
        parse_yaml(f"l0: &l0 x\n{levels}\n")


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("a.b", "unknown key", 12, "x.yaml"), "x.yaml:12: a.b: unknown key"),
        (Problem("a.b", "unknown key", 12), "line 12: a.b: unknown key"),
        (Problem("", "cannot be read", None, "x.yaml"), "x.yaml: cannot be read"),
        (Problem("a", "required"), "a: required"),
    ],
)
def test_render(problem, text):
    assert problem.render() == text


@pytest.mark.parametrize(
    ("path", "text"), [((), ""), (("a", 0, "b"), "a[0].b"), ((0, 1), "[0][1]"), (("a", "b"), "a.b")]
)
def test_dotted(path, text):
    assert dotted(path) == text


@pytest.mark.parametrize(
    ("unknown", "known", "text"),
    [
        ("prot", ["protocol", "port"], '; did you mean "port"?'),
        ("protocl", ["protocol", "port"], '; did you mean "protocol"?'),
        ("zzz", ["port", "name"], "; known: name, port"),
        ("zzz", [], ""),
    ],
)
def test_suggestion(unknown, known, text):
    assert suggestion(unknown, known) == text
