"""How Kafka is reached. Every client takes its connection's options from here, so that none can forget one."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import SecretStr

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


@dataclass(frozen=True)
class Login:
    """Who the clients are, and how they prove it."""

    mechanism: SaslMechanism
    username: str
    password: SecretStr


@dataclass(frozen=True)
class Tls:
    """By which certificates the brokers, and the clients if brokers ask them to, prove who they are.

    The files, all in PEM, are read once: what replaces them is seen by the next process.
    """

    ca_file: Path | None = None
    """The authorities that are believed; None are those of the system."""
    certificate_file: Path | None = None
    """The clients' own certificate, with what leads from it to its authority."""
    key_file: Path | None = None

    @cached_property
    def context(self) -> ssl.SSLContext:
        """What connections are wrapped with.

        Raises:
            ValueError: a file cannot be used; says which, and why.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except ssl.SSLError as error:
            raise ValueError(f"TOLLGATE_KAFKA_CA_FILE: {self.ca_file} holds no certificate in PEM") from error
        except OSError as error:
            raise ValueError(f"TOLLGATE_KAFKA_CA_FILE: {self.ca_file}: {error.strerror}") from error
        if self.certificate_file is not None:
            self._add_certificate(context, self.certificate_file)
        return context

    def _add_certificate(self, context: ssl.SSLContext, certificate_file: Path) -> None:
        files = f"TOLLGATE_KAFKA_CERTIFICATE_FILE {certificate_file} and TOLLGATE_KAFKA_KEY_FILE {self.key_file}"
        try:
            context.load_cert_chain(certificate_file, self.key_file, _refuse_to_ask)
        except ssl.SSLError as error:
            why = "they do not belong together" if error.reason == "KEY_VALUES_MISMATCH" else "not both are in PEM"
            raise ValueError(f"{files}: {why}") from error
        except OSError as error:
            raise ValueError(f"{files}: {error.strerror}") from error
        except _EncryptedError as error:
            raise ValueError(f"TOLLGATE_KAFKA_KEY_FILE: {self.key_file} is encrypted, and may not be") from error


class _EncryptedError(Exception):
    pass


def _refuse_to_ask() -> str:
    """OpenSSL would ask for the key's password on the terminal, and wait there."""
    raise _EncryptedError


@dataclass(frozen=True)
class Brokers:
    """Where brokers are, and how to speak to them."""

    bootstrap: str
    """Some of them, `host:port`, separated by commas; they tell of the others."""
    tls: Tls | None = None
    login: Login | None = None

    @property
    def security_protocol(self) -> str:
        """As Kafka names it."""
        return ("SASL_" if self.login else "") + ("SSL" if self.tls else "PLAINTEXT")

    @property
    def security(self) -> Mapping[str, Any]:
        """What a connection to any of them is given. Holds the password: not to be shown."""
        security: dict[str, Any] = {"security_protocol": self.security_protocol}
        if self.tls is not None:
            security["ssl_context"] = self.tls.context
        if self.login is not None:
            security["sasl_mechanism"] = self.login.mechanism
            security["sasl_plain_username"] = self.login.username
            security["sasl_plain_password"] = self.login.password.get_secret_value()
        return security

    @property
    def options(self) -> Mapping[str, Any]:
        """What each of aiokafka's clients is given: `AIOKafkaConsumer(**brokers.options, group_id=...)`."""
        return {"bootstrap_servers": self.bootstrap, **self.security}
