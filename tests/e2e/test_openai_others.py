"""Embeddings, completions and models by the official client."""

import openai
import pytest


def test_embeddings_as_the_client_asks_for_them(client: openai.OpenAI) -> None:
    """That is as base64, which it decodes itself."""
    answer = client.embeddings.create(model="vectors", input="one text")
    (item,) = answer.data
    assert len(item.embedding) == 8
    assert sum(value * value for value in item.embedding) == pytest.approx(1.0, abs=1e-5)
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 0


def test_floats_and_base64_are_the_same_vectors(client: openai.OpenAI) -> None:
    floats = client.embeddings.create(model="vectors", input=["a", "b"], encoding_format="float")
    packed = client.embeddings.create(model="vectors", input=["a", "b"])
    assert [item.index for item in floats.data] == [0, 1]
    for one, other in zip(floats.data, packed.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-6)


def test_base64_stays_text_where_it_was_asked_for(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model="vectors", input="a", encoding_format="base64")
    assert isinstance(answer.data[0].embedding, str)


def test_dimensions(client: openai.OpenAI) -> None:
    assert len(client.embeddings.create(model="vectors", input="a", dimensions=3).data[0].embedding) == 3


@pytest.mark.parametrize("tokens", [[1, 2, 3], [[1, 2], [3]]])
def test_embeddings_of_tokens(client: openai.OpenAI, tokens: list) -> None:
    answer = client.embeddings.create(model="vectors", input=tokens)
    assert len(answer.data) == (1 if tokens == [1, 2, 3] else 2)
    assert answer.usage.prompt_tokens == 3


async def test_embeddings_by_the_async_client(async_client: openai.AsyncOpenAI) -> None:
    answer = await async_client.embeddings.create(model="vectors", input=["a", "b", "c"])
    assert len(answer.data) == 3


def test_a_completion(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="small", prompt="Once upon a time", max_tokens=4)
    assert answer.object == "text_completion"
    assert answer.choices[0].text == "You said: Once upon "
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 4


def test_completions_of_several_prompts(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="small", prompt=["One", "Two"], n=2, echo=False, suffix=None)
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert answer.choices[0].text.startswith("You said: One")
    assert answer.choices[2].text.startswith("You said: Two")


@pytest.mark.parametrize("tokens", [[1, 2, 3], [[1, 2, 3]]])
def test_a_completion_of_tokens(client: openai.OpenAI, tokens: list) -> None:
    answer = client.completions.create(model="small", prompt=tokens)
    assert answer.usage.prompt_tokens == 3


def test_a_streamed_completion(client: openai.OpenAI) -> None:
    whole = client.completions.create(model="paced", prompt="Once").choices[0].text
    stream = client.completions.create(
        model="paced", prompt="Once", stream=True, stream_options={"include_usage": True}
    )
    *parts, last = list(stream)
    assert "".join(part.choices[0].text for part in parts) == whole
    assert parts[-1].choices[0].finish_reason == "stop"
    assert last.choices == []
    assert last.usage.completion_tokens == 50


def test_the_models(client: openai.OpenAI) -> None:
    models = {model.id: model for model in client.models.list()}
    assert {"small", "vectors", "alias"} <= models.keys()
    assert models["small"].owned_by == "simulator"
    assert models["small"].object == "model"


def test_one_model(client: openai.OpenAI) -> None:
    assert client.models.retrieve("alias").id == "alias"
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("smal")
    assert "did you mean 'small'" in caught.value.message
    assert caught.value.code == "model_not_found"
