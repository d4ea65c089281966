"""LiteLLM's proxy, as its documentation starts it: one worker, a master key, no database."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

import yaml

from bench.support.processes import NotReady, child, wait_for_http

MASTER_KEY = "sk-bench"
_VENV = Path(os.environ.get("LITELLM_VENV", ".venv-litellm"))
_SECONDS = 180.0  # it takes half a minute of CPU until it answers


@contextmanager
def litellm(port: int, models: Mapping[str, int], directory: Path) -> Iterator[Popen[bytes]]:
    """A proxy that is starting: `models` by name, with the port of an engine each. Raises NotReady."""
    program = _VENV / "bin" / "litellm"
    if not program.exists():
        raise NotReady(
            f"{program} does not exist; run scripts/install-packages.sh litellm, or set LITELLM_VENV"
        )
    file = directory / "litellm.yaml"
    file.write_text(yaml.safe_dump(_config(models)))
    environment = (
        "LITELLM_LOCAL_MODEL_COST_MAP=True",
        "LITELLM_LOG=ERROR",
        f"PATH={_VENV.resolve() / 'bin'}:{os.environ['PATH']}",
    )
    arguments = ("--config", str(file), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1")
    with child("litellm", ["env", *environment, program, *arguments], directory) as process:
        yield process


def wait_for_litellm(port: int, process: Popen[bytes], directory: Path) -> None:
    """Until it answers. Raises NotReady."""
    url = f"http://127.0.0.1:{port}/health/liveliness"
    wait_for_http(url, process, directory / "litellm.log", seconds=_SECONDS)


def _config(models: Mapping[str, int]) -> dict[str, object]:
    entries = [
        {
            "model_name": name,
            "litellm_params": {
                "model": "openai/sim",
                "api_base": f"http://127.0.0.1:{port}/v1",
                "api_key": "unused",
            },
        }
        for name, port in models.items()
    ]
    return {
        "model_list": entries,
        "general_settings": {"master_key": MASTER_KEY},
        "litellm_settings": {"telemetry": False},
    }
