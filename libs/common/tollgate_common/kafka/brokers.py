"""Connection options of Kafka. Every client takes all of them from here."""

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
    """The clients' SASL login."""

    mechanism: SaslMechanism
    username: str
    password: SecretStr


@dataclass(frozen=True)
class Tls:
    """The TLS certificates of brokers and clients.

    All files are in PEM. They are read once; a process must restart to use new ones.
    """

    ca_file: Path | None = None
    """Trusted certificate authorities; None uses those of the system."""
    certificate_file: Path | None = None
    """The clients' own certificate, with the chain to its authority."""
    key_file: Path | None = None

    @cached_property
    def context(self) -> ssl.SSLContext:
        """Return the context of all connections.

        Raises:
            ValueError: a file is invalid. The message has its setting and the reason.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except ssl.SSLError as error:
            raise ValueError(f"TOLLGATE_KAFKA_CA_FILE: {self.ca_file} contains no certificate in PEM format") from error
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
            why = "they do not match" if error.reason == "KEY_VALUES_MISMATCH" else "expected both in PEM format"
            raise ValueError(f"{files}: {why}") from error
        except OSError as error:
            raise ValueError(f"{files}: {error.strerror}") from error
        except _EncryptedError as error:
            raise ValueError(
                f"TOLLGATE_KAFKA_KEY_FILE: {self.key_file} is encrypted; expected a key without a password"
            ) from error


class _EncryptedError(Exception):
    pass


def _refuse_to_ask() -> str:
    """Replace OpenSSL's prompt for the key's password, which would block on the terminal."""
    raise _EncryptedError


@dataclass(frozen=True)
class Brokers:
    """The addresses of brokers, and the options of connections to them."""

    bootstrap: str
    """Some brokers, `host:port`, separated by commas. Clients learn of the others from them."""
    tls: Tls | None = None
    login: Login | None = None

    @property
    def security_protocol(self) -> str:
        """Kafka's name of the protocol."""
        return ("SASL_" if self.login else "") + ("SSL" if self.tls else "PLAINTEXT")

    @property
    def security(self) -> Mapping[str, Any]:
        """The security options of a connection. They contain the password, so never log them."""
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
        """The options of each of aiokafka's clients: `KafkaConsumer(**brokers.options, group_id=...)`."""
        return {"bootstrap_servers": self.bootstrap, **self.security}
