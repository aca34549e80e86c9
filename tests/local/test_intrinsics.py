from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.intrinsics import NO_VALUE, Scope, TemplateError, references, resolve


class Resources:
    def ref(self, logical_id: str) -> str:
        return f"{logical_id}-physical"

    def attribute(self, logical_id: str, name: str) -> str:
        return f"{logical_id}.{name}!"


SCOPE = Scope(
    "stack",
    "eu-west-1",
    "123456789012",
    logical_ids=frozenset({"Bucket", "Table"}),
    parameters={"Env": "dev", "Zones": ["a", "b"]},
    mappings={"Sizes": {"dev": {"memory": 128, "zones": ["x", "y"]}}},
    conditions={"Yes": True, "No": False},
    exports={"data:Arn": "arn:of:data"},
    resources=Resources(),
)

WORDS = st.text(alphabet=st.characters(exclude_characters="$", codec="utf-8"), max_size=20)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS.filter(lambda text: "{{" not in text),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"Ref": "Bucket"}, "Bucket-physical"),
        ({"Ref": "Env"}, "dev"),
        ({"Ref": "AWS::Region"}, "eu-west-1"),
        ({"Ref": "AWS::URLSuffix"}, "amazonaws.com"),
        ({"Fn::GetAtt": ["Bucket", "Arn"]}, "Bucket.Arn!"),
        ({"Fn::GetAtt": "Bucket.Endpoint.Port"}, "Bucket.Endpoint.Port!"),
        (
            {"Fn::Sub": "${AWS::Region}/${Bucket}/${Bucket.Arn}/${!Literal}"},
            "eu-west-1/Bucket-physical/Bucket.Arn!/${Literal}",
        ),
        ({"Fn::Sub": ["${a}-${Env}", {"a": {"Ref": "Table"}}]}, "Table-physical-dev"),
        ({"Fn::Join": ["-", ["a", 1, True, {"Ref": "Env"}]]}, "a-1-true-dev"),
        ({"Fn::Join": ["", {"Ref": "Zones"}]}, "ab"),
        ({"Fn::Select": ["1", {"Fn::Split": ["|", "a|b|c"]}]}, "b"),
        ({"Fn::FindInMap": ["Sizes", {"Ref": "Env"}, "memory"]}, 128),
        ({"Fn::FindInMap": ["Sizes", "dev", "zones"]}, ["x", "y"]),
        ({"Fn::ImportValue": {"Fn::Sub": "data:Arn"}}, "arn:of:data"),
        ({"Fn::GetAZs": ""}, ["eu-west-1a", "eu-west-1b", "eu-west-1c"]),
        ({"Fn::GetAZs": {"Ref": "AWS::Region"}}, ["eu-west-1a", "eu-west-1b", "eu-west-1c"]),
        ({"Fn::Base64": "text"}, "dGV4dA=="),
        ({"Fn::If": ["Yes", 1, 2]}, 1),
        ({"Fn::If": ["No", {"Ref": "Nowhere"}, {"Ref": "Env"}]}, "dev"),
        ({"Fn::Equals": [1, "1"]}, True),
        ({"Fn::Equals": [{"Ref": "Env"}, "prod"]}, False),
        ({"Fn::And": [{"Condition": "Yes"}, {"Condition": "No"}]}, False),
        ({"Fn::Or": [{"Condition": "Yes"}, {"Condition": "No"}]}, True),
        ({"Fn::Not": [{"Condition": "No"}]}, True),
    ],
)
def test_a_function_gives_what_cloudformation_gives(value: Any, expected: Any) -> None:
    assert resolve(value, SCOPE) == expected


def test_no_value_removes_the_property_and_the_list_item() -> None:
    nothing = {"Ref": "AWS::NoValue"}
    assert resolve({"a": {"Fn::If": ["Yes", nothing, 1]}, "b": [nothing, 2], "c": 3}, SCOPE) == {"b": [2], "c": 3}


@pytest.mark.parametrize(
    "value",
    [
        {"Ref": "Nowhere"},
        {"Ref": ["Bucket"]},
        {"Fn::GetAtt": ["Nowhere", "Arn"]},
        {"Fn::GetAtt": "Bucket"},
        {"Fn::Sub": "${Nowhere}"},
        {"Fn::Sub": ["${a}"]},
        {"Fn::Join": ["-", "text"]},
        {"Fn::Join": ["-", [{"a": 1}]]},
        {"Fn::Select": [3, ["a"]]},
        {"Fn::Select": [-1, ["a"]]},
        {"Fn::FindInMap": ["Sizes", "prod", "memory"]},
        {"Fn::ImportValue": "data:Other"},
        {"Fn::If": ["Unknown", 1, 2]},
        {"Fn::And": [{"Condition": "Yes"}]},
        {"Fn::Not": ["true"]},
        {"Fn::Transform": {"Name": "AWS::Include"}},
        {"Fn::Cidr": ["10.0.0.0/16", 2, 8]},
        {"Fn::ToJsonString": {}},
        {"Ref": "Env", "Other": 1},
        "{{resolve:ssm:/a/parameter}}",
        {"deep": ["{{resolve:secretsmanager:secret:SecretString:password}}"]},
    ],
)
def test_what_is_wrong_or_not_understood_is_refused(value: Any) -> None:
    with pytest.raises(TemplateError):
        resolve(value, SCOPE)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": {"Ref": "Bucket"}, "b": [{"Fn::GetAtt": ["Table", "Arn"]}]}, {"Bucket", "Table"}),
        ({"Fn::Sub": "${Bucket.Arn}/${!Table}/${AWS::Region}"}, {"Bucket"}),
        ({"Fn::Sub": ["${Bucket}${x}", {"Bucket": "own", "x": {"Ref": "Table"}}]}, {"Table"}),
        ({"Fn::If": ["No", {"Ref": "Bucket"}, {"Ref": "Table"}]}, {"Table"}),
        ({"Ref": "Env"}, set()),
    ],
)
def test_references_are_the_resources_that_the_taken_branches_name(value: Any, expected: set[str]) -> None:
    assert references(value, SCOPE) == expected


@given(PLAIN)
def test_plain_data_stays_as_it_is(value: Any) -> None:
    assert resolve(value, SCOPE) == value
    assert references(value, SCOPE) == set()


@given(st.lists(WORDS.filter(lambda text: "|" not in text), min_size=1, max_size=6))
def test_split_undoes_join(parts: list[str]) -> None:
    joined = {"Fn::Join": ["|", parts]}
    assert resolve({"Fn::Split": ["|", joined]}, SCOPE) == parts
    for index, part in enumerate(parts):
        assert resolve({"Fn::Select": [index, {"Fn::Split": ["|", joined]}]}, SCOPE) == part


@given(WORDS, WORDS)
def test_sub_replaces_holes_and_nothing_else(before: str, after: str) -> None:
    assert resolve({"Fn::Sub": f"{before}${{Env}}{after}"}, SCOPE) == f"{before}dev{after}"
    assert resolve({"Fn::Sub": f"{before}${{!Env}}{after}"}, SCOPE) == f"{before}${{Env}}{after}"


@given(PLAIN, PLAIN, st.booleans())
def test_if_takes_exactly_one_branch(then: Any, otherwise: Any, truth: bool) -> None:
    assert resolve({"Fn::If": ["Yes" if truth else "No", then, otherwise]}, SCOPE) == (then if truth else otherwise)


def test_no_value_is_recognisable_in_messages() -> None:
    assert repr(NO_VALUE) == "AWS::NoValue"
