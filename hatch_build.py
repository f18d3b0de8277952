"""Puts a bill of materials into the wheel, made from the metadata of the build itself (PEP 770, CycloneDX)."""

import json
import re
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BillOfMaterials(BuildHookInterface):  # type: ignore[type-arg]  # hatchling's builders have no public type
    """The package, its licence, and what it depends on; nothing is bundled."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the file and have it included."""
        path = Path(self.root) / "build" / "sbom.cdx.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(self._bill(), indent=2, sort_keys=True) + "\n")
        build_data["sbom_files"].append(str(path))

    def _bill(self) -> dict[str, Any]:
        core = self.metadata.core
        package = {
            "type": "library",
            "bom-ref": core.name,
            "name": core.name,
            "version": self.metadata.version,
            "purl": f"pkg:pypi/{core.name}@{self.metadata.version}",
            "licenses": [{"license": {"id": core.license_expression or core.license}}],
        }
        needs = [(re.split(r"[^\w.-]", text)[0], text) for text in core.dependencies]
        return {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "version": 1,
            "metadata": {"component": package},
            "components": [
                {
                    "type": "library",
                    "bom-ref": name,
                    "name": name,
                    "purl": f"pkg:pypi/{name}",
                    "description": f"Not in this wheel: installed beside it, as {text}.",
                }
                for name, text in needs
            ],
            "dependencies": [{"ref": core.name, "dependsOn": [name for name, _ in needs]}],
        }
