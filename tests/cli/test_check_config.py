from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cli.conftest import Run


EXAMPLES = Path(__file__).parents[2] / "examples"


def test_a_litellm_file(run: Run) -> None:
    done = run("check-config", EXAMPLES / "litellm_proxy.yaml", LITELLM_MASTER_KEY="zq9-key", OPENAI_API_KEY="zq9-key")
    assert done.returncode == 0
    for part in ("Understood", "Ignored", "Deployments", "Models named elsewhere", "Warnings"):
        assert part in done.stdout
    assert "router_settings.num_retries\tmax_retries: 3\n" in done.stdout
    assert "litellm_settings.cache\tenable_caching: true\n" in done.stdout
    assert "gpt-4o\topenai/gpt-4o\tdirect\thttps://api.openai.com/v1\tOPENAI_API_KEY\t2.50\t10.00\n" in done.stdout
    assert "can be used: 6 deployments, 3 warnings, 0 errors" in done.stdout
    assert "zq9" not in done.stdout + done.stderr
    assert "\033[" not in done.stdout


def test_warnings_are_errors_where_it_is_strict(run: Run) -> None:
    file = EXAMPLES / "litellm_proxy.yaml"
    assert run("check-config", "--strict", file, LITELLM_MASTER_KEY="x").returncode == 1
    assert run("check-config", "--strict", EXAMPLES / "gatewright.yaml").returncode == 0


def test_errors_are_1(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("timeout: soon")
    done = run("check-config", path)
    assert done.returncode == 1
    assert "timeout: expected a valid number" in done.stdout
    assert run("check-config", tmp_path / "nowhere.yaml").returncode == 1


def test_json(run: Run) -> None:
    done = run("check-config", "--json", EXAMPLES / "gatewright.yaml")
    report = json.loads(done.stdout)
    assert report["ok"] is True
    assert [one["model_name"] for one in report["deployments"]] == ["chat", "embeddings", "unsteady"]
    assert {"path": "timeout", "verdict": "understood", "note": "timeout"} in report["findings"]


def test_what_holds_for_many_entries_is_one_line(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    entries = [f"  - {{model_name: m{n}, litellm_params: {{model: simulator/m, tags: [x]}}}}\n" for n in range(5)]
    path.write_text("model_list:\n" + "".join(entries))
    lines = [line for line in run("check-config", path).stdout.splitlines() if "tags" in line]
    assert lines == ["model_list[*].litellm_params.tags (5 times)\trouting by tag is not built yet"]
