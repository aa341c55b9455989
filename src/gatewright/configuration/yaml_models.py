"""The model list of a configuration file: LiteLLM's shared credentials and defaults put into each entry."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any, cast

from gatewright.configuration.config import LiteLLMParams, ModelEntry
from gatewright.configuration.litellm_ignored import PARAMS_IGNORED
from gatewright.configuration.litellm_keys import PARAMS_KNOWN, SETTING_PREFIXES
from gatewright.llmops.price_entries import is_price_name
from gatewright.types.configuration import mapping, nearest

__all__ = ["Models"]

Note = Callable[[str, Any, str], None]

_CREDENTIAL = "litellm_credential_name"


class Models:
    """Reads a file's model list; `note(path, verdict, text)` is told of what is not understood in it."""

    def __init__(self, content: Mapping[str, Any], note: Note) -> None:
        self._note = note
        self._credentials = _credentials(content.get("credential_list"))
        if self._credentials:
            note("credential_list", "understood", f"api_key and the like of entries with {_CREDENTIAL}")
        router = mapping(content.get("router_settings")) or {}
        self._defaults = mapping(router.get("default_litellm_params")) or {}
        if self._defaults:
            note("router_settings.default_litellm_params", "understood", "litellm_params of every entry")

    def read(self, entries: list[Any]) -> list[Any]:
        """Give the entries, completed and without the keys that are unknown."""
        return [self._entry(f"model_list[{place}]", entry) for place, entry in enumerate(entries)]

    def _entry(self, path: str, entry: Any) -> Any:
        given = mapping(entry)
        if given is None:
            return entry
        kept: dict[str, Any] = {}
        for key, value in given.items():
            if key in ModelEntry.model_fields:
                kept[key] = value
            else:
                self._unknown(f"{path}.{key}", key)
        if kept.get("model_info", {}) is None:
            del kept["model_info"]
        params = mapping(kept.get("litellm_params"))
        if params is not None:
            kept["litellm_params"] = self._params(f"{path}.litellm_params", params)
        return kept

    def _unknown(self, path: str, key: str) -> None:
        near = nearest(key, list(ModelEntry.model_fields))
        inside = key in LiteLLMParams.model_fields or key in PARAMS_KNOWN
        hint = "it belongs in litellm_params" if inside else f"did you mean {near}?" if near else "no key is like it"
        self._note(path, "unknown", hint)

    def _params(self, path: str, own: Mapping[str, Any]) -> dict[str, Any]:
        params = {**self._defaults, **self._credential(path, own), **own}
        params.pop(_CREDENTIAL, None)
        for key in own:
            self._judge(f"{path}.{key}", str(key))
        # LiteLLM's files say "nothing" as null, or as an empty text where a variable was to be filled in.
        return {key: value for key, value in params.items() if value is not None}

    def _credential(self, path: str, own: Mapping[str, Any]) -> Mapping[str, Any]:
        name = own.get(_CREDENTIAL)
        if name is None:
            return {}
        if name not in self._credentials:
            near = nearest(str(name), self._credentials)
            hint = f"; did you mean {near}?" if near else ""
            self._note(f"{path}.{_CREDENTIAL}", "unknown", f"credential_list has no {name!r}{hint}")
        return self._credentials.get(name, {})

    def _judge(self, path: str, key: str) -> None:
        """Note what is not sent, and what looks like a slip: anything else goes to the provider as it is."""
        if key in PARAMS_IGNORED:
            self._note(path, "ignored", PARAMS_IGNORED[key])
            return
        known = [*LiteLLMParams.model_fields, *PARAMS_KNOWN]
        near = (
            []
            if key in known or key.startswith(SETTING_PREFIXES) or is_price_name(key)
            else difflib.get_close_matches(key, known, n=1, cutoff=0.85)
        )
        if near:
            self._note(path, "unknown", f"it is sent to the provider as it is; did you mean {near[0]}?")


def _credentials(listed: Any) -> dict[str, Mapping[str, Any]]:
    """Give LiteLLM's `credential_list` by name."""
    parts = [mapping(one) or {} for one in cast("list[Any]", listed)] if isinstance(listed, list) else []
    return {str(part.get("credential_name")): mapping(part.get("credential_values")) or {} for part in parts}
