"""The languages are the ones that fteproxy really uses: its automata say so, not its text."""

from __future__ import annotations

import random

import pytest

from obfsfte.classic import RELEASES, find_release
from obfsfte.errors import ConfigError
from obfsfte.regular import NotInLanguage

from .oracle import ALL, DEFINITIONS, DISTINCT, fte_dfa


def test_every_definition_is_there_and_no_other():
    assert {name: set(release.formats) for name, release in RELEASES.items()} == {
        name: set(formats) for name, formats in DEFINITIONS.items()
    }


@pytest.mark.parametrize(("release", "name"), ALL)
def test_the_format_says_where_it_is_from(release: str, name: str):
    format = RELEASES[release].format(name)
    assert (format.release, format.name) == (release, name)
    assert format.length == format.language().length == DEFINITIONS[release][name][1]


@pytest.mark.parametrize(("release", "name"), ALL)
def test_size_and_capacity_are_fteproxys(release: str, name: str):
    language = RELEASES[release].format(name).language()
    dfa = fte_dfa(release, name)
    assert language.size == dfa.num_words_in_language(language.length, language.length)
    # fte computes it in floating point: rounding must not have moved it for any of them.
    assert language.capacity - 1 == dfa.capacity


@pytest.mark.parametrize(("release", "name"), DISTINCT)
def test_strings_have_fteproxys_ranks(release: str, name: str):
    language = RELEASES[release].format(name).language()
    dfa = fte_dfa(release, name)
    chosen = random.Random(name)
    ranks = [0, 1, language.size - 1, *(chosen.randrange(language.size) for _ in range(40))]
    for rank in ranks:
        text = dfa.unrank(rank)
        assert language.unrank(rank) == text
        assert language.rank(text) == rank


@pytest.mark.parametrize(("release", "name"), DISTINCT)
def test_altered_strings_are_of_both_languages_or_of_neither(release: str, name: str):
    language = RELEASES[release].format(name).language()
    dfa = fte_dfa(release, name)
    chosen = random.Random(name)
    for _ in range(60):
        text = bytearray(dfa.unrank(chosen.randrange(language.size)))
        text[chosen.randrange(len(text))] = chosen.choice(b"aZ7./\\ -:=@,\r\n\x00\xff")
        try:
            expected = dfa.rank(bytes(text))
        except Exception:
            with pytest.raises(NotInLanguage):
                language.rank(bytes(text))
        else:
            assert language.rank(bytes(text)) == expected


def test_a_uri_of_manual_http_may_contain_a_backslash():
    language = RELEASES["20260110"].format("manual-http-request").language()
    language.rank(b"GET /" + b"\\" * 238 + b" HTTP/1.1\r\n\r\n")


def test_a_language_is_compiled_once():
    both = [release.format("manual-http-request") for release in RELEASES.values()]
    assert both[0].language() is both[1].language()


def test_a_name_means_the_same_in_both_releases():
    old, new = RELEASES["20131224"].formats, RELEASES["20260110"].formats
    shared = old.keys() & new.keys()
    assert len(shared) == 4
    assert all(
        (old[name].pattern, old[name].length) == (new[name].pattern, new[name].length)
        for name in shared
    )


def test_requests_and_their_responses():
    release = RELEASES["20131224"]
    assert [format.name for format in release.requests()] == [
        "manual-http-request",
        "manual-ssh-request",
        "dummy-request",
    ]
    request = release.format("manual-ssh-request")
    assert release.response_to(request) is release.format("manual-ssh-response")
    assert request.pair_name == release.response_to(request).pair_name == "manual-ssh"


def test_a_release_can_be_restricted():
    release = RELEASES["20260110"].only(["ssh", "words"])
    assert set(release.formats) == {
        "ssh-request",
        "ssh-response",
        "words-request",
        "words-response",
    }
    assert release.name == "20260110"


def test_an_unknown_release_is_explained():
    with pytest.raises(ConfigError) as caught:
        find_release("20200101")
    assert str(caught.value) == (
        "unknown format release '20200101': choose one of 20260110, 20131224"
    )
    assert find_release("20131224") is RELEASES["20131224"]


def test_an_unknown_format_is_explained():
    with pytest.raises(ConfigError) as caught:
        RELEASES["20131224"].format("manual-http")
    assert str(caught.value) == (
        "unknown format 'manual-http' in release 20131224: choose one of dummy-request, "
        "dummy-response, manual-http-request, manual-http-response, manual-ssh-request, "
        "manual-ssh-response"
    )


@pytest.mark.parametrize("name", ["nothing", "manual-http-request", ""])
def test_an_unknown_pair_is_explained(name):
    for find in (RELEASES["20131224"].request, lambda name: RELEASES["20131224"].only([name])):
        with pytest.raises(ConfigError) as caught:
            find(name)
        assert str(caught.value) == (
            f"unknown format {name!r} in release 20131224: choose one of dummy, manual-http, "
            "manual-ssh"
        )
