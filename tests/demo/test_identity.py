"""Who is who: the cookie that a browser gets, and the name that is made of it."""

import re
from types import SimpleNamespace

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from demo.api import visitor_of
from demo.identity import COOKIE, Recognise, new_token, owner_of, token_of
from demo.visitors import Visitors

TOKEN = "A" * 43


def page(request):
    return HTMLResponse("<p>A page.</p>")


def data(request):
    return JSONResponse({"token": token_of(request)})


@pytest.fixture
def browser():
    routes = [Route("/", page), Route("/gradio_api/upload", data, methods=["POST"])]
    routes += [Route("/data", data, methods=["GET", "POST"])]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(Recognise, max_age=3600)]))


def cookie_of(response):
    return response.headers.get("set-cookie", "")


def test_a_page_gives_a_new_browser_a_token_that_nobody_can_guess(browser):
    cookie = cookie_of(browser.get("/"))
    token = re.match(rf"{COOKIE}=([A-Za-z0-9_-]+);", cookie)[1]
    assert len(token) == 43, "256 bits"
    assert "HttpOnly" in cookie
    assert "Max-Age=3600" in cookie
    assert cookie_of(TestClient(browser.app).get("/")) != cookie


def test_a_browser_that_is_known_keeps_its_token_which_lasts_from_now_on(browser):
    first = cookie_of(browser.get("/"))
    assert cookie_of(browser.get("/")) == first
    assert cookie_of(browser.post("/gradio_api/upload")) == first


def test_only_pages_name_a_new_browser(browser):
    assert cookie_of(browser.get("/data")) == ""
    assert cookie_of(browser.post("/gradio_api/upload")) == ""


@pytest.mark.parametrize("bad", ["", "short", "A" * 44, "A" * 42 + "!", "../" * 14 + "x", "A" * 42 + "\u00e9"])
def test_a_token_that_is_none_is_replaced(browser, bad):
    cookie = cookie_of(browser.get("/", headers={"cookie": f"{COOKIE}={bad}".encode()}))
    assert re.match(rf"{COOKIE}=[A-Za-z0-9_-]{{43}};", cookie)
    assert owner_of(bad, "s") == owner_of(None, "s")


def test_other_cookies_however_odd_do_not_hide_the_token(browser):
    cookie = cookie_of(browser.get("/", headers={"cookie": f'a=b c; "x; é=1; {COOKIE}={TOKEN}; z'.encode()}))
    assert cookie.startswith(f"{COOKIE}={TOKEN};")


@pytest.mark.parametrize(
    ("headers", "is_secure"),
    [({}, False), ({"x-forwarded-proto": "https"}, True), ({"x-forwarded-proto": "http"}, False)],
)
def test_over_https_the_cookie_lives_in_a_frame_and_else_on_its_own_site_alone(browser, headers, is_secure):
    cookie = cookie_of(browser.get("/", headers=headers))
    assert ("SameSite=None; Secure; Partitioned" in cookie) == is_secure
    assert ("SameSite=Lax" in cookie) != is_secure


def test_a_server_that_speaks_https_itself_needs_no_proxy_to_say_so(browser):
    secure = TestClient(browser.app, base_url="https://testserver")
    assert "Partitioned" in cookie_of(secure.get("/"))
    assert "Partitioned" in cookie_of(secure.get("/", headers={"x-forwarded-proto": "https,http"}))


def test_no_proxy_keeps_a_page_that_names_one_visitor(browser):
    assert browser.get("/").headers["cache-control"] == "private, no-store"
    assert "cache-control" not in browser.get("/data").headers


# Scripts of other sites. The tested server is http://testserver.

OURS = [
    {},
    {"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors", "origin": "http://testserver"},
    {"sec-fetch-site": "none", "sec-fetch-mode": "navigate"},
    {"origin": "http://testserver"},
    {"origin": "https://space.example", "x-forwarded-host": "space.example"},
]
THEIRS = [
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors", "origin": "https://evil.example"},
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
    {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors", "origin": "http://other.testserver"},
    {"sec-fetch-site": "cross-site"},
    {"origin": "https://evil.example"},
    {"origin": "http://testserver:9999"},
    {"origin": "http://testserver.evil.example"},
    {"origin": "null"},
]


@pytest.mark.parametrize("headers", OURS)
def test_a_request_of_the_page_or_of_a_program_names_its_visitor(browser, headers):
    browser.cookies.set(COOKIE, TOKEN)
    assert browser.get("/data", headers=headers).json() == {"token": TOKEN}
    assert browser.post("/data", headers=headers).json() == {"token": TOKEN}
    assert cookie_of(browser.post("/gradio_api/upload", headers=headers)).startswith(f"{COOKIE}={TOKEN};")


@pytest.mark.parametrize("headers", THEIRS)
def test_a_request_of_another_sites_script_names_nobody_and_is_given_no_name(browser, headers):
    browser.cookies.set(COOKIE, TOKEN)
    for answer in (browser.get("/data", headers=headers), browser.post("/data", headers=headers)):
        assert answer.json() == {"token": None}
    for answer in (browser.get("/", headers=headers), browser.post("/gradio_api/upload", headers=headers)):
        assert cookie_of(answer) == ""
    assert browser.get("/data", headers={"sec-fetch-site": "same-origin"}).json() == {"token": TOKEN}, "nothing is lost"


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_opening_the_page_from_another_site_or_in_a_frame_there_is_a_visit(browser, site):
    browser.cookies.set(COOKIE, TOKEN)
    opened = {"sec-fetch-site": site, "sec-fetch-mode": "navigate"}
    assert cookie_of(browser.get("/", headers=opened)).startswith(f"{COOKIE}={TOKEN};")
    assert browser.get("/data", headers=opened).json() == {"token": TOKEN}
    assert browser.post("/data", headers=opened).json() == {"token": None}, "a form that is sent from there is none"


# Names


def test_the_name_of_a_visitor_does_not_tell_the_token():
    token = new_token()
    name = owner_of(token, "session")
    assert re.fullmatch("[0-9a-f]{64}", name)
    assert token not in name
    assert owner_of(token, "another session") == name
    assert owner_of(new_token(), "session") != name


def test_without_a_cookie_the_session_stands_in_and_can_never_be_taken_for_a_token():
    assert owner_of(None, "abc") == owner_of(None, "abc") != owner_of(None, "abd")
    assert owner_of(None, TOKEN) != owner_of(TOKEN, None)


def test_without_either_a_caller_is_a_stranger_at_every_call():
    assert owner_of(None, None) != owner_of(None, None)
    assert visitor_of(Visitors(), None).name != visitor_of(Visitors(), None).name


def request_of(session, token=None):
    return SimpleNamespace(session_hash=session, cookies={} if token is None else {COOKIE: token})


def test_two_pages_of_one_browser_share_documents_and_no_keys():
    visitors = Visitors()
    first, second = (visitor_of(visitors, request_of(session, TOKEN)) for session in ("one", "two"))
    assert first.name == second.name
    assert first is not second
    assert visitor_of(visitors, request_of("one", TOKEN)) is first


def test_a_session_that_is_known_opens_nothing_without_its_cookie():
    visitors = Visitors()
    mine = visitor_of(visitors, request_of("one", TOKEN))
    for stranger in (request_of("one"), request_of("one", new_token())):
        theirs = visitor_of(visitors, stranger)
        assert theirs is not mine
        assert theirs.name != mine.name


def test_the_token_is_found_where_cookies_are_no_plain_mapping():
    from gradio.route_utils import Obj

    assert token_of(SimpleNamespace(cookies=Obj({COOKIE: TOKEN, "keys": "x", "get": "y"}))) == TOKEN
    assert token_of(SimpleNamespace(cookies=Obj({"keys": "x"}))) is None
    assert token_of(SimpleNamespace()) is None
    assert token_of(None) is None
