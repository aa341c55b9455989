from __future__ import annotations

import ast
import importlib.util
import logging
import textwrap
from pathlib import Path

import pytest
import yaml

from gatewright import GatewayConfig
from gatewright.configuration.litellm_ignored import ignored
from gatewright.configuration.litellm_keys import SECTIONS
from gatewright.configuration.yaml_file import Finding, read_yaml
from gatewright.errors import ConfigurationError

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str, name: str = "config.yaml") -> Path:
        path = tmp_path / name
        path.write_text(textwrap.dedent(text))
        return path

    return write


def findings(path: Path, verdict: str) -> dict[str, str]:
    return {one.path: one.note for one in read_yaml(path, warn=False).findings if one.verdict == verdict}


class TestLiteLLMsFile:
    @pytest.fixture(autouse=True)
    def _environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LITELLM_MASTER_KEY", "sk-master-of-the-proxy")

    def test_a_realistic_one_is_read_as_it_is(self) -> None:
        config = GatewayConfig.from_yaml(EXAMPLES / "litellm_proxy.yaml")
        assert [entry.model_name for entry in config.model_list][:3] == ["gpt-4o", "gpt-4o", "claude-sonnet"]
        assert config.routing_strategy == "least-busy"
        assert (config.timeout, config.max_retries, config.drop_params) == (120.0, 3, True)
        assert config.aliases == {"gpt-4": "gpt-4o"}
        assert config.fallbacks == {"gpt-4o": ["claude-sonnet", "groq/llama-3.3-70b-versatile"]}
        assert config.context_window_fallbacks == {"gpt-4o": ["claude-sonnet"]}
        assert config.default_fallbacks == ["llama"]
        assert config.master_key is not None
        assert config.master_key.get_secret_value() == "sk-master-of-the-proxy"
        assert config.environment["LANGFUSE_HOST"].get_secret_value() == "https://langfuse.example.com"

    def test_nothing_in_it_is_unknown(self) -> None:
        assert findings(EXAMPLES / "litellm_proxy.yaml", "unknown") == {}
        assert findings(EXAMPLES / "gatewright.yaml", "unknown") == {}

    def test_every_key_of_litellms_own_router_and_server_is_known(self) -> None:
        keys = litellm_router_keys() | litellm_general_keys()
        assert len(keys) > 150
        every = [*SECTIONS["router_settings"], *SECTIONS["general_settings"], "default_litellm_params"]
        assert [key for key in sorted(keys) if key not in every and not ignored(key)] == []

    def test_litellms_own_examples_are_read(self) -> None:
        examples = litellm_examples()
        assert len(examples) > 20
        for path in examples:
            assert read_yaml(path, warn=False).findings, path
            if path.name != "langfuse_config.yaml":  # an entry of it has no litellm_params
                assert GatewayConfig.from_yaml(path).model_list, path

    def test_router_settings_have_the_last_word_over_litellm_settings(self, write) -> None:
        path = write("router_settings: {timeout: 5}\nlitellm_settings: {request_timeout: 9, num_retries: 4}")
        config = GatewayConfig.from_yaml(path)
        assert (config.timeout, config.max_retries) == (5.0, 4)
        assert findings(path, "ignored") == {
            "litellm_settings.request_timeout": "router_settings.timeout has the last word"
        }

    def test_shared_credentials_and_defaults_are_put_into_each_entry(self, write) -> None:
        path = write("""
            model_list:
              - model_name: a
                litellm_params: {model: openai/a, litellm_credential_name: mine, temperature: 0.1}
            credential_list:
              - credential_name: mine
                credential_values: {api_key: sk-shared, api_base: "https://mine.example.com"}
            router_settings:
              default_litellm_params: {temperature: 0.9, max_tokens: 7}
            """)
        params = GatewayConfig.from_yaml(path).model_list[0].litellm_params
        assert params.api_key is not None
        assert params.api_key.get_secret_value() == "sk-shared"
        assert params.api_base == "https://mine.example.com"
        assert params.model_extra == {"temperature": 0.1, "max_tokens": 7}

    def test_other_files_are_included(self, write) -> None:
        write("model_list: [{model_name: b, litellm_params: {model: openai/b}}]", "more.yaml")
        path = write("include: [more.yaml]\nmodel_list: [{model_name: a, litellm_params: {model: openai/a}}]")
        assert [entry.model_name for entry in GatewayConfig.from_yaml(path).model_list] == ["a", "b"]

    def test_nothing_said_is_the_default(self, write) -> None:
        config = GatewayConfig.from_yaml(write("router_settings: {num_retries: null}\nlitellm_settings:"))
        assert config.max_retries == GatewayConfig().max_retries

    def test_aliases_may_be_hidden_ones(self, write) -> None:
        path = write("router_settings: {model_group_alias: {a: b, c: {model: d, hidden: true}}}")
        assert GatewayConfig.from_yaml(path).aliases == {"a": "b", "c": "d"}

    def test_a_certificate_authority_is_taken_and_no_verification_is_not(self, write) -> None:
        assert GatewayConfig.from_yaml(write("litellm_settings: {ssl_verify: /ca.pem}")).http.ca_file == "/ca.pem"
        assert (
            "always verified"
            in findings(write("litellm_settings: {ssl_verify: false}"), "ignored")["litellm_settings.ssl_verify"]
        )


class TestWhatIsNotUnderstood:
    @pytest.mark.parametrize(
        ("text", "path", "note"),
        [
            ("timeot: 3", "timeot", "did you mean timeout?"),
            (
                "router_settings: {num_retrys: 3}",
                "router_settings.num_retrys",
                "did you mean router_settings.num_retries?",
            ),
            ("router_settings: {drop_params: true}", "router_settings.drop_params", "it belongs in litellm_settings"),
            ("xyzzy: 3", "xyzzy", "no setting is like it"),
            (
                "model_list: [{model_name: a, modelinfo: {}, litellm_params: {model: openai/a}}]",
                "model_list[0].modelinfo",
                "did you mean model_info?",
            ),
            (
                "model_list: [{model_name: a, api_base: x, litellm_params: {model: openai/a}}]",
                "model_list[0].api_base",
                "it belongs in litellm_params",
            ),
            (
                "model_list: [{model_name: a, litellm_params: {model: openai/a, api_bsae: x}}]",
                "model_list[0].litellm_params.api_bsae",
                "it is sent to the provider as it is; did you mean api_base?",
            ),
        ],
    )
    def test_is_named_with_the_nearest(
        self, write, caplog: pytest.LogCaptureFixture, text: str, path: str, note: str
    ) -> None:
        file = write(text)
        with caplog.at_level(logging.WARNING, "gatewright.config"):
            GatewayConfig.from_yaml(file)
        assert caplog.messages == [f"{file}: {path} is unknown: {note}"]

    def test_what_has_no_part_is_warned_of_in_one_line(self, write, caplog: pytest.LogCaptureFixture) -> None:
        file = write("litellm_settings: {telemetry: true, callbacks: [x]}")
        with caplog.at_level(logging.WARNING, "gatewright.config"):
            GatewayConfig.from_yaml(file)
        (message,) = caplog.messages
        assert "litellm_settings.telemetry, litellm_settings.callbacks" in message

    def test_findings_are_in_the_files_order(self, write) -> None:
        path = write("timeout: 3\nrouter_settings: {num_retries: 1}\nlitellm_settings: {drop_params: true}")
        assert read_yaml(path, warn=False).findings == [
            Finding("timeout", "understood", "timeout"),
            Finding("router_settings.num_retries", "understood", "max_retries"),
            Finding("litellm_settings.drop_params", "understood", "drop_params"),
        ]


class TestWrongValues:
    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("timeout: soon", "timeout: expected a valid number, unable to parse string as a number, got 'soon'"),
            ("router_settings: {num_retries: many}", "router_settings.num_retries: expected a valid integer"),
            (
                "router_settings: {routing_strategy: best}",
                "router_settings.routing_strategy: expected 'weighted-shuffle'",
            ),
            (
                "router_settings: {num_retries: -1}",
                "router_settings.num_retries: expected greater than or equal to 0, got -1",
            ),
            ("router_settings: {fallbacks: [{a: b}]}", "router_settings.fallbacks.a: expected a valid list, got 'b'"),
            ("router_settings: [a]", "router_settings: expected a mapping, got a list"),
            (
                "http: {conect_timeout: 3}",
                "http.conect_timeout: there is no such setting; did you mean connect_timeout?",
            ),
            ("model_list: {a: b}", "model_list: expected a valid list, got a dict"),
            ("model_list: [{litellm_params: {model: openai/a}}]", "model_list[0].model_name: it is missing"),
            (
                "model_list: [{model_name: a, litellm_params: {model: openai/a, rpm: lots}}]",
                "model_list[0].litellm_params.rpm: expected a valid integer",
            ),
            (
                "model_list: [{model_name: a, litellm_params: {model: openai/a, api_base: localhost}}]",
                "litellm_params.api_base: expected a URL that begins with http:// or https://, got 'localhost'",
            ),
            (
                "general_settings: {master_key: os.environ/NOT_SET}",
                "master_key: expected the variable NOT_SET to be set",
            ),
            ("environment_variables: {A: [1]}", "environment_variables.A: expected a text, got a list"),
            ("- a", "expected a mapping of settings, got a list"),
            ("include: more.yaml", "include: expected a list of files"),
        ],
    )
    def test_name_the_file_the_path_the_value_and_what_was_expected(self, write, text: str, says: str) -> None:
        path = write(text)
        with pytest.raises(ConfigurationError) as raised:
            GatewayConfig.from_yaml(path)
        assert str(raised.value).startswith(f"{path}: ")
        assert says in str(raised.value)

    def test_all_faults_are_told_at_once(self, write) -> None:
        with pytest.raises(ConfigurationError) as raised:
            GatewayConfig.from_yaml(write("timeout: soon\nmax_retries: many\nhttp: {connect_timeout: never}"))
        assert str(raised.value).count("expected") == 3

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"config\.yaml: cannot be read: No such file"):
            GatewayConfig.from_yaml(tmp_path / "config.yaml")

    def test_a_file_that_is_not_yaml_is_told_by_its_place(self, write) -> None:
        with pytest.raises(ConfigurationError, match=r"is not YAML: .* \(line 3, column \d+\)"):
            GatewayConfig.from_yaml(write("a: b\nc: [d\n"))

    def test_a_file_that_is_not_text(self, tmp_path: Path) -> None:
        path = tmp_path / "config.yaml"
        path.write_bytes(b"a: \xff\xfe")
        with pytest.raises(ConfigurationError, match="is not YAML: it is not UTF-8"):
            GatewayConfig.from_yaml(path)


class TestReferences:
    def test_stand_anywhere(self, write, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in {"NAME": "chat", "RPM": "60", "SECONDS": "7", "STRATEGY": "least-busy"}.items():
            monkeypatch.setenv(name, value)
        config = GatewayConfig.from_yaml(
            write("""
            model_list:
              - model_name: os.environ/NAME
                litellm_params: {model: openai/a, rpm: os.environ/RPM}
            timeout: os.environ/SECONDS
            router_settings: {routing_strategy: os.environ/STRATEGY}
            """)
        )
        assert config.model_list[0].model_name == "chat"
        assert config.model_list[0].litellm_params.rpm == 60
        assert (config.timeout, config.routing_strategy) == (7.0, "least-busy")

    def test_may_lead_to_the_files_own_variables(self, write) -> None:
        path = write("environment_variables: {MINE: sk-from-the-file}\ngeneral_settings: {master_key: os.environ/MINE}")
        key = GatewayConfig.from_yaml(path).master_key
        assert key is not None
        assert key.get_secret_value() == "sk-from-the-file"

    def test_a_missing_variable_is_left_out_of_the_variables(self, write) -> None:
        config = GatewayConfig.from_yaml(write("environment_variables: {A: os.environ/NOT_SET, B: 5, C: true}"))
        assert {name: value.get_secret_value() for name, value in config.environment.items()} == {"B": "5", "C": "true"}


class TestSecrets:
    SECRET = "zq9-never-to-be-seen-7x"

    def test_are_not_in_what_is_printed_of_a_configuration(self, write) -> None:
        config = GatewayConfig.from_yaml(
            write(f"""
            model_list:
              - model_name: a
                litellm_params:
                  model: azure/a
                  api_key: {self.SECRET}
                  client_secret: {self.SECRET}
                  aws_secret_access_key: {self.SECRET}
            api_keys: {{openai: {self.SECRET}}}
            environment_variables: {{ANYTHING: {self.SECRET}}}
            general_settings: {{master_key: {self.SECRET}}}
            """)
        )
        assert self.SECRET not in repr(config) + str(config) + config.model_dump_json()

    @pytest.mark.parametrize(
        "text",
        [
            "general_settings: {master_key: [SECRET]}",
            "api_keys: SECRET",
            "api_keys: {openai: {key: SECRET}}",
            "environment_variables: {ANYTHING: [SECRET]}",
            "environment: {ANYTHING: [SECRET]}",
            "model_list: [{model_name: a, litellm_params: {model: openai/a, api_key: [SECRET], rpm: x}}]",
            "model_list: [{model_name: a, api_key: SECRET, litellm_params: {model: openai/a, rpm: x}}]",
            'api_keys: {openai: "SECRET',
            "api_keys: {openai: SECRET\n  master_key: SECRET",
            "master_key: 'SECRET' SECRET",
            "timeout: sk-SECRET",
            "model_list: [{model_name: a, litellm_params: {model: openai/a, api_base: 'x://u:SECRET@host'}}]",
        ],
    )
    def test_are_not_in_errors(self, write, text: str, caplog: pytest.LogCaptureFixture) -> None:
        with pytest.raises(ConfigurationError) as raised:
            GatewayConfig.from_yaml(write(text.replace("SECRET", self.SECRET)))
        error = raised.value
        assert self.SECRET not in f"{error}{error!r}{error.__cause__}{caplog.text}"


def litellm_folder() -> Path:
    found = importlib.util.find_spec("litellm")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent


def litellm_examples() -> list[Path]:
    """Give the configuration files with a model list that the litellm package has."""
    proxy = litellm_folder() / "proxy"
    paths = sorted([*proxy.glob("*.yaml"), *(proxy / "example_config_yaml").glob("*.yaml")])
    return [path for path in paths if "model_list" in (yaml.safe_load(path.read_text(encoding="utf-8")) or {})]


def litellm_class(file: str, name: str) -> ast.ClassDef:
    tree = ast.parse((litellm_folder() / file).read_text(encoding="utf-8"))
    return next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)


def litellm_general_keys() -> set[str]:
    fields = [
        node
        for node in litellm_class("proxy/_types.py", "ConfigGeneralSettings").body
        if isinstance(node, ast.AnnAssign)
    ]
    return {node.target.id for node in fields if isinstance(node.target, ast.Name)}


def litellm_router_keys() -> set[str]:
    methods = [node for node in litellm_class("router.py", "Router").body if isinstance(node, ast.FunctionDef)]
    made = next(node.args for node in methods if node.name == "__init__")
    return {argument.arg for argument in [*made.args, *made.kwonlyargs]} - {"self", "model_list"}
