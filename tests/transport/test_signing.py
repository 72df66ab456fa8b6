"""Signatures are those of botocore's SigV4Auth, and follow credentials that rotate."""

from __future__ import annotations

import datetime
import threading
import traceback
from typing import Any

import botocore.auth
import botocore.session
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as StockCredentials
from botocore.credentials import ReadOnlyCredentials, RefreshableCredentials
from botocore.exceptions import ClientError, CredentialRetrievalError
from hypothesis import given, settings
from hypothesis import strategies as st

from pynamodb_alternator.errors import ConfigurationError, CredentialsError
from pynamodb_alternator.settings.values import Credentials
from pynamodb_alternator.transport.credentials import Signers
from pynamodb_alternator.transport.signing import Signer

SECRET = "s3cr3t/+tokenlike"
NOW = 1_700_000_000.25

many = settings(deadline=None, max_examples=100)

printable = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
unicode = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=20)


def stock(
    monkeypatch: pytest.MonkeyPatch,
    credentials: StockCredentials,
    region: str,
    host: str,
    headers: dict[str, str],
    body: bytes,
    now: float,
) -> dict[str, str]:
    moment = datetime.datetime.fromtimestamp(int(now), datetime.UTC)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: moment)
    request = AWSRequest("POST", f"http://{host}/", headers={"Host": host, **headers}, data=body).prepare()
    # SigV4Auth reads a few things of the unprepared request.
    unprepared = AWSRequest("POST", f"http://{host}/", headers={"Host": host, **headers}, data=request.body)
    botocore.auth.SigV4Auth(credentials, "dynamodb", region).add_auth(unprepared)
    return dict(unprepared.headers.items())


@many
@given(
    st.binary(max_size=40),
    st.sampled_from(["GetItem", "PutItem", "TagResource"]),
    st.sampled_from(["127.0.0.1:8000", "example.com", "[::1]:8000"]),
    st.floats(0, 4e9) | st.integers(0, 4 * 10**9),
    printable | unicode,
    printable | unicode,
    st.none() | printable,
    st.sampled_from(["us-east-1", "any.where_1"]),
    st.dictionaries(
        st.sampled_from(["Content-Encoding", "accept-encoding", "X-A", "A", "zz"]),
        st.sampled_from(["gzip", "a  b\tc", "x"]),
        max_size=3,
    ),
)
def test_signatures_are_those_of_botocore(
    body: bytes,
    operation: str,
    host: str,
    now: float,
    access: str,
    secret: str,
    token: str | None,
    region: str,
    extra: dict[str, str],
) -> None:
    target = f"DynamoDB_20120810.{operation}"
    made = dict(Signer(access, secret, token, region).headers(host, target, body, now, extra))
    with pytest.MonkeyPatch.context() as patch:
        sent = {"X-Amz-Target": target, **extra}
        expected = stock(patch, StockCredentials(access, secret, token), region, host, sent, body, now)
    assert made == {name: expected[name] for name in made}
    assert set(expected) - set(sent) - {"Host"} == set(made)


def test_a_signer_follows_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    signer = Signer("a", SECRET)
    target = "DynamoDB_20120810.GetItem"
    # Within a second, to the next, over midnight, over the year, and back: clocks are set.
    for now in (NOW, NOW + 0.5, NOW + 1, NOW + 86_400, 1_735_689_599, 1_735_689_600, NOW):
        credentials = StockCredentials("a", SECRET)
        expected = stock(monkeypatch, credentials, "us-east-1", "h:8000", {"X-Amz-Target": target}, b"{}", now)
        assert dict(signer.headers("h:8000", target, b"{}", now))["Authorization"] == expected["Authorization"]


def test_threads_share_a_signer() -> None:
    shared = Signer("a", SECRET)
    expected = [Signer("a", SECRET).headers("h", "t", b"", NOW + 3600 * n) for n in range(48)]
    wrong: list[Any] = []

    def sign(start: int) -> None:
        for n in range(200):
            hour = (start + n * 7) % 48
            if shared.headers("h", "t", b"", NOW + 3600 * hour) != expected[hour]:
                wrong.append(hour)

    threads = [threading.Thread(target=sign, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_secret_is_in_no_repr() -> None:
    signer = Signer("the-role", SECRET, "the-token")
    signer.headers("h", "t", b"", NOW)
    shown = [repr(signer), str(signer), repr(signer._moment), f"{signer.headers('h', 't', b'', NOW)}"]
    shown.append(repr(Signers(Credentials("a", SECRET), "r")))
    assert SECRET not in "".join(shown)
    assert repr(signer._moment.key) not in "".join(shown)
    assert "the-token" not in shown[0]


@pytest.mark.parametrize(("access", "token"), [("a\r\nX: y", None), ("a", "b\nc"), ("a\0", None), ("a", "\x7f")])
def test_credentials_cannot_add_headers(access: str, token: str | None) -> None:
    with pytest.raises(ConfigurationError, match="control character"):
        Signer(access, SECRET, token)


# --- Where credentials come from -----------------------------------------------------------------------------------


def authorization(signer: Signer | None) -> str:
    assert signer is not None
    return dict(signer.headers("h", "t", b"", NOW))["Authorization"]


def test_no_credentials_mean_no_signature() -> None:
    assert Signers(None, "us-east-1").current() is None


def test_static_credentials_keep_their_signer() -> None:
    signers = Signers(Credentials("a", SECRET, "token"), "eu-1")
    signer = signers.current()
    assert signers.current() is signer
    assert authorization(signer) == authorization(Signer("a", SECRET, "token", "eu-1"))


def session_with(access: str = "a") -> botocore.session.Session:
    session = botocore.session.Session()
    session.set_credentials(access, SECRET, "token")
    return session


@pytest.mark.parametrize(
    "make",
    [
        session_with,
        lambda: StockCredentials("a", SECRET, "token"),
        lambda: lambda: Credentials("a", SECRET, "token"),
        lambda: lambda: StockCredentials("a", SECRET, "token"),
        lambda: lambda: ReadOnlyCredentials("a", SECRET, "token"),
        lambda: session_with,
    ],
)
def test_each_source_gives_its_credentials(make: Any) -> None:
    signers = Signers(make(), "us-east-1")
    signer = signers.current()
    assert signers.current() is signer
    assert authorization(signer) == authorization(Signer("a", SECRET, "token"))


def test_rotating_credentials_are_followed() -> None:
    names = ["a", "a", "b", "b"]
    signers = Signers(lambda: Credentials(names.pop(0), SECRET), "us-east-1")
    first, again, second, third = (signers.current() for _ in range(4))
    assert first is again
    assert second is third
    assert "Credential=a/" in authorization(first)
    assert "Credential=b/" in authorization(second)


def test_a_botocore_provider_is_refreshed() -> None:
    turn = iter(range(1, 100))

    def fetch() -> dict[str, str]:
        soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=1)
        return {
            "access_key": f"role{next(turn)}",
            "secret_key": SECRET,
            "token": "token",
            "expiry_time": soon.isoformat(),
        }

    source = RefreshableCredentials.create_from_metadata(fetch(), refresh_using=fetch, method="test")
    signers = Signers(source, "us-east-1")
    # A minute of validity left is less than botocore's mandatory refresh time: every use fetches.
    assert "Credential=role2/" in authorization(signers.current())
    assert "Credential=role3/" in authorization(signers.current())


def test_a_session_is_searched_once_for_several_threads() -> None:
    searches = []
    barrier = threading.Barrier(5)

    class Session:
        """As botocore's: searches if it has nothing yet."""

        credentials: StockCredentials | None = None

        def get_credentials(self) -> StockCredentials:
            if self.credentials is None:
                searches.append(1)
                threading.Event().wait(0.02)
                self.credentials = StockCredentials("a", SECRET)
            return self.credentials

    signers = Signers(Session(), "us-east-1")

    def run() -> None:
        barrier.wait()
        signers.current()

    threads = [threading.Thread(target=run) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(searches) == 1


class Empty:
    def get_credentials(self) -> None:
        return None


class Broken:
    def get_frozen_credentials(self) -> Any:
        raise RuntimeError(f"vault said {SECRET}")


def broken() -> Any:
    raise KeyError(SECRET)


async def asynchronous() -> Any:
    return None


@pytest.mark.parametrize(
    "source",
    [
        Empty(),
        lambda: None,
        lambda: SECRET,
        lambda: ("a", SECRET),
        lambda: StockCredentials("", SECRET),
        lambda: ReadOnlyCredentials("a", None, None),
        lambda: ReadOnlyCredentials("a\r\nX: y", SECRET, None),
        lambda: ReadOnlyCredentials("a", SECRET, b"bytes"),
        asynchronous,
        object(),
    ],
)
def test_unusable_credentials_are_one_clear_error(source: Any) -> None:
    signers = Signers(source, "us-east-1")
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=r"redentials") as caught:
            signers.current()
        error: BaseException | None = caught.value
        assert SECRET not in "".join(traceback.format_exception(caught.value))
        while error is not None:
            assert SECRET not in repr(error)
            error = error.__context__


def test_a_source_that_recovers_is_used_again() -> None:
    answers: list[Any] = [None, Credentials("a", SECRET)]
    signers = Signers(lambda: answers.pop(0), "us-east-1")
    with pytest.raises(ConfigurationError, match="gave none"):
        signers.current()
    assert signers.current() is not None


# --- Sources that fail ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [Broken(), broken, lambda: Broken()])
def test_the_text_of_an_error_that_is_not_botocores_is_left_out(source: Any) -> None:
    signers = Signers(source, "us-east-1")
    with pytest.raises(CredentialsError, match=r"failed with (RuntimeError|KeyError) \(its text is left out") as caught:
        signers.current()
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


@pytest.mark.parametrize(
    "failure",
    [
        CredentialRetrievalError(provider="vault", error_msg="no route"),
        ClientError({"Error": {"Code": "AccessDenied", "Message": "no route"}}, "AssumeRole"),
    ],
)
def test_an_error_of_botocores_is_told_and_is_the_cause(failure: Exception) -> None:
    def fail() -> Any:
        raise failure

    with pytest.raises(CredentialsError, match="no route") as caught:
        Signers(fail, "us-east-1").current()
    assert caught.value.__cause__ is failure
    assert isinstance(caught.value, CredentialRetrievalError)


class Provider:
    """An assumed role whose credentials last for so many seconds. `fails`: whether its refresh does."""

    def __init__(self, lifetime: float) -> None:
        self.now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        self.fails = False
        self.asked = 0
        self.lifetime = lifetime
        self.source = RefreshableCredentials(
            "role1", SECRET, "token", self.expiry, self.fetch, "test", time_fetcher=lambda: self.now
        )

    @property
    def expiry(self) -> datetime.datetime:
        return self.now + datetime.timedelta(seconds=self.lifetime)

    def fetch(self) -> dict[str, str]:
        self.asked += 1
        if self.fails:
            raise CredentialRetrievalError(provider="test", error_msg="no route")
        return {
            "access_key": f"role{self.asked}",
            "secret_key": SECRET,
            "token": "token",
            "expiry_time": self.expiry.isoformat(),
        }


def test_credentials_are_used_until_they_expire_while_their_refresh_fails(caplog: pytest.LogCaptureFixture) -> None:
    now = [1000.0]
    provider = Provider(lifetime=3600.0)
    signers = Signers(provider.source, "us-east-1", clock=lambda: now[0])
    before = signers.current()
    provider.now += datetime.timedelta(seconds=3300)  # within botocore's mandatory time for a refresh
    provider.fails = True
    asked = provider.asked
    assert signers.would_wait()
    assert signers.current() is before
    assert not signers.would_wait()
    assert signers.current() is before
    assert provider.asked == asked + 1  # the second request did not wait for another failure
    assert "are used until they expire" in caplog.text
    now[0] += 6.0
    assert signers.current() is before
    assert provider.asked == asked + 2
    provider.now += datetime.timedelta(seconds=301)
    with pytest.raises(CredentialsError, match="no route"):
        signers.current()
    provider.fails = False
    assert signers.current() is not before
    assert not signers.would_wait()


def test_a_callable_that_fails_has_no_credentials_that_are_known_to_hold() -> None:
    answers: list[Any] = [Credentials("a", SECRET), None]

    def ask() -> Any:
        answer = answers.pop(0)
        if answer is None:
            raise CredentialRetrievalError(provider="vault", error_msg="no route")
        return answer

    signers = Signers(ask, "us-east-1")
    assert signers.current() is not None
    with pytest.raises(CredentialsError):
        signers.current()


# --- What an event loop may ask for itself -------------------------------------------------------------------------


def known_session() -> Any:
    session = botocore.session.Session()
    session.set_credentials("a", SECRET)
    return session


@pytest.mark.parametrize(
    ("make", "first", "later"),
    [
        (lambda: None, False, False),
        (lambda: Credentials("a", SECRET), False, False),
        (lambda: StockCredentials("a", SECRET), False, False),
        (lambda: Provider(3600.0).source, False, False),
        (lambda: Provider(300.0).source, True, True),
        (known_session, True, False),
        (lambda: lambda: Credentials("a", SECRET), True, True),
    ],
)
def test_what_may_wait(make: Any, first: bool, later: bool) -> None:
    signers = Signers(make(), "us-east-1")
    assert signers.would_wait() is first
    signers.current()
    assert signers.would_wait() is later


class AsyncSession:
    """As aiobotocore's."""

    async def get_credentials(self) -> Any:
        return StockCredentials("a", SECRET)


@pytest.mark.parametrize("make", [AsyncSession, lambda: lambda: AsyncSession(), lambda: AsyncSession().get_credentials])
def test_an_asynchronous_source_is_refused_in_threads(make: Any) -> None:
    signers = Signers(make(), "us-east-1")
    assert signers.would_wait()
    with pytest.raises(ConfigurationError, match="can only be asked by an AsyncCluster"):
        signers.current()


# ---- as the lines of a head ------------------------------------------------------------------------------------------


@given(
    st.sampled_from([None, "tok/en==", "with  blanks"]),
    st.sampled_from(["10.0.0.1:8000", "node-7.example:443", "[2001:db8::7]:8000"]),
    st.sampled_from(["DynamoDB_20120810.GetItem", "DynamoDB_20120810.Scan"]),
    st.lists(st.tuples(st.binary(max_size=200), st.floats(0, 4e9)), min_size=1, max_size=4),
)
def test_lines_say_what_headers_say(
    token: str | None, host: str, target: str, requests: list[tuple[bytes, float]]
) -> None:
    signer = Signer("AKID", "secret", token)
    for body, now in [*requests, requests[0]]:
        headers = signer.headers(host, target, body, now)
        assert signer.lines(host, target, body, now).decode() == "".join(
            f"{name}: {text}\r\n" for name, text in headers
        )
