"""What the settings say of Kafka is one whole, or it is told what is wrong with it."""

from pathlib import Path

import pytest

from engines.certificates import Authority
from tollgate_common.kafka.brokers import Brokers
from tollgate_common.settings import Settings, load

LOGIN = {"SASL_MECHANISM": "SCRAM-SHA-512", "USERNAME": "edge", "PASSWORD": "not to be shown"}


def read(monkeypatch: pytest.MonkeyPatch, **settings: object) -> Brokers:
    monkeypatch.setenv("TOLLGATE_KAFKA_BOOTSTRAP", "kafka:9092")
    for name, value in settings.items():
        monkeypatch.setenv(f"TOLLGATE_KAFKA_{name}", str(value))
    return load(Settings).brokers


def refusal(monkeypatch: pytest.MonkeyPatch, **settings: object) -> str:
    with pytest.raises(SystemExit) as stopped:
        read(monkeypatch, **settings)
    assert "not to be shown" not in str(stopped.value)
    return str(stopped.value)


def test_plain_is_what_nobody_has_to_ask_for(monkeypatch: pytest.MonkeyPatch) -> None:
    brokers = read(monkeypatch, BOOTSTRAP="one:9092, two:9092,[::1]:9092", PASSWORD="", CA_FILE="")
    assert dict(brokers.options) == {
        "bootstrap_servers": "one:9092,two:9092,[::1]:9092",
        "security_protocol": "PLAINTEXT",
    }


def test_a_login_over_tls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    brokers = read(monkeypatch, SECURITY_PROTOCOL="SASL_SSL", CA_FILE=authority.ca_file, **LOGIN)
    options = dict(brokers.options)
    context = options.pop("ssl_context")
    assert context.check_hostname
    assert len(context.get_ca_certs()) == 1
    assert options == {
        "bootstrap_servers": "kafka:9092",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "edge",
        "sasl_plain_password": "not to be shown",
    }
    assert "not to be shown" not in repr(brokers)


def test_without_a_file_the_systems_authorities_are_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    brokers = read(monkeypatch, SECURITY_PROTOCOL="SSL")
    assert brokers.tls is not None
    assert brokers.tls.context.check_hostname


def test_a_certificate_of_our_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    own = authority.issue("edge")
    files = {"CA_FILE": authority.ca_file, "CERTIFICATE_FILE": own.file, "KEY_FILE": own.key_file}
    assert read(monkeypatch, SECURITY_PROTOCOL="SSL", **files).security_protocol == "SSL"


@pytest.mark.parametrize("missing", LOGIN)
def test_a_login_is_whole(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    given = {name: value for name, value in LOGIN.items() if name != missing}
    expected = f"settings: TOLLGATE_KAFKA_{missing} is not set: TOLLGATE_KAFKA_SECURITY_PROTOCOL is SASL_PLAINTEXT"
    assert refusal(monkeypatch, SECURITY_PROTOCOL="SASL_PLAINTEXT", **given) == expected


@pytest.mark.parametrize("name", [*LOGIN, "CA_FILE", "CERTIFICATE_FILE", "KEY_FILE"])
def test_what_would_not_be_used_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    told = refusal(monkeypatch, **{name: LOGIN.get(name, "file")})
    assert told == (
        f"settings: TOLLGATE_KAFKA_{name} is set but not used: TOLLGATE_KAFKA_SECURITY_PROTOCOL is PLAINTEXT"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [("SECURITY_PROTOCOL", "TLS"), ("SASL_MECHANISM", "GSSAPI"), ("BOOTSTRAP", "SASL_SSL://kafka:9092")],
)
def test_a_wrong_value_is_shown_with_what_it_may_be(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    told = refusal(monkeypatch, **{name: value})
    assert told.startswith(f"settings: TOLLGATE_KAFKA_{name} (")
    assert f"is wrong: '{value}': " in told


@pytest.mark.parametrize("bootstrap", ["kafka:port", "one:9092,", "a b:9092", "kafka:9092/path", "::1"])
def test_what_names_no_broker_is_refused(monkeypatch: pytest.MonkeyPatch, bootstrap: str) -> None:
    assert "expected host:port without a protocol, several separated by commas" in refusal(
        monkeypatch, BOOTSTRAP=bootstrap
    )


def test_a_file_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    own, other = authority.issue("edge"), authority.issue("other")
    locked = authority.issue("locked", password=b"secret")
    empty = tmp_path / "empty.pem"
    empty.write_text("")

    def told(**files: Path) -> str:
        return refusal(monkeypatch, SECURITY_PROTOCOL="SSL", **files)

    missing = tmp_path / "missing.pem"
    assert told(CA_FILE=missing) == f"settings: TOLLGATE_KAFKA_CA_FILE: {missing}: No such file or directory"
    assert told(CA_FILE=empty) == f"settings: TOLLGATE_KAFKA_CA_FILE: {empty} contains no certificate in PEM format"
    assert told(CA_FILE=tmp_path).startswith(f"settings: TOLLGATE_KAFKA_CA_FILE: {tmp_path}")
    assert "set both TOLLGATE_KAFKA_CERTIFICATE_FILE and TOLLGATE_KAFKA_KEY_FILE, or neither" in told(
        CA_FILE=authority.ca_file, CERTIFICATE_FILE=own.file
    )
    assert "they do not match" in told(KEY_FILE=other.key_file)
    assert "expected both in PEM format" in told(KEY_FILE=empty)
    assert f"{missing}: No such file" in told(KEY_FILE=missing)
    assert told(CERTIFICATE_FILE=locked.file, KEY_FILE=locked.key_file) == (
        f"settings: TOLLGATE_KAFKA_KEY_FILE: {locked.key_file} is encrypted; expected a key without a password"
    )
