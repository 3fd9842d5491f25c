"""Corruptions of instructions: what each must and must not change, word by word."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from corrupt_fakes import samples, say_otherwise

from plait.data.corrupt import corruption
from plait.data.corrupt.base import generator
from plait.data.corrupt.spelling import NEIGHBOURS, TYPOS
from plait.envs.tabletop.grammar import SYNONYMS, instruct, parse, wordings
from plait.envs.tabletop.tasks import all_tasks
from plait.errors import OptionError, UnknownNameError

SENTENCE = "stack the large red cylinder carefully upon that yellow box"
WORDS = SENTENCE.split()
SEEDS = range(60)


def say(name, severity, text, seed=0, **options):
    return corruption(name, severity, **options).change(text, generator(seed))


def refuse(instruction, rng):
    raise AssertionError("asked for a paraphrase of what is absent")


def misplaced(text):
    """How many places of the sentence hold another word."""
    return sum(new != old for new, old in zip(text.split(), WORDS, strict=True))


def test_an_absent_instruction_is_left_alone():
    observation = samples().without("language")
    observation = replace(observation, instruction=("\N{REPLACEMENT CHARACTER}",) * 3)
    options = {"paraphrase": refuse}
    kept = corruption("paraphrase", 5, **options)(observation, torch.arange(3))
    assert kept.instruction == observation.instruction


@pytest.mark.parametrize("name", ["empty", "paraphrase", "other_instruction"])
def test_whole_instructions_are_hit_in_a_share_of_the_episodes_that_grows(name):
    options = {
        "empty": {},
        "paraphrase": {"paraphrase": say_otherwise},
        "other_instruction": {"others": ("a", "b")},
    }[name]
    hit = [
        {seed for seed in range(400) if say(name, severity, SENTENCE, seed, **options) != SENTENCE}
        for severity in (1, 2, 3, 4, 5)
    ]
    assert all(less < more for less, more in pairwise(hit))
    # Five standard errors of a share of 400 are at most 0.125.
    assert all(
        abs(len(seeds) / 400 - share) < 0.125
        for seeds, share in zip(hit, (0.2, 0.4, 0.6, 0.8, 1), strict=True)
    )


def test_empty_says_nothing_and_masks_nothing():
    observation = samples()
    silent = corruption("empty", 5)(observation, torch.arange(3))
    assert silent.instruction == ("", "", "")
    assert silent.modality_mask["language"].all()


@pytest.mark.parametrize(("severity", "num_lost"), [(1, 2), (2, 4), (3, 6), (4, 8), (5, 10)])
def test_masked_words_are_lost_and_the_others_stay_in_order(severity, num_lost):
    for seed in SEEDS:
        left = say("masked_words", severity, SENTENCE, seed).split()
        assert len(left) == 10 - num_lost
        places = iter(WORDS)
        assert all(word in places for word in left)
        marked = say("masked_words", severity, SENTENCE, seed, mask_word="[MASK]").split()
        assert [word for word in marked if word != "[MASK]"] == left
        assert len(marked) == 10


def test_one_word_of_a_short_instruction_is_lost_at_least():
    assert {say("masked_words", 1, "go home", seed) for seed in SEEDS} == {"go", "home"}
    assert say("masked_words", 1, "") == ""


@pytest.mark.parametrize(("severity", "num_moved"), [(1, 2), (2, 4), (3, 6), (4, 8), (5, 10)])
def test_shuffled_words_are_the_same_words_elsewhere(severity, num_moved):
    assert len(set(WORDS)) == 10
    for seed in SEEDS:
        shuffled = say("shuffled_words", severity, SENTENCE, seed)
        assert Counter(shuffled.split()) == Counter(WORDS)
        assert misplaced(shuffled) == num_moved


def test_a_single_word_cannot_be_shuffled():
    assert say("shuffled_words", 5, "go") == "go"
    assert say("shuffled_words", 1, "go home") == "home go"


@pytest.mark.parametrize(("severity", "num_hit"), [(1, 2), (2, 3), (3, 5), (4, 6), (5, 7)])
def test_typos_hit_long_words_alone_and_each_is_changed(severity, num_hit):
    # stack, large, cylinder, carefully, upon, that, yellow: seven of more than 3 letters.
    long = [index for index, word in enumerate(WORDS) if len(word) > 3]
    assert len(long) == 7
    for seed in SEEDS:
        text = say("typos", severity, SENTENCE, seed).split()
        changed = [i for i, (new, old) in enumerate(zip(text, WORDS, strict=True)) if new != old]
        assert len(changed) == num_hit
        assert set(changed) <= set(long)


def test_typos_spare_spaces_signs_and_numbers():
    text = "Stack,  it (carefully) 12345 times!"
    new = say("typos", 5, text, kinds=("omit_letter",))
    assert len(new) == len(text) - 3
    assert (new[0], new[4:7]) == ("S", ",  ")
    assert "12345" in new
    assert new.endswith("s!")


def letters_between(word):
    return sorted(word[1:-1])


@pytest.mark.parametrize("word", ["cube", "ball", "yellow", "Cylinder", "book", "carefully"])
def test_every_kind_of_typo_is_what_it_says(word):
    for seed in SEEDS:
        made = {kind: slip(word, np.random.default_rng(seed)) for kind, slip in TYPOS.items()}
        swapped = [i for i in range(len(word)) if made["swap_neighbours"][i] != word[i]]
        if word not in ("ball", "book"):
            first, second = swapped
            assert second == first + 1
            assert first > 0
            assert second < len(word) - 1
        for kind in ("swap_neighbours", "shuffle_middle"):
            assert letters_between(made[kind]) == letters_between(word)
            assert (made[kind][0], made[kind][-1]) == (word[0], word[-1])
        if word != "book":
            assert made["shuffle_middle"] != word
        pairs = zip(made["neighbouring_key"], word, strict=True)
        ((pressed, meant),) = [(new, old) for new, old in pairs if new != old]
        assert pressed.lower() in NEIGHBOURS[meant.lower()]
        assert pressed.isupper() == meant.isupper()
        assert made["repeat_letter"] in {word[: i + 1] + word[i:] for i in range(len(word))}
        assert made["omit_letter"] in {word[:i] + word[i + 1 :] for i in range(1, len(word) - 1)}


def test_a_slip_that_cannot_change_a_word_gives_way_to_another():
    assert TYPOS["swap_neighbours"]("book", np.random.default_rng(0)) == "book"
    kinds = ("swap_neighbours", "omit_letter")
    assert {say("typos", 5, "book", seed, kinds=kinds) for seed in SEEDS} == {"bok"}
    assert say("typos", 5, "book", kinds=("swap_neighbours",)) == "book"


def test_keys_are_neighbours_both_ways():
    assert set(NEIGHBOURS["g"]) == set("fhtyvb")
    assert set(NEIGHBOURS["q"]) == set("wa")
    assert set(NEIGHBOURS["p"]) == set("ol")
    assert set(NEIGHBOURS) == set("abcdefghijklmnopqrstuvwxyz")
    for key, others in NEIGHBOURS.items():
        assert all(key in NEIGHBOURS[other] for other in others)


def test_other_letters_have_no_keys_and_are_misspelt_otherwise():
    assert TYPOS["neighbouring_key"]("возьми", np.random.default_rng(0)) == "возьми"
    assert say("typos", 5, "возьми", kinds=("neighbouring_key", "omit_letter")) != "возьми"


def test_synonyms_replace_their_words_alone():
    options = {"synonyms": {"red": ("scarlet",), "Box": ("bin", "tray"), "absent": ("gone",)}}
    assert {say("synonyms", 5, SENTENCE, seed, **options) for seed in SEEDS} == {
        SENTENCE.replace("red", "scarlet").replace("box", other) for other in ("bin", "tray")
    }
    # Not within "boxes", and one of two at the least.
    assert say("synonyms", 5, "boxes and reds", **options) == "boxes and reds"
    assert {say("synonyms", 1, "red red", seed, **options) for seed in SEEDS} == {
        "scarlet red",
        "red scarlet",
    }


def test_the_longer_of_two_synonyms_is_taken_and_capitals_stay():
    options = {"synonyms": {"pick": ("choose",), "pick up": ("lift",), "c++": ("code",)}}
    assert (
        say("synonyms", 5, "Pick up the cup, pick a cup", **options) == "Lift the cup, choose a cup"
    )


def test_the_other_instruction_is_never_the_same():
    others = ("go home", "dance", "Go  Home", "sing")
    drawn = {say("other_instruction", 5, "go home ", seed, others=others) for seed in SEEDS}
    assert drawn == {"dance", "sing"}


def test_options_that_cannot_work_are_refused():
    with pytest.raises(
        OptionError, match=r"other_instruction draws from \['go', ' GO'\], but needs"
    ):
        corruption("other_instruction", 1, others=["go", " GO"])
    with pytest.raises(OptionError, match=r"synonyms has no synonym for \['cube'\]"):
        corruption("synonyms", 1, synonyms={"cube": ()})
    with pytest.raises(OptionError, match="synonyms has no synonym for any word"):
        corruption("synonyms", 1, synonyms={})
    with pytest.raises(OptionError, match="typos has no kinds to choose from"):
        corruption("typos", 1, kinds=())
    with pytest.raises(UnknownNameError, match="unknown kind of typo 'swap_letters'; did you mean"):
        corruption("typos", 1, kinds=("swap_letters",))


def test_the_tabletops_paraphrases_keep_the_task_and_its_other_instructions_do_not():
    def reword(instruction, rng):
        return instruct(parse(instruction), rng, paraphrase=True)

    tasks = list(all_tasks())[::37]
    others = [wordings(task)[0] for task in tasks]
    for seed, task in enumerate(tasks):
        (text,) = wordings(task)
        assert parse(say("paraphrase", 5, text, seed, paraphrase=reword)) == task
        assert parse(say("other_instruction", 5, text, seed, others=others)) != task
        assert say("synonyms", 5, text, seed, synonyms=SYNONYMS) != text
