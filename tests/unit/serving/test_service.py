"""Routes, versions, faults, and bundles that are not served."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from perennial.errors import BundleInvalid
from perennial.serving.bundle import verify
from perennial.serving.predictor import Predictor
from perennial.serving.service import Service, Unavailable, open_service
from perennial.serving.signature import parse_signature
from tests.unit.serving.bundles import VERSION, bundle_files, graph, signature, write_bundle
from tests.unit.serving.requests import ROW, Server, infer_event, outputs, request

MODEL = "/v2/models/flight-delays"


def get(server: Server, path: str, method: str = "GET") -> tuple[int, Any]:
    reply = server.send(infer_event("", path, method))
    return reply["statusCode"], json.loads(reply["body"])


@pytest.mark.parametrize("path", [f"{MODEL}/infer", f"{MODEL}/versions/3/infer"])
def test_both_infer_paths_answer_with_the_version(server: Server, path: str) -> None:
    reply = server.send(infer_event(request(), path))
    assert reply["statusCode"] == 200
    assert json.loads(reply["body"])["model_version"] == "3"


@pytest.mark.parametrize("path", [f"{MODEL}/ready", f"{MODEL}/versions/3/ready"])
def test_a_loaded_model_is_ready(server: Server, path: str) -> None:
    assert get(server, path) == (200, {"name": "flight-delays", "version": "3", "ready": True})


def test_metadata_says_what_goes_in_and_comes_out(server: Server) -> None:
    status, found = get(server, MODEL)
    assert status == 200
    assert (found["name"], found["versions"], found["platform"]) == ("flight-delays", ["3"], "onnx_onnxv1")
    assert found["inputs"][1] == {"name": "hour", "datatype": "INT64", "shape": [-1, 1]}
    assert [(one["name"], one["datatype"], one["shape"]) for one in found["outputs"]] == [
        ("prediction", "INT64", [-1]),
        ("probability", "FP64", [-1, 2]),
        ("prediction_id", "BYTES", [-1]),
    ]
    assert found["parameters"]["task"] == "binary"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (f"{MODEL}/versions/4/infer", "model 'flight-delays' has no version '4' here; this is 3"),
        (f"{MODEL}/versions/03/infer", "has no version '03' here"),
        ("/v2/models/other/infer", "this is model 'flight-delays'; it has no path"),
        (f"{MODEL}/feedback", "model 'flight-delays' has no path"),
        (f"{MODEL}/", "model 'flight-delays' has no path"),
        ("", "it has no path ''"),
    ],
)
def test_other_paths_are_404(server: Server, path: str, reason: str) -> None:
    status, reply = get(server, path, "POST")
    assert status == 404
    assert reason in reply["error"]


@pytest.mark.parametrize(("path", "method"), [(f"{MODEL}/infer", "GET"), (f"{MODEL}/ready", "POST"), (MODEL, "DELETE")])
def test_other_methods_are_405(server: Server, path: str, method: str) -> None:
    reply = server.send(infer_event("", path, method))
    assert reply["statusCode"] == 405
    assert reply["headers"]["allow"] in ("GET", "POST")


def test_an_event_that_is_none_of_the_api_is_no_fault(server: Server) -> None:
    assert server.send({})["statusCode"] == 404
    assert server.send({"rawPath": f"{MODEL}/infer"})["statusCode"] == 405


def test_outputs_may_be_chosen(server: Server) -> None:
    reply = server.infer(request(outputs=[{"name": "prediction_id"}, {"name": "prediction"}]))[1]
    assert list(outputs(reply)) == ["prediction_id", "prediction"]
    assert server.infer(request(outputs=[])) == server.infer(request())


def test_classes_may_be_any_text(multiclass: Server) -> None:
    reply = multiclass.infer(request({**ROW, "distance": 5000}))[1]
    prediction, probability, _ = reply["outputs"]
    assert prediction["datatype"] == "BYTES"
    assert prediction["data"] == ['la"te\u2028']
    assert probability["shape"] == [1, 3]
    assert probability["parameters"] == {"classes": ["early", "on time", 'la"te\u2028']}


def test_a_regression_answers_with_its_value(regression: Server) -> None:
    one = regression.infer(request())[1]
    assert [output["name"] for output in one["outputs"]] == ["prediction", "prediction_id"]
    assert outputs(one)["prediction"] == pytest.approx([0.5335], abs=1e-5)
    assert outputs(regression.infer(request(ROW, ROW))[1])["prediction"] == pytest.approx([0.5335] * 2, abs=1e-5)


@pytest.mark.parametrize(
    ("classes", "datatype"),
    [((0, 1), "INT64"), ((False, True), "BOOL"), (("a", "b"), "BYTES"), ((0.5, 1.5), "FP64"), ((0, 1.5), "FP64")],
)
def test_the_datatype_of_the_prediction_is_that_of_the_classes(
    tmp_path: Path, classes: tuple[Any, Any], datatype: str
) -> None:
    reply = Server(tmp_path, bundle_files("binary", classes)).infer(request())[1]
    assert reply["outputs"][0]["datatype"] == datatype
    assert reply["outputs"][0]["data"] == [classes[1]]


@pytest.mark.parametrize("rows", [1, 3])
def test_an_answer_that_is_no_finite_number_is_a_fault_of_the_model(tmp_path: Path, rows: int) -> None:
    server = Server(tmp_path, bundle_files("regression", None, fault=True))
    status, reply = server.infer(request(*[ROW] * (rows - 1), {**ROW, "distance": 0}))
    assert status == 500
    assert f"the graph answered row {rows - 1} with" in reply["error"]
    (found,) = server.records
    assert found["record"] == "fault"
    assert found["PredictFault"] == 1
    metric = found["_aws"]["CloudWatchMetrics"][0]
    assert metric["Metrics"][0]["Name"] in found
    assert all(dimension in found for dimensions in metric["Dimensions"] for dimension in dimensions)
    assert metric["Dimensions"] == [["model"], ["model", "lambda_version"]]


def test_a_fault_of_a_version_that_was_asked_by_its_number_is_not_held_against_its_share(tmp_path: Path) -> None:
    server = Server(tmp_path, bundle_files("regression", None, fault=True))
    path = f"{MODEL}/versions/{VERSION}/infer"
    assert server.send(infer_event(request({**ROW, "distance": 0})) | {"rawPath": path})["statusCode"] == 500
    (found,) = server.records
    assert found["PredictFault"] == 1
    assert found["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["model"]]


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_one_row_is_answered_alike_whichever_way_it_takes(tmp_path: Path, task: str) -> None:
    classes = {"binary": (0, 1), "multiclass": ("a", "50%", "c"), "regression": None}[task]
    server = Server(tmp_path, bundle_files(task, classes))
    names = ["prediction", "prediction_id"] if classes is None else ["prediction", "probability", "prediction_id"]
    plain = server.infer(request())[1]
    from_template = server.infer(request())[1]
    chosen = server.infer(request(outputs=[{"name": name} for name in names]))[1]
    assert plain == from_template == chosen
    assert server.infer(request(id="x"))[1] == {**plain, "id": "x"}


def test_a_reply_larger_than_lambda_lets_out_is_413(tmp_path: Path) -> None:
    server = Server(tmp_path, bundle_files("multiclass", tuple(range(8))))
    body = request(*[ROW] * 50_000)
    status, reply = server.infer(body)
    assert status == 413
    assert "send fewer rows, or ask for fewer outputs" in reply["error"]
    assert not [found for found in server.records if found["record"] == "prediction"]
    assert server.infer({**body, "outputs": [{"name": "prediction"}]})[0] == 200
    for others, expected in (([], 200), ([{"name": "probability"}], 413)):
        identities = {"name": "prediction_id", "parameters": {"binary_data": True}}
        event = infer_event({**body, "outputs": [identities, *others]})
        assert server.send(event)["statusCode"] == expected


def test_without_a_bundle_every_path_says_that_there_is_no_model_yet(tmp_path: Path) -> None:
    (tmp_path / "README.md").touch()
    service = open_service(str(tmp_path))
    assert isinstance(service, Unavailable)
    reply = service.handle(infer_event(request()), "id")
    assert reply["statusCode"] == 503
    assert json.loads(reply["body"])["error"].startswith("no model yet")


def test_a_broken_bundle_is_said_once_and_never_served(tmp_path: Path) -> None:
    write_bundle(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"changed")
    lines: list[str] = []
    service = open_service(str(tmp_path), "7", lines.append)
    assert isinstance(service, Unavailable)
    reply = service.handle(infer_event(request()), "id")
    assert reply["statusCode"] == 503
    assert "model.onnx: has 7 bytes" in json.loads(reply["body"])["error"]
    assert [json.loads(line)["record"] for line in lines] == ["unavailable"]


def test_a_manifest_that_is_a_dangling_link_is_broken_not_absent(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").symlink_to("nowhere")
    service = open_service(str(tmp_path), write=lambda line: None)
    assert isinstance(service, Unavailable)
    assert "is invalid and is not served" in service.message


def signed(**changes: Any) -> dict[str, bytes]:
    return {**bundle_files(), "signature.json": json.dumps({**signature(), **changes}).encode()}


def with_graph(change: Any) -> dict[str, bytes]:
    model = graph()
    change(model)
    return {**bundle_files(), "model.onnx": model.SerializeToString()}


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (signed(model="other"), "signature.json is of model 'other'"),
        (
            signed(inputs=signature()["inputs"][:3]),
            "model.onnx: input 'carrier' is tensor(string) in the graph, missing",
        ),
        (signed(inputs=[]), "inputs must be there"),
        (signed(inputs=signature()["inputs"] * 2), "each with a name of its own"),
        (signed(inputs=[{**signature()["inputs"][0], "kind": "image"}]), "is a image of FP64"),
        (signed(task="ranking"), "task 'ranking' is none of"),
        (signed(classes=None), "classes must list at least two labels"),
        (signed(classes=[0, "1"]), "classes must be all text, all numbers or all booleans"),
        (signed(task="regression"), "model.onnx: output 'prediction' is missing"),
        (signed(task=1), "signature.json: TypeError"),
        ({**bundle_files(), "signature.json": b"[1]"}, "signature.json: TypeError"),
        ({**bundle_files(), "signature.json": b"{"}, "signature.json: JSONDecodeError"),
        ({**bundle_files(), "model.onnx": b"not a graph"}, "model.onnx: is no ONNX file"),
        ({**bundle_files(), "model.onnx": b""}, "model.onnx: has no IR version"),
        ({**bundle_files(), "model.onnx": b"\x08\x00\x00\x00ORTM" + b"\0" * 64}, "model.onnx: IR version 0"),
        (with_graph(lambda model: model.graph.node[4].ClearField("input")), "model.onnx: cannot be loaded"),
    ],
)
def test_graph_and_signature_that_do_not_fit_are_refused(tmp_path: Path, files: dict[str, bytes], reason: str) -> None:
    with pytest.raises(BundleInvalid) as caught:
        Service(verify(write_bundle(tmp_path, files)), "7", lambda line: None)
    assert reason in str(caught.value)


def test_a_graph_that_fails_is_a_fault_of_the_model(tmp_path: Path) -> None:
    predictor = Predictor(verify(write_bundle(tmp_path)))
    with pytest.raises(Exception, match="the graph failed") as caught:
        predictor.score({}, 1)
    assert type(caught.value).__name__ == "ModelFault"


def test_training_signatures_are_read() -> None:
    found = parse_signature(json.dumps(signature()).encode())
    assert found.graph_output == "probabilities"
    assert found.classes == (0, 1)
