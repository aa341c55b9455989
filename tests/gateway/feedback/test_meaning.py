"""Corrections grouped by a real embedding model on this machine."""

from __future__ import annotations

from pathlib import Path

from gatewright import create_gateway

SAID = {
    "portal": [
        "Use the self-service portal to reset your password",
        "You must reset passwords through the self service portal",
        "Password resets are done in the self-service portal now",
    ],
    "warranty": ["The warranty is two years, not one", "Our warranty lasts two years", "Warranty: 2 years"],
    "refunds": ["Refunds take five business days", "You get your money back after 5 working days"],
    "vpn": ["VPN must be installed first", "First install the VPN client"],
    "sunday": ["We are not open on Sundays"],
    "router": ["Restart the router"],
}


def test_corrections_of_one_meaning_are_one(tmp_path: Path) -> None:
    with create_gateway(["local"], default_embedding_model="local/minilm-l6-v2", data_dir=tmp_path) as gateway:
        for texts in SAID.values():
            for text in texts:
                gateway.record_feedback("q", "r", "correction", text, "acme")
        insights = gateway.feedback_loop.get_learning_insights("acme", limit=50)
    assert insights["grouping"]["by"] == "meaning"
    found = {frozenset(one["examples"]) for one in insights["common_corrections"]}
    assert found == {frozenset(texts) for texts in SAID.values()}
