from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.intrinsics import Scope, TemplateError, resolve
from infra.local.template import Template, parse

SSM = {"/bootstrap": "30"}


def read(body: dict[str, Any], **given_values: str) -> Template:
    return parse(body, Scope("stack", "eu-west-1", "123456789012"), given_values, SSM.get)


def thing(*needs: str, **attributes: Any) -> dict[str, Any]:
    return {"Type": "A::B::C", "Properties": {"needs": [{"Ref": name} for name in needs]}, **attributes}


def test_resources_come_after_what_they_need() -> None:
    body = {"Resources": {"C": thing("B"), "B": thing(DependsOn="A"), "A": thing(), "D": thing(DependsOn=["C", "A"])}}
    assert [item.logical_id for item in read(body).resources] == ["A", "B", "C", "D"]


@given(st.data(), st.integers(1, 12))
def test_any_graph_without_circles_is_ordered(data: st.DataObject, count: int) -> None:
    names = data.draw(st.permutations([f"R{index}" for index in range(count)]))
    edges = {
        name: data.draw(st.lists(st.sampled_from(names[:index]), unique=True)) if index else []
        for index, name in enumerate(names)
    }
    order = [item.logical_id for item in read({"Resources": {n: thing(*edges[n]) for n in sorted(names)}}).resources]
    assert sorted(order) == sorted(names)
    assert all(order.index(need) < order.index(name) for name, needs in edges.items() for need in needs)


def test_a_circle_is_refused_by_name() -> None:
    with pytest.raises(TemplateError, match=r"Circular dependency between resources: .*A.*"):
        read({"Resources": {"A": thing("B"), "B": thing("A")}})


def test_parameters_take_the_given_value_the_default_or_what_ssm_holds() -> None:
    body = {
        "Parameters": {
            "Given": {"Type": "String", "Default": "x"},
            "Default": {"Type": "Number", "Default": 3},
            "Version": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/bootstrap"},
            "Many": {"Type": "CommaDelimitedList", "Default": "a, b"},
        }
    }
    scope = read(body, Given="y").scope
    assert scope.parameters == {"Given": "y", "Default": "3", "Version": "30", "Many": ["a", "b"]}


@pytest.mark.parametrize(
    "parameter",
    [
        {"Type": "String"},
        {"Type": "AWS::EC2::VPC::Id", "Default": "vpc"},
        {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/nowhere"},
        {"Type": "String", "Default": "c", "AllowedValues": ["a", "b"]},
        {"Type": "String", "Default": "UP", "AllowedPattern": "[a-z]+"},
    ],
)
def test_a_parameter_without_a_valid_value_is_refused(parameter: dict[str, Any]) -> None:
    with pytest.raises(TemplateError, match="parameter P"):
        read({"Parameters": {"P": parameter}})


def test_conditions_decide_which_resources_and_outputs_exist() -> None:
    body = {
        "Parameters": {"Env": {"Type": "String", "Default": "dev"}},
        "Conditions": {
            "Both": {"Fn::And": [{"Condition": "Prod"}, {"Condition": "Big"}]},
            "Prod": {"Fn::Equals": [{"Ref": "Env"}, "prod"]},
            "Big": {"Fn::Not": [{"Condition": "Prod"}]},
        },
        "Resources": {"A": thing(Condition="Prod"), "B": thing(Condition="Big", DependsOn="A")},
        "Outputs": {"O": {"Value": 1, "Condition": "Both"}},
    }
    template = read(body)
    assert template.scope.conditions == {"Both": False, "Prod": False, "Big": True}
    assert [item.logical_id for item in template.resources] == ["B"]
    assert template.outputs == {}
    with pytest.raises(TemplateError, match="no resource"):
        resolve({"Fn::GetAtt": ["A", "Arn"]}, template.scope)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"Transform": "AWS::Serverless"}, "section Transform"),
        ({"Rules": {"Mine": {}}}, "rule Mine"),
        ({"Resources": {"A": thing(UpdatePolicy={})}}, "A: attribute UpdatePolicy"),
        ({"Resources": {"A": thing(DeletionPolicy="Snapshot")}}, "A: policy Snapshot"),
        ({"Resources": {"A": thing(Condition="Nowhere")}}, "condition 'Nowhere'"),
        ({"Resources": {"A": {"Type": "T", "Properties": {"x": {"Fn::GetAtt": 3}}}}}, "A: Fn::GetAtt"),
        ({"Outputs": {"O": {"Value": 1, "Secret": 2}}}, "output attribute Secret"),
        ({"Conditions": {"A": {"Condition": "B"}, "B": {"Condition": "A"}}}, "circular conditions: A -> B -> A"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(body: dict[str, Any], words: str) -> None:
    with pytest.raises(TemplateError, match=words):
        read(body)


def test_a_value_for_a_parameter_that_does_not_exist_is_refused() -> None:
    with pytest.raises(TemplateError, match="Other"):
        read({}, Other="x")
