"""Factors of instructions: against one comparison at a time, exact chance, and known extremes."""

import pytest
import torch

from plait.aligner import instruction_groups
from plait.evaluation.alignment import measure_alignment
from plait.evaluation.embeddings import EmbeddedSteps
from plait.evaluation.factors import factor_recalls, factor_values
from plait.results.alignment import LAST_FIFTH, WHOLE_EPISODES

STEPS_PER_EPISODE = 10
NUM_EPISODES = 40
SENTENCES = tuple(
    f"{verb} the {colour} {shape}"
    for verb, colour, shape in (
        ("touch", "red", "cube"),
        ("touch", "red", "ball"),
        ("touch", "blue", "cube"),
        ("lift", "red", "cube"),
        ("lift", "green", "ball"),
        ("push", "green", "cross"),
        ("push", "blue", "ball"),
    )
)


def read(text):
    words = text.split()
    if len(words) != 4:
        return None
    return {"verb": words[0], "colour": words[2], "object": words[3]}


def unit(values):
    return torch.nn.functional.normalize(values, dim=1)


def texts_of(groups, width, generator):
    """One random vector an instruction: the same text has the same embedding."""
    _, which = torch.unique(groups, return_inverse=True)
    return unit(torch.randn(int(which.max()) + 1, width, generator=generator))[which]


def make_steps(seed=0, width=8, make_vision=None, sentences=SENTENCES):
    generator = torch.Generator().manual_seed(seed)
    count = NUM_EPISODES * STEPS_PER_EPISODE
    episodes = torch.arange(count) // STEPS_PER_EPISODE
    drawn = torch.randint(len(sentences), (NUM_EPISODES,), generator=generator)
    instructions = tuple(sentences[drawn[episode]] for episode in episodes)
    groups = instruction_groups(instructions)
    text = texts_of(groups, width, generator)
    vision = unit(torch.randn(count, width, generator=generator))
    return EmbeddedSteps(
        values={
            "vision": vision if make_vision is None else make_vision(text, vision),
            "language": text,
            "action": vision,
        },
        groups=groups,
        episodes=episodes,
        progress=(torch.arange(count) % STEPS_PER_EPISODE) / (STEPS_PER_EPISODE - 1),
        chunks=torch.zeros(count, 2),
        steps=torch.arange(count),
        instructions=instructions,
    )


def by_key(found):
    return {(f.factor, f.query, f.stretch): f for f in found}


def slow(test, names, query, starts_at):
    """Recall and chance by one comparison at a time."""
    frames = [i for i, at in enumerate(test.progress.tolist()) if at >= starts_at]
    first = {}
    for index, text in enumerate(test.instructions):
        first.setdefault(text, index)

    def value(index):
        return [read(test.instructions[index])[name] for name in names]

    if query == "vision":
        queries, items, target = frames, list(first.values()), "language"
    else:
        there = {test.instructions[i] for i in frames}
        queries, items, target = [first[t] for t in first if t in there], frames, "vision"
    hits, chances = [], []
    for asked in queries:
        scores = [float(test.values[query][asked] @ test.values[target][i]) for i in items]
        best = items[scores.index(max(scores))]
        hits.append(value(best) == value(asked))
        chances.append(sum(value(i) == value(asked) for i in items) / len(items))
    return sum(hits) / len(hits), sum(chances) / len(chances), len(queries)


@pytest.mark.parametrize("query", ["vision", "language"])
@pytest.mark.parametrize(("stretch", "starts_at"), [(WHOLE_EPISODES, 0.0), (LAST_FIFTH, 0.8)])
def test_recall_and_chance_are_those_of_one_comparison_at_a_time(query, stretch, starts_at):
    test = make_steps(make_vision=lambda text, noise: unit(text + 0.8 * noise))
    found = by_key(factor_recalls(test, read))
    for names in (["verb"], ["colour"], ["object"], ["verb", "colour", "object"]):
        each = found[" + ".join(names), query, stretch]
        recall, chance, count = slow(test, names, query, starts_at)
        assert each.recall == pytest.approx(recall)
        assert each.chance == pytest.approx(chance)
        assert each.num_queries == count
        assert 0 <= each.low <= each.recall <= each.high <= 1
        # A case where every answer is right or none is would tell little.
        assert query == "language" or 0.3 < each.recall < 1


def test_a_perfect_embedding_is_always_right():
    test = make_steps(make_vision=lambda text, _: text)
    found = factor_recalls(test, read)
    assert len(found) == 16
    for each in found:
        assert (each.recall, each.low, each.high) == (1.0, 1.0, 1.0)
        assert each.chance < 0.6


def test_a_collapsed_embedding_is_exactly_at_chance():
    test = make_steps(make_vision=lambda text, _: unit(torch.ones_like(text)))
    test.values["language"].copy_(test.values["vision"])
    for each in factor_recalls(test, read):
        assert each.recall == pytest.approx(each.chance, abs=1e-9)


def test_a_random_embedding_is_at_chance():
    num_draws = 60
    total = {}
    for seed in range(num_draws):
        for key, each in by_key(factor_recalls(make_steps(seed, width=32), read)).items():
            total.setdefault(key, []).append(each.recall - each.chance)
    for key, differences in total.items():
        assert len(differences) == num_draws
        assert sum(differences) / num_draws == pytest.approx(0, abs=0.07), key


def test_a_part_that_is_seen_is_told_from_one_that_is_not():
    colours = {"red": 0, "blue": 1, "green": 2}
    test = make_steps(width=3)
    seen = torch.eye(3)[[colours[read(text)["colour"]] for text in test.instructions]]
    for values in test.values.values():
        values.copy_(seen)
    found = by_key(factor_recalls(test, read))
    for query in ("vision", "language"):
        assert found["colour", query, WHOLE_EPISODES].recall == 1.0
        assert found["verb", query, WHOLE_EPISODES].recall < 0.8
        assert found["object", query, WHOLE_EPISODES].recall < 0.8


def test_an_interval_draws_episodes_not_frames():
    def right_in_even_episodes(text, noise):
        episodes = torch.arange(len(text)) // STEPS_PER_EPISODE
        return torch.where((episodes % 2 == 0).unsqueeze(1), text, -text)

    test = make_steps(width=64, make_vision=right_in_even_episodes)
    each = by_key(factor_recalls(test, read))["verb + colour + object", "vision", WHOLE_EPISODES]
    assert each.recall == pytest.approx(0.5)
    # Of 40 episodes ±0.155; of 400 independent frames it would be ±0.049.
    assert each.high - each.low > 0.2


def test_there_are_no_factors_where_a_sentence_cannot_be_read():
    test = make_steps(sentences=(*SENTENCES, "do something"))
    assert "do something" in test.instructions
    assert factor_recalls(test, read) == ()


def test_a_factor_that_never_varies_is_left_out():
    texts = [text for text in SENTENCES if text.startswith("touch")]
    assert list(factor_values(texts, read)) == ["colour", "object", "colour + object"]
    assert list(factor_values(texts[:2], read)) == ["object"]
    assert factor_values(texts[:1], read) == {}
    assert factor_values([], read) == {}


def test_only_factors_of_every_instruction_count():
    def factors_of(text):
        words = text.split()
        return {"verb": words[0]} | ({"object": words[3]} if len(words) == 4 else {})

    assert list(factor_values(["wave now", "touch the red cube"], factors_of)) == ["verb"]


def test_a_stretch_without_steps_is_left_out():
    test = make_steps()
    test.progress.fill_(0.1)
    assert {each.stretch for each in factor_recalls(test, read)} == {WHOLE_EPISODES}


def test_measures_hold_factors_where_they_are_asked_for():
    test = make_steps()
    assert measure_alignment(test, test).factors == ()
    measured = measure_alignment(test, test, factors_of=read)
    assert measured.factors == factor_recalls(test, read)
