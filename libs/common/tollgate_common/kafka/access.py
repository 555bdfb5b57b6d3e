"""A check of the Kafka settings when a service starts.

aiokafka's clients log why they cannot connect, and then retry or fail with "unable to bootstrap". This check reports
errors that no retry can fix, such as a wrong password, with the names of the settings. It does not report an
unavailable Kafka: services wait for it, or are restarted.
"""

import asyncio
import logging
import ssl
from asyncio import IncompleteReadError
from collections.abc import Iterable, Iterator

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import IllegalSaslStateError, KafkaError, SaslAuthenticationFailed, UnsupportedSaslMechanismError
from aiokafka.protocol.metadata import MetadataRequest

from tollgate_common.errors import CommandError
from tollgate_common.kafka.brokers import Brokers

log = logging.getLogger(__name__)

WITHIN_S, CLOSED_WITHIN_S = 5.0, 1.0
# First bytes of a TLS server's response to a plain-text client. Kafka's clients read them as a length.
TLS_ALERT = b"\x15\x03"
# OpenSSL's error numbers for a certificate of another host.
ANOTHER_NAME, ANOTHER_ADDRESS = 62, 64

Address = tuple[str, int]


async def check_access(brokers: Brokers) -> None:
    """Return if Kafka accepts the settings, or is unavailable.

    Raises:
        CommandError: Kafka rejects them. The message has the settings that may be wrong.
    """
    named = {(host, port) for host, port, _ in collect_hosts(brokers.bootstrap)}
    # Check the other brokers too: a certificate may be valid for a shared name, but not for their own names.
    await _ask_all(brokers, await _ask_all(brokers, named) - named)


async def _ask_all(brokers: Brokers, addresses: Iterable[Address]) -> set[Address]:
    """Return the brokers in the metadata of these brokers.

    Raises:
        CommandError: at least one broker rejects the settings, and none accepts them.
    """
    answers = await asyncio.gather(*(_ask(brokers, *address) for address in addresses))
    refusals = [answer for answer in answers if isinstance(answer, str)]
    told = [answer for answer in answers if isinstance(answer, set)]
    if refusals and not told:
        raise CommandError(refusals[0])
    for refusal in refusals:
        log.error("%s", refusal)
    return set().union(*told)


async def _ask(brokers: Brokers, host: str, port: int) -> set[Address] | str | None:
    """Return the brokers in the metadata of one broker, or why it rejects the settings; None if it is unavailable."""
    where = f"{host}:{port}"
    try:
        async with asyncio.timeout(WITHIN_S):
            connection = await create_conn(host, port, request_timeout_ms=WITHIN_S * 1000, **brokers.security)
            try:
                answer = await connection.send(MetadataRequest([]))
            finally:
                await asyncio.wait([connection.close()], timeout=CLOSED_WITHIN_S)
    except (OSError, KafkaError) as error:
        causes = list(_causes(error))
        refusal = next(filter(None, (_explain(brokers, where, cause) for cause in causes)), None)
        if refusal is None and any(isinstance(cause, ConnectionResetError | IncompleteReadError) for cause in causes):
            # A broker that is shutting down closes it too.
            log.warning("Kafka at %s closes the connection; %s may be wrong", where, _protocol(brokers))
        return refusal
    return {(broker[1], broker[2]) for broker in answer.brokers}


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _explain(brokers: Brokers, where: str, error: BaseException) -> str | None:
    """Explain an error that no retry can fix. Return None for others."""
    match error:
        case SaslAuthenticationFailed():
            username = brokers.login.username if brokers.login else ""
            return (
                f"Kafka at {where} rejects the user {username!r}: TOLLGATE_KAFKA_USERNAME or TOLLGATE_KAFKA_PASSWORD"
                f" is wrong, or the user has no credentials for TOLLGATE_KAFKA_SASL_MECHANISM"
            )
        case UnsupportedSaslMechanismError():
            mechanism = brokers.login.mechanism if brokers.login else ""
            return f"Kafka at {where} does not support TOLLGATE_KAFKA_SASL_MECHANISM {mechanism}"
        case IllegalSaslStateError():
            return f"Kafka at {where} does not support SASL: {_protocol(brokers)} is wrong"
        case ssl.SSLError():
            return _explain_tls(brokers, where, error)
        case IncompleteReadError(expected=int(length)) if length.to_bytes(4, "big").startswith(TLS_ALERT):
            return f"Kafka at {where} uses TLS: {_protocol(brokers)} is wrong"
    return None


def _explain_tls(brokers: Brokers, where: str, error: ssl.SSLError) -> str:
    tls = brokers.tls
    assert tls is not None
    reason = error.reason or str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        about = f"the certificate of Kafka at {where} is not trusted: {error.verify_message}"
        if error.verify_code in (ANOTHER_NAME, ANOTHER_ADDRESS):
            return (
                f"{about} It must be valid for the names in TOLLGATE_KAFKA_BOOTSTRAP and for the advertised listeners"
            )
        trusted = tls.ca_file or "not set, so only the authorities of the system are trusted"
        return f"{about}; TOLLGATE_KAFKA_CA_FILE is {trusted}"
    if "ALERT" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason):
        return (
            f"Kafka at {where} requires a client certificate that it trusts ({reason}):"
            f" TOLLGATE_KAFKA_CERTIFICATE_FILE is {tls.certificate_file or 'not set'}"
        )
    return f"the TLS handshake with Kafka at {where} failed ({reason}): {_protocol(brokers)} may be wrong"


def _protocol(brokers: Brokers) -> str:
    return f"TOLLGATE_KAFKA_SECURITY_PROTOCOL {brokers.security_protocol}"
