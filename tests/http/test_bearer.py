"""Bearer tokens of an OpenID Connect issuer."""

from __future__ import annotations

import base64
import hmac
import json
import threading
import time
from http.client import BadStatusLine, IncompleteRead
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey

from engine.http.bearer import Bearers, InvalidIssuer, Issuer, fetch_json
from engine.http.faults import Fault

pytestmark = pytest.mark.anyio

URL = "https://issuer.example/pool"
JWKS_URL = "https://issuer.example/pool/keys"
RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
EC = ECKey.generate_key("P-256", {"kid": "ec"})
STRANGER = RSAKey.generate_key(2048, {"kid": "rsa"})


class World:
    """The issuer's documents, and a clock."""

    def __init__(self, *keys: Any) -> None:
        self.now = 0.0
        self.asked: list[str] = []
        self.is_up = True
        self.documents: dict[str, Any] = {f"{URL}/.well-known/openid-configuration": {"jwks_uri": JWKS_URL}}
        self.publish(*keys)

    def publish(self, *keys: Any) -> None:
        self.documents[JWKS_URL] = {"keys": [key.as_dict(private=False) for key in keys]}

    def fetch(self, url: str) -> Any:
        self.asked.append(url)
        if not self.is_up:
            raise OSError("it is away")
        return self.documents[url]

    def bearers(self, **about: Any) -> Bearers:
        about = {"url": URL, "audiences": frozenset({"api"}), **about}
        return Bearers(Issuer(**about), fetch=self.fetch, monotonic=lambda: self.now)


def token(key: Any = RSA, algorithm: str = "RS256", **claims: Any) -> str:
    now = int(time.time())
    known = {
        "iss": URL,
        "aud": "api",
        "sub": "ada",
        "exp": now + 600,
        "scope": "states:Describe* states:StartExecution",
    }
    written = {name: value for name, value in {**known, **claims}.items() if value is not None}
    return jwt.encode({"alg": algorithm, "kid": key.kid}, written, key)


async def refused(bearers: Bearers, text: str) -> Fault:
    with pytest.raises(Fault) as caught:
        await bearers.holder(text)
    return caught.value


async def test_a_token_of_the_issuer_stands_for_its_holder():
    world = World(RSA, EC)
    bearers = world.bearers()
    for text in (token(), token(EC, "ES256")):
        holder = await bearers.holder(text)
        assert holder.subject == "ada"
        assert [
            holder.may(f"states:{action}") for action in ("DescribeExecution", "StartExecution", "StopExecution")
        ] == [
            True,
            True,
            False,
        ]
    assert world.asked == [f"{URL}/.well-known/openid-configuration", JWKS_URL]  # once


@pytest.mark.parametrize(
    ("claims", "told"),
    [
        ({"iss": "https://other.example"}, "another issuer"),
        ({"iss": URL + "/"}, "another issuer"),
        ({"iss": None}, "another issuer"),
        ({"aud": "other"}, "another audience"),
        ({"aud": ["x", "y"]}, "another audience"),
        ({"aud": None}, "another audience"),
        ({"aud": "other", "client_id": "api"}, "another audience"),
        ({"aud": 1}, "another audience"),
        ({"exp": None}, "until when"),
        ({"exp": "soon"}, "until when"),
        ({"exp": True}, "until when"),
        ({"nbf": time.time() + 600}, "does not hold yet"),
    ],
)
async def test_a_token_that_was_not_meant_for_us_is_refused(claims, told):
    fault = await refused(World(RSA).bearers(), token(**claims))
    assert told in (fault.message or "")
    assert (fault.code, fault.status) == ("UnrecognizedClientException", 401)
    assert fault.headers == ((b"www-authenticate", b'Bearer error="invalid_token"'),)


async def test_a_token_that_is_over_is_expired():
    fault = await refused(World(RSA).bearers(), token(exp=time.time() - 61))
    assert (fault.code, fault.status) == ("ExpiredTokenException", 401)
    await World(RSA).bearers().holder(token(exp=time.time() - 5))  # clocks differ a little


async def test_the_access_tokens_of_cognito_name_their_client_instead_of_an_audience():
    holder = await World(RSA).bearers().holder(token(aud=None, client_id="api", sub=None, token_use="access"))
    assert holder.subject == "api"


async def test_a_token_of_somebody_else_is_refused():
    bearers = World(RSA).bearers()
    assert "not signed by the issuer" in ((await refused(bearers, token(STRANGER))).message or "")
    whole = token()
    for text in (whole[:-4] + "AAAA", "", "a.b.c", "a", "....", whole + ".x", "é.b.c", whole.rpartition(".")[0] + "."):
        assert (await refused(bearers, text)).status == 401


def part(value: Any) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


async def test_an_unsigned_token_and_one_signed_with_a_public_key_as_a_secret_are_refused():
    bearers = World(RSA).bearers()
    claims = {"iss": URL, "aud": "api", "exp": time.time() + 600, "scope": "states:*"}
    assert (await refused(bearers, f"{part({'alg': 'none', 'kid': 'rsa'})}.{part(claims)}.")).status == 401
    text = f"{part({'alg': 'HS256', 'kid': 'rsa'})}.{part(claims)}"
    signature = hmac.digest(RSA.as_pem(private=False), text.encode(), "sha256")
    assert (await refused(bearers, f"{text}.{part(signature)}")).status == 401


async def test_symmetric_keys_of_the_issuer_do_not_count():
    world = World(RSA)
    secret = OctKey.generate_key(256, {"kid": "oct"})
    world.documents[JWKS_URL]["keys"].append(secret.as_dict(private=True))
    assert (await refused(world.bearers(), token(secret, "HS256"))).status == 401


async def test_new_keys_are_asked_for_when_a_token_has_one_but_not_all_the_time():
    world = World(RSA)
    bearers = world.bearers(jwks_url=JWKS_URL)
    await bearers.holder(token())
    world.publish(RSA, EC)
    await refused(bearers, token(EC, "ES256"))
    assert world.asked == [JWKS_URL]  # just asked
    world.now = 31
    await bearers.holder(token(EC, "ES256"))
    assert world.asked == [JWKS_URL] * 2
    for _ in range(5):
        await refused(bearers, token(STRANGER))
    assert world.asked == [JWKS_URL] * 2
    world.now += 3_601
    await bearers.holder(token())
    assert world.asked == [JWKS_URL] * 3


async def test_an_issuer_that_is_away_costs_nothing_while_its_keys_are_known():
    world = World(RSA)
    bearers = world.bearers()
    world.is_up = False
    fault = await refused(bearers, token())
    assert (fault.code, fault.status) == ("ServiceUnavailable", 503)
    world.is_up, world.now = True, 6.0
    await bearers.holder(token())
    world.is_up, world.now = False, 5_000.0
    await bearers.holder(token())


async def test_an_issuer_that_is_away_is_not_asked_by_everybody_in_turn():
    world = World(RSA)
    world.is_up = False
    bearers = world.bearers(jwks_url=JWKS_URL)
    for _ in range(20):
        assert (await refused(bearers, token())).status == 503
    assert world.asked == [JWKS_URL]
    world.is_up, world.now = True, 6.0
    await bearers.holder(token())


@pytest.mark.parametrize(
    "stranger",
    [
        {"kty": "EC", "crv": "P-999", "x": "AA", "y": "AA"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AA"},
        {"kty": "RSA"},
        {"kty": "RSA", "n": 5, "e": "AQAB"},
        {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"},
        "a key",
    ],
)
async def test_a_key_of_an_unknown_kind_does_not_keep_the_others_from_holding(stranger):
    world = World(RSA)
    world.documents[JWKS_URL]["keys"].append(stranger)
    assert (await world.bearers().holder(token())).subject == "ada"


@pytest.mark.parametrize(
    "error", [IncompleteRead(b""), BadStatusLine("x"), UnicodeDecodeError("utf-8", b"", 0, 1, "x")]
)
async def test_an_issuer_that_answers_nonsense_is_away(error):
    def fetch(_url: str) -> Any:
        raise error

    bearers = Bearers(Issuer(url=URL, audiences=frozenset({"api"})), fetch=fetch)
    assert (await refused(bearers, token())).status == 503


@pytest.mark.parametrize("scope", [5, True, {"states:*": 1}, [["states:*"]]])
async def test_scopes_that_are_none_allow_nothing(scope):
    assert (await World(RSA).bearers().holder(token(scope=scope))).actions == ()


@pytest.mark.parametrize("document", [[], {}, {"jwks_uri": 1}, {"jwks_uri": "http://elsewhere.example/keys"}])
async def test_a_discovery_document_that_cannot_be_trusted_gives_no_keys(document):
    world = World(RSA)
    world.documents[f"{URL}/.well-known/openid-configuration"] = document
    assert (await refused(world.bearers(), token())).status == 503


async def test_scopes_may_be_mapped_to_actions():
    bearers = World(RSA).bearers(scopes={"orders/read": ("Describe*", "List*"), "orders/go": ("StartExecution",)})
    holder = await bearers.holder(token(scope="orders/read openid states:*"))
    assert [holder.may(f"states:{action}") for action in ("ListExecutions", "StartExecution")] == [True, False]
    both = await bearers.holder(token(scope=None, scp=["orders/read", "orders/go", 1]))
    assert both.may("states:StartExecution")


@pytest.mark.parametrize(
    ("scope", "may"),
    [
        ("orders/states:*", True),
        ("states:Start*", True),
        ("startexecution", False),
        ("orders/StartExecution", False),
        ("", False),
        ("states:", False),
    ],
)
async def test_without_a_map_a_scope_says_what_it_allows(scope, may):
    assert (await World(RSA).bearers().holder(token(scope=scope))).may("states:StartExecution") is may


@pytest.mark.parametrize(
    "about",
    [
        {"url": "http://issuer.example", "audiences": frozenset("a")},
        {"url": "issuer", "audiences": frozenset("a")},
        {"url": URL, "audiences": frozenset()},
        {"url": URL, "audiences": frozenset("a"), "jwks_url": "ftp://x"},
    ],
)
def test_an_issuer_must_be_one_that_can_be_trusted(about):
    with pytest.raises(InvalidIssuer, match="expected"):
        Issuer(**about)
    Issuer(url="http://localhost:9000/realm", audiences=frozenset("a"))


def test_keys_are_fetched_over_http_and_redirects_are_not_followed():
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302 if self.path == "/away" else 200)
            self.send_header("Location", "/keys")
            self.end_headers()
            self.wfile.write(json.dumps(KeySet([EC]).as_dict(private=False)).encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        assert fetch_json(f"{url}/keys")["keys"][0]["kid"] == "ec"
        with pytest.raises(OSError, match="302"):
            fetch_json(f"{url}/away")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
