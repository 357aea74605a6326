# SPDX-License-Identifier: Apache-2.0
"""One job: load a Python file, call a function of it, write what it returned or raised."""

from __future__ import annotations

import importlib.util
import json
import sys
import traceback
from pathlib import Path
from typing import Any


def main(job_path: str, answer_path: str) -> None:
    """Do the job of the file; the answer is {"ok": ...} or {"error": traceback}."""
    job = json.loads(Path(job_path).read_bytes())
    answer: dict[str, Any]
    try:
        answer = {"ok": _call(job)}
        text = json.dumps(answer)
    except BaseException:  # noqa: BLE001 - whatever it is, the test on the host must see it
        text = json.dumps({"error": traceback.format_exc()})
    Path(answer_path).write_text(text, encoding="utf-8")


def _call(job: dict[str, Any]) -> Any:
    path = Path(job["script"])
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    # dataclasses look their module up by name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return getattr(module, job["function"])(**job["arguments"])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
