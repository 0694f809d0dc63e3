"""What the registry knows of a model: there and back, and nothing that does not fit."""

import re
from typing import Any

import pytest
from linewatch_common.errors import InputError

from model_build.pipelines.registered import RegisteredModel, from_json, from_properties, make

_DIGEST = "0123456789abcdef" * 4
_FIELDS: dict[str, Any] = {
    "model": "SurfaceInspector",
    "component": "com.linewatch.model.SurfaceInspector",
    "version": "1.2.0",
    "package_uri": "s3://models/inspector/run-1/package/package.tar.gz",
    "package_sha256": _DIGEST,
    "manifest_digest": f"sha256:{_DIGEST}",
    "data_digest": "1" * 64,
    "code_digest": "2" * 64,
    "report_uri": "s3://models/inspector/run-1/evaluation/evaluation.json",
    "artefacts": {"float": "3" * 64, "compiled": "4" * 64},
}


def test_properties_give_back_the_same_model() -> None:
    model = make(**_FIELDS)
    assert from_properties(model.to_properties()) == model
    assert from_json(model.to_json()) == model


def test_properties_keep_within_the_registrys_limits() -> None:
    properties = make(**_FIELDS).to_properties()
    allowed = re.compile(r"[\w\s.:/=+\-@]{1,256}")  # botocore's pattern, in Python's words
    assert len(properties) <= 50
    assert all(len(key) <= 128 and allowed.fullmatch(key) for key in properties)
    assert all(allowed.fullmatch(value) for value in properties.values())
    assert properties["artefact_compiled"] == "4" * 64


def test_properties_of_others_are_left_alone() -> None:
    model = make(**_FIELDS)
    assert from_properties(model.to_properties() | {"cost-centre": "42"}) == model


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("package_sha256", "latest"),
        ("manifest_digest", _DIGEST),
        ("package_uri", "https://models/package.tar.gz"),
        ("package_uri", "s3://models/" + "x" * 250 + ".tar.gz"),
        ("report_uri", "s3://models/{curly}"),
        ("version", "1.2"),
        ("component", "../other"),
        ("artefacts", {}),
        ("artefacts", {"float": "short"}),
    ],
)
def test_a_field_that_does_not_fit_is_refused(field: str, value: object) -> None:
    with pytest.raises(InputError, match="registered model"):
        make(**_FIELDS | {field: value})


@pytest.mark.parametrize("missing", ["package_sha256", "manifest_digest", "schema", "artefact_float"])
def test_a_missing_property_is_refused(missing: str) -> None:
    properties = make(**_FIELDS | {"artefacts": {"float": "3" * 64}}).to_properties()
    del properties[missing]
    with pytest.raises(InputError):
        from_properties(properties)


def test_a_document_with_an_unknown_field_is_refused() -> None:
    text = make(**_FIELDS).to_json().replace(b'"model"', b'"modell"')
    with pytest.raises(InputError, match="registered model"):
        from_json(text)
    assert RegisteredModel.__struct_config__.forbid_unknown_fields
