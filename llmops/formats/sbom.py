"""What a bundle is made of, as a CycloneDX 1.6 bill of materials (https://cyclonedx.org/docs/1.6/json/).

Same content, same bytes: the serial number follows from the content, and there is no time stamp (both are optional).
"""

import json
import uuid
from collections.abc import Mapping

from llmops.domain.bundle import WHEELS, BundleFile
from llmops.domain.forms import Json
from llmops.domain.lock import Lock, LockedDeployment
from llmops.domain.model import DigestAlgorithm, ModelRef
from llmops.domain.places import model_version
from llmops.formats.wheels import parse_wheel_name

SPDX = {
    "apache-2.0": "Apache-2.0", "mit": "MIT", "bsd-3-clause": "BSD-3-Clause", "bsd-2-clause": "BSD-2-Clause",
    "cc-by-4.0": "CC-BY-4.0", "cc-by-sa-4.0": "CC-BY-SA-4.0", "cc-by-nc-4.0": "CC-BY-NC-4.0", "cc0-1.0": "CC0-1.0",
    "gpl-3.0": "GPL-3.0-only", "agpl-3.0": "AGPL-3.0-only", "lgpl-3.0": "LGPL-3.0-only",
}  # fmt: skip
"""The hub's words that are SPDX identifiers but for their case; any other licence is given by its name."""

NAMESPACE = uuid.UUID("8c9f8e5b-6f0a-5b5e-9d5e-1d2f0c6b7a11")


def dump_sbom(
    locks: Mapping[str, Lock], *, wheels: tuple[BundleFile, ...], images: tuple[str, ...], made_by: str
) -> str:
    """The document's text: models with their files, engines, wheels, images."""
    components: dict[str, Json] = {}
    for lock in locks.values():
        for deployment in lock.deployments.values():
            for one in (_model(deployment.model), _engine(deployment)):
                components.setdefault(str(one["bom-ref"]), one)
    for wheel in wheels:
        one = _wheel(wheel)
        components[str(one["bom-ref"])] = one
    for image in images:
        one = _image(image)
        components[str(one["bom-ref"])] = one
    content: list[Json] = [components[ref] for ref in sorted(components)]
    document: dict[str, Json] = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(NAMESPACE, json.dumps(content, sort_keys=True))}",
        "version": 1,
        "metadata": {
            "tools": {"components": [{"type": "application", "name": "llmops", "version": made_by}]},
            "component": {"type": "data", "bom-ref": "bundle", "name": "-".join(locks)},
        },
        "components": content,
        "dependencies": [{"ref": "bundle", "dependsOn": list[Json](sorted(components))}],
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _model(model: ModelRef) -> dict[str, Json]:
    name = model.repository or model.source
    ref = f"model:{name}@{model_version(model)}"
    files: list[Json] = []
    for one in sorted(model.files, key=lambda file: file.name):
        row: dict[str, Json] = {"type": "file", "bom-ref": f"{ref}/{one.name}", "name": one.name}
        if one.digest is not None and one.digest.algorithm is DigestAlgorithm.SHA256:
            row["hashes"] = _sha256(one.digest.value)
        files.append(row)
    made: dict[str, Json] = {
        "type": "machine-learning-model",
        "bom-ref": ref,
        "name": name,
        "version": model_version(model),
        "components": files,
    }
    if model.licence:
        known = SPDX.get(model.licence.lower())
        made["licenses"] = [{"license": {"id": known} if known else {"name": model.licence}}]
    if model.repository is not None and model.commit is not None and "/" in model.repository:
        made["purl"] = f"pkg:huggingface/{model.repository}@{model.commit.lower()}"
    return made


def _engine(deployment: LockedDeployment) -> dict[str, Json]:
    engine = deployment.engine
    return {
        "type": "application",
        "bom-ref": f"engine:{engine.name.value}@{engine.build}",
        "name": engine.name.value,
        "version": engine.build,
        "description": f"not part of the bundle unless a wheel or image of it is; allowed: {engine.versions}",
    }


def _wheel(file: BundleFile) -> dict[str, Json]:
    name = file.path.removeprefix(f"{WHEELS}/")
    wheel = parse_wheel_name(name)
    made: dict[str, Json] = {
        "type": "library", "bom-ref": f"wheel:{name}", "name": wheel.name if wheel else name,
        "hashes": _sha256(file.sha256),
    }  # fmt: skip
    if wheel is not None:
        made |= {"version": wheel.version, "purl": f"pkg:pypi/{wheel.name}@{wheel.version.replace('+', '%2B')}"}
    return made


def _image(image: str) -> dict[str, Json]:
    name, _, sha256 = image.partition("=")[2].partition("@sha256:") if "=" in image else image.partition("@sha256:")
    return {
        "type": "container", "bom-ref": f"image:{image}", "name": name, "version": f"sha256:{sha256}",
        "hashes": _sha256(sha256),
    }  # fmt: skip


def _sha256(value: str) -> list[Json]:
    return [{"alg": "SHA-256", "content": value}]
