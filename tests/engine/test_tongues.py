"""What an encoder reads: the real embedded encoder, which knows English, and constructed ones for the rest."""

import time

import numpy as np
import pytest

from engine import tongues
from engine.tongues import agreement, reads

OTHERS = [code for code in tongues.tested() if code != "en"]


class Constructed:
    """Gives every sentence the vector that ``place`` finds for (language, meaning, way to say it).

    A real multilingual encoder is too large for a test; this one stands for it.
    """

    def __init__(self, place, fingerprint):
        self.fingerprint, self.calls = fingerprint, 0
        self._place = place
        self._where = {
            text: (code, meaning, way)
            for code, pairs in tongues._sentences().items()
            for meaning, pair in enumerate(pairs)
            for way, text in enumerate(pair)
        }

    def encode(self, texts):
        self.calls += 1
        vectors = np.stack([self._place(*self._where[text]) for text in texts]).astype(np.float32)
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def noise(*key):
    return np.random.default_rng([ord(c) for part in key for c in str(part)]).standard_normal(32)


def by_meaning(known):
    """Return vectors by meaning for the languages that are known, and by nothing else for the others."""

    def place(code, meaning, way):
        return (3 * noise("meaning", meaning) if code in known else 0) + noise(code, meaning, way)

    return place


@pytest.mark.models
def test_the_embedded_encoder_reads_english(encoder):
    assert reads(encoder, "en") is True


@pytest.mark.models
@pytest.mark.parametrize("code", OTHERS)
def test_the_embedded_encoder_reads_no_other_language(encoder, code):
    assert reads(encoder, code) is False
    assert agreement(encoder, code) <= agreement(encoder, "en") - 0.15, "the two lie clearly apart"


@pytest.mark.models
def test_an_answer_is_quick_and_then_remembered(encoder):
    reads(encoder, "en")
    reads(encoder, "ru")
    began = time.perf_counter()
    for _ in range(100):
        reads(encoder, "ru")
    assert time.perf_counter() - began < 0.05


@pytest.mark.parametrize("code", ["sv", "th", "zu", "", "xx-yy"])
def test_of_a_language_without_sentences_nothing_is_known(code):
    asked = Constructed(by_meaning({"en"}), "constructed-none")
    assert reads(asked, code) is None
    assert asked.calls == 0


def test_both_ways_to_write_chinese_are_one_language():
    asked = Constructed(by_meaning({"en", "zh"}), "constructed-chinese")
    assert reads(asked, "zh-cn") is True
    calls = asked.calls
    assert reads(asked, "zh-tw") is True
    assert asked.calls == calls


def test_an_encoder_that_lays_translations_together_reads_them_and_no_others():
    known = {"en", "zh", "ja", "ar", "fr", "hi"}
    asked = Constructed(by_meaning(known), "constructed-many")
    assert {code for code in tongues.tested() if reads(asked, code)} == known


def test_an_encoder_of_one_language_reads_it_although_it_knows_no_english():
    asked = Constructed(by_meaning({"zh"}), "constructed-one")
    assert {code for code in tongues.tested() if reads(asked, code)} == {"zh"}


def test_narrow_cosines_do_not_matter():
    # As the multilingual E5 models give them: all similarities are high.
    def place(code, meaning, way):
        return 6 * noise("all") + by_meaning(set(tongues.tested()))(code, meaning, way)

    asked = Constructed(place, "constructed-narrow")
    assert all(reads(asked, code) for code in tongues.tested())


def test_an_encoder_that_tells_languages_apart_but_no_meanings_reads_none():
    asked = Constructed(lambda code, meaning, way: 5 * noise(code) + noise(code, meaning, way), "constructed-script")
    assert not any(reads(asked, code) for code in tongues.tested())


@pytest.mark.parametrize("vector", [np.zeros(8), np.ones(8)])
def test_an_encoder_that_gives_the_same_vector_for_everything_reads_nothing(vector):
    asked = Constructed(lambda *_: vector, f"constructed-{vector[0]}")
    assert not any(reads(asked, code) for code in tongues.tested())


def test_chance_seldom_looks_like_reading():
    rng = np.random.default_rng(0)
    found = [tongues._correlation(rng.standard_normal((6, 6))) for _ in range(2000)]
    assert np.mean(np.array(found) >= tongues._LEAST) < 0.005


def test_every_language_says_the_same_meanings_in_two_ways_each():
    for pairs in tongues._sentences().values():
        assert len(pairs) == 6
        assert len({text for pair in pairs for text in pair}) == 12
        assert all(text.strip() for pair in pairs for text in pair)
