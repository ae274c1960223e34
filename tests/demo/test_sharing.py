"""Bundles to a dataset repository and back: the real client of the Hub against a stand-in server."""

from __future__ import annotations

import pytest

from demo import catalogue, sharing
from demo.catalogue import Entry, Source
from engine import storage
from engine.errors import BundleError, InputError
from tests.demo import repository
from tests.demo.repository import FILES, MEMORY, NAME, TOKEN, built, files, held, publish, pull, replace
from tests.hub_server import HubServer

hub, places = repository.hub, repository.places


# There and back


def test_what_is_published_can_be_pulled_elsewhere(hub, places, tmp_path):
    entry = built(tmp_path / "here")
    commit = publish(entry)
    assert len(commit) == 40
    assert pull(places) == {"tide-mill": "pulled"}
    folder = places.added / "tide-mill"
    assert held(folder / "bundle") == held(entry.bundle)
    assert storage.read(folder / "bundle").memory.keys() == MEMORY.keys()
    pulled = catalogue.Catalogue(places.added, tmp_path / "none").entries()["tide-mill"]
    source = Source(kind="repository", places=(f"{NAME}@{commit}/tide-mill",))
    assert pulled.manifest == entry.manifest.model_copy(update={"made_from": (source,)})
    assert pulled.origin == "pulled"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert not list((places.fetched / "hub").glob("bundles--*")), "nothing is kept twice"


def test_a_repository_holds_what_is_needed_and_nothing_of_where_it_was_made(hub, tmp_path):
    publish(built(tmp_path / "here"), built(tmp_path / "here", "lamp", with_memory=False))
    assert set(files(hub)) == {
        ".gitattributes",
        "README.md",
        "tide-mill/manifest.json",
        *(f"tide-mill/bundle/{name}" for name in FILES),
        "lamp/manifest.json",
        *(f"lamp/bundle/{name}" for name in FILES[:3]),
    }
    assert NAME in hub.private
    assert b"somebody" not in b"".join(files(hub).values())
    assert b"mill.txt" in files(hub)["tide-mill/manifest.json"]
    assert set(hub.large.values()) == {data for path, data in files(hub).items() if path.endswith(".bin")}


def test_another_bundle_than_its_own_may_be_published(hub, places, tmp_path):
    entry, other = built(tmp_path / "here", with_memory=False), built(tmp_path / "kept")
    publish(entry, bundles={"tide-mill": other.bundle})
    assert pull(places) == {"tide-mill": "pulled"}
    assert held(places.added / "tide-mill" / "bundle") == held(other.bundle)


def test_what_is_published_again_replaces_what_was_there_and_leaves_the_rest(hub, places, tmp_path):
    first = publish(built(tmp_path / "one"), built(tmp_path / "one", "lamp"))
    assert publish(built(tmp_path / "one"), built(tmp_path / "one", "lamp")) == first, "nothing new, no commit"
    before = files(hub)
    publish(built(tmp_path / "two", text="Another text.", with_memory=False, title="The mill, again"))
    assert "tide-mill/bundle/memory.bin" not in files(hub)
    assert {path for path in before if before[path] == files(hub).get(path)} == {
        ".gitattributes",
        "tide-mill/bundle/index.bin",
        "lamp/manifest.json",
        *(f"lamp/bundle/{name}" for name in FILES),
    }
    found, commit = sharing.listing(NAME, token=TOKEN)
    assert {slug: manifest.title for slug, manifest in found.items()} == {
        "lamp": "The lamp",
        "tide-mill": "The mill, again",
    }
    assert commit == hub.commit(NAME)


def test_the_card_tells_what_there_is_and_keeps_what_people_wrote(hub, tmp_path):
    publish(built(tmp_path / "one", title="Mills | <b>more</b>"))
    card = files(hub)["README.md"].decode()
    assert "| tide-mill | Mills \\| &lt;b&gt;more&lt;/b&gt; | en | CC0\\-1.0 |" in card
    assert f"python -m demo.corpora pull {NAME}" in card
    replace(hub, **{"README.md": f"# Ours\n\n{card.partition('Memorised corpora')[2]}\nThanks.\n".encode()})
    publish(built(tmp_path / "one", "lamp"))
    card = files(hub)["README.md"].decode()
    assert card.startswith("# Ours\n")
    assert card.endswith("\nThanks.\n")
    assert card.count("| tide-mill |") == card.count("| lamp |") == 1
    replace(hub, **{"README.md": b"# Mine\n"})
    publish(built(tmp_path / "one", "lamp"))
    assert files(hub)["README.md"].decode().startswith("# Mine\n\n<!-- corpora -->\n")


def test_progress_is_told_in_bytes(hub, places, tmp_path):
    sent, got = [], []
    entry = built(tmp_path / "here")
    publish(entry, on_progress=sent.append)
    pull(places, on_progress=got.append)
    assert {event.stage for event in sent} == {"uploading"}
    assert sent[-1].done == sent[-1].total == sum(map(len, files(hub).values())) - len(files(hub)[".gitattributes"])
    assert {event.stage for event in got} == {"downloading"}
    assert got[-1].done == got[-1].total == sum(len(held(entry.bundle)[name]) for name in FILES[1:])
    for events in (sent, got):
        assert [event.done for event in events] == sorted(event.done for event in events)


# What is not published


def refused(hub: HubServer, entry: Entry, **asked) -> str:
    """The sentence that says why nothing is published, before anything is asked of the Hub."""
    hub.requests.clear()
    with pytest.raises((InputError, BundleError)) as told:
        publish(entry, **asked)
    assert not hub.requests
    return str(told.value)


def test_what_may_not_be_published_is_refused_before_anything_is_sent(hub, tmp_path):
    entry = built(tmp_path / "here")
    assert refused(hub, built(tmp_path / "here", "mine", private=True)) == (
        "The corpus 'mine' is private; build it again with --shared, if you may share its text."
    )
    assert refused(hub, entry, token=" ") == "Publishing takes a token that may write; set HF_TOKEN to one."
    assert (
        refused(hub, entry, bundles={"tide-mill": tmp_path})
        == "The corpus 'tide-mill' has no bundle yet; build it first."
    )
    for part in ("manifest", "texts"):
        other = entry.manifest.bundle.model_copy(update={part: "0" * 64})
        said = refused(hub, built(tmp_path / "here", bundle=other))
        assert said == "The bundle of the corpus 'tide-mill' belongs to other texts; build it again."
    with pytest.raises(InputError, match="publishing goes to 'main'"):
        sharing.publish([entry], f"{NAME}@v1", token=TOKEN)
    with pytest.raises(InputError, match="nothing to publish"):
        publish()
    assert not hub.requests


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_bundle_is_not_published(hub, tmp_path, name):
    entry = built(tmp_path / "here")
    path = entry.bundle / name
    path.write_bytes(path.read_bytes()[:-3] + b"???")
    assert refused(hub, entry).startswith("The corpus 'tide-mill' has no whole bundle; build it again. (")


@pytest.mark.parametrize(
    "name", ["corpora", "a/b/c", "a/", "a/b@", "../b", "a/b@../c", "a b/c", "a/" + "b" * 120, "a/b--c"]
)
def test_what_names_no_repository_is_refused(places, name):
    with pytest.raises(InputError, match="names no dataset repository; give 'owner/name'"):
        sharing.repository_of(name)
    with pytest.raises(InputError, match="names no dataset repository"):
        sharing.pull(name, (), places)


def test_a_repository_may_be_named_with_a_revision():
    assert sharing.repository_of(" some-one/my.corpora ") == ("some-one/my.corpora", None)
    assert sharing.repository_of("a/b@refs/pr/3") == ("a/b", "refs/pr/3")


def test_a_public_repository_is_no_place_for_what_is_to_stay_private(hub, tmp_path):
    entry = built(tmp_path / "here")
    publish(entry, private=False)
    assert NAME not in hub.private
    before = files(hub)
    with pytest.raises(InputError, match="is public; give --public if that is meant"):
        publish(built(tmp_path / "here", "lamp"))
    assert files(hub) == before


def test_what_another_publishes_meanwhile_is_not_undone(hub, tmp_path):
    publish(built(tmp_path / "here"))

    def meanwhile(_: object) -> None:
        replace(hub, **{"other.txt": b"new"})

    with pytest.raises(BundleError, match="was changed meanwhile; publish again"):
        publish(built(tmp_path / "here", "lamp"), on_progress=meanwhile)
    assert "lamp/manifest.json" not in files(hub)
