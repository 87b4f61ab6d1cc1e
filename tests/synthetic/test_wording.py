from __future__ import annotations

import numpy as np

from recsys.synthetic import queries, wording


def test_all_but_slips_can_be_undone() -> None:
    rng = np.random.default_rng(1)
    query = rng.choice(queries.all_phrases(), 3_000)
    how = wording.draw(rng, 3_000, 0.8)
    for phrase, way in zip(query.tolist(), how.tolist(), strict=True):
        text = wording.typed(phrase, way)
        assert wording.plain(text) == wording.plain(queries.text(phrase)), (text, queries.text(phrase))
    assert not wording.slipped(how).any()
    assert 0.1 < np.mean(how == 0) < 0.3


def test_slips_change_what_is_read() -> None:
    rng = np.random.default_rng(2)
    query = rng.choice(queries.all_phrases(), 2_000)
    how = wording.draw(rng, 2_000, 1.0, 1.0)
    assert wording.slipped(how).all()
    same = [
        wording.plain(wording.typed(q, w)) == wording.plain(queries.text(q))
        for q, w in zip(query.tolist(), how.tolist(), strict=True)
    ]
    # A slip that only doubles a plural s, or a phrase too short for one.
    assert np.mean(same) < 0.06


def test_phrases_that_read_the_same_are_one() -> None:
    phrases = queries.all_phrases()
    texts = [wording.plain(queries.text(q)) for q in phrases.tolist()]
    assert len(set(texts)) == len(phrases)
    trench = queries.encode(np.array([2, 2]), np.array([0, 2]), np.zeros(2, int), np.ones(2, int))
    assert len(set(queries.canonical(trench).tolist())) == 1
    assert queries.canonical(np.array([wording.NO_PHRASE])).tolist() == [wording.NO_PHRASE]


def test_a_phrase_knows_what_it_names() -> None:
    query = queries.encode(
        np.array([0]), np.array([2]), queries.attribute_modifier(np.array([4])), np.array([0])
    )
    assert queries.text(int(query[0])) == "green wrap dress"
    assert queries.attribute_of(query).tolist() == [4]
    assert queries.brand_of(query).tolist() == [-1]
    assert queries.noun_of(query).tolist() == [2]


def test_what_is_no_phrase_reads_like_none() -> None:
    known = {wording.plain(queries.text(q)) for q in queries.all_phrases().tolist()}
    for way in range(2 * len(wording.NO_PHRASES)):
        assert wording.plain(wording.typed(wording.NO_PHRASE, way)) not in known
