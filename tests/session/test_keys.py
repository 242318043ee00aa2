import base64
from random import Random

import attrs
import pytest

from obfsfte.errors import ConfigError
from obfsfte.session.keys import BridgeKeys, Cert
from tests.session.points import SMALL_ORDER

KEYS = BridgeKeys.generate(Random(1).randbytes)
CERT = KEYS.cert.encode()


def test_cert_is_base64url_of_public_key_and_secret():
    assert len(CERT) == 86
    assert base64.urlsafe_b64decode(CERT + "==") == KEYS.cert.public_key + KEYS.secret
    assert Cert.parse(CERT) == KEYS.cert


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "has 86 characters, this one has 0"),
        (CERT[:-1], "has 86 characters, this one has 85"),
        (CERT + "==", "has 86 characters, this one has 88"),
        (" " + CERT[1:], "only the characters"),
        (CERT[:-1] + "\n", "only the characters"),
        (CERT[:40] + "+" + CERT[41:], "only the characters"),
        (CERT[:40] + "=" + CERT[41:], "only the characters"),
        (CERT[:40] + "é" + CERT[41:], "only the characters"),
        (CERT[:40] + "٣" + CERT[41:], "only the characters"),
        (CERT[:-1] + "_", "cannot be its last"),
    ],
)
def test_what_is_no_cert_is_refused_in_one_line(text, complaint):
    with pytest.raises(ConfigError, match=complaint) as caught:
        Cert.parse(text)
    message = str(caught.value)
    assert message.startswith("cert= ")
    assert message.endswith(": copy the whole bridge line again")
    assert "\n" not in message
    assert CERT[50:80] not in message


@pytest.mark.parametrize("point", SMALL_ORDER, ids=bytes.hex)
def test_a_public_key_that_gives_no_secret_is_refused(point):
    text = base64.urlsafe_b64encode(point + KEYS.secret).decode().rstrip("=")
    with pytest.raises(ConfigError, match="no usable public key"):
        Cert.parse(text)


def test_every_character_of_a_cert_matters():
    for place, character in enumerate(CERT):
        other = "A" if character != "A" else "B"
        try:
            cert = Cert.parse(CERT[:place] + other + CERT[place + 1 :])
        except ConfigError:
            assert place == 85  # its low bits are beyond the last byte
        else:
            assert cert != KEYS.cert


def test_generate_draws_two_different_keys():
    first = BridgeKeys.generate(Random(2).randbytes)
    assert first.private_key != first.secret
    assert first == BridgeKeys.generate(Random(2).randbytes)
    assert first != BridgeKeys.generate(Random(3).randbytes)


def test_key_file_text():
    text = KEYS.encode()
    assert BridgeKeys.decode(text) == KEYS
    assert [line.split(" ")[0] for line in text.splitlines()] == [
        "#",
        "private-key",
        "secret",
        "cert",
    ]
    assert text.splitlines()[-1] == f"cert {CERT}"
    assert BridgeKeys.decode("\n# note\n" + text.replace("\n", "\r\n")) == KEYS


def test_a_damaged_key_file_is_noticed_whatever_was_damaged():
    text = KEYS.encode()
    begin = text.index("private-key")
    for place in range(begin, len(text) - 1):
        for other in "A?\n":
            if text[place] == other:
                continue
            with pytest.raises(ConfigError) as caught:
                BridgeKeys.decode(text[:place] + other + text[place + 1 :])
            assert "\n" not in str(caught.value)
            for secret in text.split()[-5::2]:
                assert secret[5:20] not in str(caught.value)
    for size in range(begin, len(text) - 1):
        with pytest.raises(ConfigError):
            BridgeKeys.decode(text[:size])


def test_a_line_too_many_is_refused():
    for line in ["secret " + "A" * 43, "colour red", "private-key"]:
        with pytest.raises(ConfigError, match="line 5 is not one of"):
            BridgeKeys.decode(KEYS.encode() + line)


def test_reprs_hide_what_is_secret():
    for shown in (repr(KEYS), repr(KEYS.cert)):
        assert KEYS.cert.public_key.hex() in shown
        for secret in (KEYS.private_key, KEYS.secret):
            assert repr(secret) not in shown
            assert secret.hex() not in shown
            assert base64.urlsafe_b64encode(secret).decode()[:40] not in shown


def test_what_is_prepared_for_handshakes_is_hidden_and_does_not_change():
    shared = KEYS.cert.shared
    for shown in (repr(shared), repr(KEYS.cert), repr(KEYS)):
        for secret in (shared.chaining_key, shared.extra_hash):
            assert repr(secret) not in shown
            assert secret.hex() not in shown
    for name in attrs.fields_dict(type(shared)):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(shared, name, b"")


def test_keys_have_32_bytes():
    for sizes in [(31, 32), (32, 31), (33, 32), (32, 33)]:
        with pytest.raises(ValueError, match="32"):
            BridgeKeys(*map(bytes, sizes))
        with pytest.raises(ValueError, match="32"):
            Cert(*map(bytes, sizes))
