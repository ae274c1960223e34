"""What tests of pictures share: two visitors, what they upload, and how their browsers ask."""

from __future__ import annotations

import asyncio
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.middleware import Middleware

from demo import text
from demo.identity import COOKIE, Recognise, new_token, owner_of
from demo.pictures import Pictures, picture_of
from engine.events import Passage, Source

DATA = Path(__file__).parents[1] / "data"
LIGHTHOUSE = DATA / "lighthouse.pdf"
STORM = "the ninth of November 1893"
ANNA, BERT = new_token(), new_token()
OWNER = owner_of(ANNA, None)
LINES = [f"Line {number} of the ledger names the {number * 13} geese of the miller." for number in range(30)]
OTHER = [f"Row {number} of the diary says that the sea was {number * 7} feet deep." for number in range(30)]


@pytest.fixture(name="drawing")
def some_pictures(service):
    """The pictures of the shared service; what the test's visitors memorised is deleted afterwards."""
    pictures = Pictures(service)
    yield pictures
    pictures.close()
    for token in (ANNA, BERT):
        service.delete(owner_of(token, None))


@pytest.fixture(name="get")
def a_browser(drawing):
    """Ask for addresses, all at once, as a visitor's browser does."""
    site = Starlette(routes=[drawing.route()], middleware=[Middleware(Recognise, max_age=60)])

    async def ask(addresses, token, headers):
        cookies = {COOKIE: token} if token else {}
        transport = httpx.ASGITransport(site)
        async with httpx.AsyncClient(transport=transport, base_url="http://page/", cookies=cookies) as client:
            return await asyncio.gather(*(client.get(address, headers=headers) for address in addresses))

    def ask_now(*addresses, token=ANNA, **headers):
        answers = asyncio.run(ask(addresses, token, headers))
        return answers[0] if len(addresses) == 1 else answers

    return ask_now


def passage_of(service, corpus, words, number=1, owner=OWNER):
    """A passage around some words of a corpus, and these words as its source."""
    for document in service.pipeline(corpus, owner).memorized.documents:
        at = document.text.find(words)
        if at >= 0 and number == 1:
            start, end = max(0, at - 100), at + len(words) + 100
            page = document.locate(at)[0]
            passage = Passage(1, document.text[start:end], document.name, start, end, page)
            return passage, [Source(1, at - start, at - start + len(words), page)]
        number -= at >= 0
    raise AssertionError(f"{words} is nowhere")


def address_of(service, corpus, words, number=1, owner=OWNER):
    return picture_of(service, owner, corpus)(*passage_of(service, corpus, words, number, owner))


def marked_rows(answer):
    """The rows of the picture with marked text in them."""
    image = Image.open(BytesIO(answer.content)).convert("RGB")
    rows = []
    for row in range(image.height):
        line = image.crop((0, row, image.width, row + 1)).tobytes()
        pixels = zip(line[::3], line[1::3], line[2::3], strict=True)
        if sum(red > 200 and green > 190 and blue < 135 for red, green, blue in pixels) > 20:
            rows.append(row)
    return rows


def is_none(answer):
    """Whether an answer says that there is no picture, and nothing else."""
    assert answer.status_code == 404
    assert answer.text == text.NO_PICTURE
    assert answer.headers["cache-control"] == "no-store"
    return True


def kept(service, corpus, owner=OWNER):
    folder = service.shelf.bundle(owner, corpus).parent / "pages"
    return sorted(folder.iterdir()) if folder.is_dir() else []
