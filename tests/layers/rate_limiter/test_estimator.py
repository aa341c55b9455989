import random

import pytest

from gatewright.layers.rate_limiter.estimator import OutputEstimator, prompt_tokens
from gatewright.layers.rate_limiter.meter import TokenMeter
from gatewright.pipeline.call import Call
from gatewright.types.caller import Caller
from gatewright.types.requests import EmbedRequest, GenerateRequest


def chat(content, **params):
    return GenerateRequest(model="m", messages=[{"role": "user", "content": content}], params=params)


def expected(estimator, **params):
    call = Call(request=chat("hi", **params), id="r", started_at=0.0, caller=Caller(tenant_id="a"))
    return TokenMeter(estimator).expected(call)


def test_a_prompt_is_counted_by_its_length():
    assert 100 <= prompt_tokens(chat("word " * 100)) <= 150
    assert 80 <= prompt_tokens(chat("请把这句话翻译成英文" * 10)) <= 130


def test_images_and_files_count_a_constant_and_tools_their_length():
    parts = [
        {"type": "text", "text": "what is this?"},
        {"type": "image_url", "image_url": {"url": "data:" + "A" * 99999}},
    ]
    assert 500 < prompt_tokens(chat(parts)) < 1500
    tool = {"type": "function", "function": {"name": "look_up", "description": "x" * 400}}
    assert prompt_tokens(chat("hi", tools=[tool])) - prompt_tokens(chat("hi")) > 100


@pytest.mark.parametrize(
    ("prompt", "least", "most"),
    [("a" * 40, 10, 12), (["a" * 40] * 2, 20, 24), ([1, 2, 3], 3, 3), ([[1, 2], [3]], 3, 3)],
)
def test_legacy_prompts_are_texts_or_tokens(prompt, least, most):
    assert least <= prompt_tokens(GenerateRequest(model="m", style="text", prompt=prompt)) <= most


def test_embedding_inputs_are_texts_or_tokens():
    assert prompt_tokens(EmbedRequest(model="m", inputs=["a" * 40, [1, 2, 3]])) == 14


def test_what_is_odd_in_a_message_does_not_raise():
    request = GenerateRequest(model="m", messages=[{}, {"content": None}, {"content": ["a", 7, {"text": 3}]}])
    assert prompt_tokens(request) > 0


def test_the_estimate_learns_a_quantile_and_follows_a_change():
    dice = random.Random(1)
    estimator = OutputEstimator(quantile=0.75)
    for _ in range(500):
        estimator.learn("a", "m", int(dice.lognormvariate(5, 0.5)))
    # The true quantile is exp(5 + 0.6745 x 0.5) = 208.
    assert 150 < estimator.estimate("a", "m") < 290
    for _ in range(300):
        estimator.learn("a", "m", int(dice.lognormvariate(8, 0.5)))
    assert 2600 < estimator.estimate("a", "m") < 7000


def test_the_estimate_is_capped_by_max_tokens_and_multiplied_by_n():
    estimator = OutputEstimator()
    estimator.learn("a", "m", 1000)
    assert estimator.estimate("a", "m", 50) == 50
    plain = prompt_tokens(chat("hi"))
    assert expected(estimator, max_tokens=50) == plain + 50
    assert expected(estimator, max_completion_tokens=50, n=3) == plain + 150
    assert expected(estimator) == plain + 1000


def test_a_new_tenant_starts_from_what_the_model_does_for_others():
    estimator = OutputEstimator()
    unknown = estimator.estimate("b", "m")
    estimator.learn("a", "m", 20)
    assert estimator.estimate("b", "m") == 20 != unknown


def test_only_so_many_pairs_are_remembered_and_the_longest_unused_goes():
    estimator = OutputEstimator(max_keys=4)
    estimator.learn("a", "m", 20)
    for tenant in "bcdefgh":
        estimator.learn(tenant, "m", 500)
        estimator.learn("a", "m", 20)
    assert len(estimator) == 4
    assert estimator.estimate("a", "m") == 20
