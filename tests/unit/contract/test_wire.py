"""The contract: what is generated contains what is fixed, and validate_proto finds what breaks the rules."""

import json
import pickle
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from marchproxy.contract.pb import module_pb2, nlb_pb2, types_pb2
from scripts.validate_proto import CompileError, compile_protos, find_faults, main, wire_form

ROOT = Path(__file__).parents[3]
WIRE = Path(__file__).with_name("wire.json")
FIXED = json.loads(WIRE.read_text())
GENERATED = {file.DESCRIPTOR.name: file.DESCRIPTOR for file in (types_pb2, module_pb2, nlb_pb2)}
NOTHING_FIXED = {"files": {}}

HEAD = """syntax = "proto3";
package marchproxy;
option go_package = "example.com/marchproxy";
"""


@pytest.mark.parametrize(
    ("file", "kind", "owner"),
    [
        (file, kind, owner)
        for file, part in FIXED["files"].items()
        for kind in ("enums", "messages", "services")
        for owner in part[kind]
    ],
)
def test_the_generated_code_contains_the_fixed_contract(file, kind, owner):
    descriptor = FileDescriptorProto()
    GENERATED[file].CopyToProto(descriptor)
    members = wire_form(descriptor)[kind][owner]
    expected = FIXED["files"][file][kind][owner]
    assert {name: members.get(name) for name in expected} == expected


def test_the_services_have_all_their_rpcs():
    module = module_pb2.DESCRIPTOR.services_by_name["ModuleService"].methods_by_name
    nlb = nlb_pb2.DESCRIPTOR.services_by_name["NLBService"].methods_by_name
    assert (len(module), len(nlb)) == (25, 21)
    assert {"ApplyRateLimit", "GetBackends", "UpdateBackends"} <= set(module)
    assert "DeleteRouting" in nlb


def test_messages_survive_pickling():
    route = types_pb2.Route(route_id="a", backends=[types_pb2.BackendRef(pool="p", weight=100)])
    assert pickle.loads(pickle.dumps(route)) == route


def test_our_files_keep_every_rule():
    faults = find_faults(compile_protos(ROOT / "proto"), FIXED)
    assert {rule: found for rule, found in faults.items() if found} == {}


@pytest.mark.parametrize(
    ("source", "rule", "fault"),
    [
        (HEAD.replace("marchproxy;", "other;", 1), "package", 'package is "other"'),
        (HEAD.replace("proto3", "proto2"), "package", "syntax is not proto3"),
        (HEAD.replace("option", "// option"), "package", "go_package is missing"),
        (HEAD + "// E\nenum LoadKind { LOAD_KIND_LOW = 0; }", "zero", "not LOAD_KIND_UNSPECIFIED"),
        (HEAD + "message M { enum Sub { SUB_A = 0; } }", "zero", "M.Sub: the zero value is SUB_A"),
        (HEAD + "message M { int64 created_at = 1; }", "points in time", "M.created_at"),
        (HEAD + "message M { string since = 1; }", "points in time", "M.since"),
        (HEAD + "message Timestamp {} message M { Timestamp end_time = 1; }", "points in time", "M.end_time"),
        (
            HEAD + "enum E { option allow_alias = true; E_UNSPECIFIED = 0; E_A = 1; E_B = 1; }",
            "used once",
            "E.E_B = 1: the number of E_A",
        ),
        (HEAD + "message M {}", "comment", "M: no comment"),
        (HEAD + "// M\nmessage M { string name = 1; }", "comment", "M.name: no comment"),
        (HEAD + "// E\nenum E { E_UNSPECIFIED = 0; }", "comment", "E.E_UNSPECIFIED: no comment"),
        (
            HEAD + "// M\nmessage M {}\n// S\nservice S { rpc Do(M) returns (M); }",
            "comment",
            "S.Do: no comment",
        ),
        (
            HEAD + "message M {}\n// S\nservice ModuleService { rpc Do(M) returns (M); }",
            "RPCs",
            "1 RPCs, not 25",
        ),
    ],
)
def test_a_broken_rule_is_found(tmp_path, source, rule, fault):
    faults = find_faults(compile_one(tmp_path, source), NOTHING_FIXED)
    assert any(fault in text for name, found in faults.items() if rule in name for text in found), faults


FIXED_SAMPLE = {
    "files": {
        "marchproxy/types.proto": {
            "enums": {"Kind": {"KIND_UNSPECIFIED": 0, "KIND_A": 1}},
            "messages": {
                "M": {"name": [1, "string"], "labels": [2, "map<string, int32>"], "at": [3, "repeated M"]}
            },
            "services": {"S": {"Watch": ["M", "stream M"]}},
        }
    }
}
SAMPLE = (
    HEAD
    + """enum Kind { KIND_UNSPECIFIED = 0; KIND_A = 1; }
message M { string name = 1; map<string, int32> labels = 2; repeated M at = 3; bool extra = 16; }
service S { rpc Watch(M) returns (stream M); }
"""
)


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ("KIND_A = 1", "KIND_A = 2", "Kind.KIND_A: is 2, fixed as 1"),
        ("KIND_A = 1;", "", "Kind.KIND_A: is missing"),
        ("string name = 1", "string name = 4", "M.name: is [4, 'string']"),
        ("string name", "bytes name", "M.name: is [1, 'bytes']"),
        ("map<string, int32>", "map<string, int64>", "M.labels: is [2, 'map<string, int64>']"),
        ("repeated M at", "M at", "M.at: is [3, 'M']"),
        ("stream M", "M", "S.Watch: is ['M', 'M']"),
        ("service S", "service T", "S: missing"),
        ("extra = 16", "extra = 4", "M.extra = 4: additions start at 16"),
    ],
)
def test_a_change_to_the_fixed_part_is_found(tmp_path, before, after, fault):
    faults = find_faults(compile_one(tmp_path, SAMPLE.replace(before, after)), FIXED_SAMPLE)
    assert fault in str([text for name, found in faults.items() if "comment" not in name for text in found])


def test_an_addition_from_16_is_no_change_to_the_fixed_part(tmp_path):
    faults = find_faults(compile_one(tmp_path, SAMPLE), FIXED_SAMPLE)
    assert {name for name, found in faults.items() if found} == {
        "everything has a comment",
        "RPCs: 25 in ModuleService and 21 in NLBService",
    }


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        (HEAD + "message M { string a = 1; string b = 1; }", "already been used"),
        (HEAD + "message M { string a = 1; string a = 2; }", "already defined"),
        (HEAD + "message M { reserved 3; string a = 3; }", "reserved"),
        (HEAD + 'message M { reserved "a"; string a = 3; }', "reserved"),
        (HEAD + "message M { string a = 19500; }", "19000"),
        (HEAD + "message M { Missing a = 1; }", "not defined"),
    ],
)
def test_what_the_compiler_refuses_is_reported(tmp_path, source, fault):
    with pytest.raises(CompileError, match=fault):
        compile_one(tmp_path, source)


def test_the_command_lists_every_fault(tmp_path, capsys):
    write_proto(tmp_path, HEAD + "message M { int64 since = 1; int64 created_at = 2; }")
    assert main([str(tmp_path), "--fixed", str(WIRE)]) == 1
    shown = capsys.readouterr().out
    assert "fail points in time" in shown
    assert "M.since" in shown
    assert "M.created_at" in shown
    assert "\033" not in shown  # no colours where no person looks


@pytest.mark.parametrize("source", [None, "not a proto"])
def test_the_command_reports_what_does_not_compile(tmp_path, capsys, source):
    if source is not None:
        write_proto(tmp_path, source)
    assert main([str(tmp_path), "--fixed", str(WIRE)]) == 1
    assert capsys.readouterr().out.startswith("fail compiles\n")


def compile_one(folder, source):
    write_proto(folder, source)
    return compile_protos(folder)


def write_proto(folder, source):
    (folder / "marchproxy").mkdir()
    (folder / "marchproxy" / "types.proto").write_text(source)
