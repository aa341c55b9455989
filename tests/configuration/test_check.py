from __future__ import annotations

from pathlib import Path

import pytest

from gatewright.configuration.check import ConfigReport, check_file

EXAMPLES = Path(__file__).parents[2] / "examples"
KEYS = {"OPENAI_API_KEY": "zq9-secret-value", "LITELLM_MASTER_KEY": "zq9-secret-master"}


@pytest.fixture
def check(tmp_path: Path):
    def check(text: str, **environ: str) -> ConfigReport:
        path = tmp_path / "config.yaml"
        path.write_text(text)
        return check_file(path, environ)

    return check


def entry(model: str, **params: object) -> str:
    more = "".join(f", {name}: {value}" for name, value in params.items())
    return f"model_list: [{{model_name: a, litellm_params: {{model: {model}{more}}}}}]\n"


class TestDeployments:
    def test_of_a_litellm_file(self) -> None:
        report = check_file(EXAMPLES / "litellm_proxy.yaml", KEYS)
        assert report.errors == []
        assert [(one.provider, one.lane, one.key_found) for one in report.deployments] == [
            ("azure", "direct", False),
            ("openai", "direct", True),
            ("anthropic", "litellm", False),
            ("hosted_vllm", "direct", True),
            ("openai", "direct", True),
            ("groq", "direct", False),
        ]
        azure, openai, *_ = report.deployments
        assert azure.base_url == "https://example-eu.openai.azure.com"
        assert openai.base_url == "https://api.openai.com/v1"
        assert azure.price is not None
        assert openai.price is not None
        # OpenAI has service tiers beside that.
        for rate in ("input_cost_per_token", "output_cost_per_token", "cache_read_input_token_cost"):
            assert getattr(azure.price, rate) == getattr(openai.price, rate) > 0

    def test_no_secret_is_in_the_report(self) -> None:
        assert "zq9" not in repr(check_file(EXAMPLES / "litellm_proxy.yaml", KEYS))

    @pytest.mark.parametrize(
        ("text", "environ", "key", "found"),
        [
            (entry("openai/x", api_key="zq9"), {}, "in the file", True),
            (entry("openai/x", api_key="os.environ/MINE"), {"MINE": "zq9"}, "MINE", True),
            (entry("openai/x", api_key="os.environ/MINE"), {}, "missing: MINE", False),
            (entry("openai/x"), {"OPENAI_API_KEY": "zq9"}, "OPENAI_API_KEY", True),
            (entry("openai/x"), {}, "missing: OPENAI_API_KEY", False),
            (entry("openai/x") + "api_keys: {openai: zq9}", {}, "api_keys.openai", True),
            (entry("openai/x") + "environment_variables: {OPENAI_API_KEY: zq9}", {}, "OPENAI_API_KEY", True),
            (entry("gemini/x"), {}, "missing: GEMINI_API_KEY or GOOGLE_API_KEY", False),
            (entry("ollama/x"), {}, "none needed", True),
            (entry("simulator/x"), {}, "none needed", True),
            (entry("bedrock/x"), {}, "the provider's own way", True),
        ],
    )
    def test_say_where_the_key_is(self, check, text: str, environ: dict[str, str], key: str, found: bool) -> None:
        report = check(text, **environ)
        (one,) = report.deployments
        assert (one.key, one.key_found) == (key, found)
        assert bool(report.warnings) is not found
        assert "zq9" not in repr(report)

    def test_a_password_in_an_address_is_not_shown(self, check) -> None:
        (one,) = check(entry("hosted_vllm/x", api_base="https://me:zq9@host.example/v1")).deployments
        assert one.base_url == "https://me:***@host.example/v1"

    def test_a_star_for_every_model_is_understood(self, check) -> None:
        report = check('model_list: [{model_name: "*", litellm_params: {model: "*"}}]\nfallbacks: {openai/a: [groq/b]}')
        assert report.errors == []
        assert report.deployments[0].model == "*"

    @pytest.mark.parametrize(
        ("text", "error"),
        [
            (entry("who-knows"), "model_list[0].litellm_params.model: whose model 'who-knows' is cannot be told"),
            (entry("anthropic/x", lane="direct"), "model_list[0]: lane: anthropic is not known to speak the OpenAI"),
            (entry("openai/x", api_base="os.environ/NOPE"), "model_list[0].litellm_params.api_base: the variable NOPE"),
            (entry("simulator/x", latncy=3), "model_list[0]: model_list[a#0].latncy: no such setting"),
            (entry("local/smollm2-135m", threads=0), "model_list[0]: settings of deployment 'a#0': threads is 0"),
            (
                entry("openai/x", rpm="os.environ/NOPE"),
                "model_list[0].litellm_params.rpm: the variable NOPE is not set",
            ),
        ],
    )
    def test_what_is_wrong_with_one_is_told_by_its_place(self, check, text: str, error: str) -> None:
        report = check(text)
        assert len(report.errors) == 1
        assert report.errors[0].startswith(error)

    def test_one_that_is_wrong_does_not_hide_the_others(self, check) -> None:
        report = check(
            "model_list:\n"
            "  - {model_name: a, litellm_params: {model: who-knows}}\n"
            "  - {model_name: b, litellm_params: {model: simulator/b}}\n"
        )
        assert [one.model_name for one in report.deployments] == ["b"]
        assert len(report.errors) == 1


class TestNames:
    @pytest.mark.parametrize(
        "text",
        [
            "fallbacks: {a: [nope]}",
            "fallbacks: {nope: [a]}",
            "fallbacks: [nope]",
            "context_window_fallbacks: {a: [nope]}",
            "default_model: nope",
            "aliases: {b: nope}",
        ],
    )
    def test_every_model_that_is_named_has_to_be_there(self, check, text: str) -> None:
        report = check(entry("simulator/x") + text)
        assert len(report.errors) == 1
        assert report.errors[0].endswith("there is no model 'nope'")

    def test_wildcards_and_aliases_are(self, check) -> None:
        text = 'model_list: [{model_name: "groq/*", litellm_params: {model: "groq/*", api_key: k}}]\n'
        assert check(text + "aliases: {b: groq/x}\nfallbacks: {b: [groq/y]}").errors == []


class TestTheWhole:
    def test_an_unset_variable_does_not_hide_the_rest(self, check) -> None:
        report = check(entry("simulator/x") + "general_settings: {master_key: os.environ/NOPE}")
        assert report.errors == ["general_settings.master_key: the variable NOPE is not set"]
        assert len(report.deployments) == 1

    def test_a_wrong_value_is_an_error(self, check) -> None:
        report = check("timeout: soon\nmax_retries: many")
        assert [error.partition(":")[0] for error in report.errors] == ["timeout", "max_retries"]

    def test_a_slip_is_a_warning(self, check) -> None:
        report = check(entry("simulator/x") + "timeot: 3")
        assert (report.errors, report.warnings) == ([], ["timeot: did you mean timeout?"])

    def test_plain_values_are_told_and_secrets_are_not(self, check) -> None:
        report = check(entry("simulator/x") + "timeout: 9\ndrop_params: true\nmaster_key: zq9")
        assert report.settings == {"model_list": "1 entry", "timeout": "9.0", "drop_params": "true"}


class TestLimits:
    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("model_rate_limits: {b: {requests_per_minute: 5}}", "model_rate_limits.b: there is no model 'b'"),
            (
                "tenant_rate_limits: {'': {requests_per_minute: 5}}",
                "tenant_rate_limits: expected names, and one is empty",
            ),
            ("rate_limit: {requests_per_minute: on}", "rate_limit.requests_per_minute: expected a number, got True"),
        ],
    )
    def test_what_the_start_would_refuse_is_told(self, check, text: str, says: str) -> None:
        errors = check(entry("simulator/x") + text).errors
        assert len(errors) == 1
        assert says in errors[0]

    def test_good_ones_are_none(self, check) -> None:
        text = "model_rate_limits: {a: {requests_per_minute: 5}}\ntenant_rate_limits: {t: {max_concurrent: 2}}"
        assert check(entry("simulator/x") + text).errors == []
