"""Whether Kafka lets a service in, asked once when it starts.

aiokafka's clients log why they cannot connect, and try again or end with no more than "unable to bootstrap". What no
repetition mends, such as a wrong password, is told here at once, by the names of the settings. A Kafka that is away is
another matter: services wait for it, or are started again.
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
# How a TLS server begins its answer to who does not speak it; Kafka's clients take it for a length.
TLS_ALERT = b"\x15\x03"
# OpenSSL's numbers of certificates for another host.
ANOTHER_NAME, ANOTHER_ADDRESS = 62, 64

Address = tuple[str, int]


async def check_access(brokers: Brokers) -> None:
    """Return if Kafka lets us in, or does not answer.

    Raises:
        CommandError: it refuses; says which setting may be wrong.
    """
    named = {(host, port) for host, port, _ in collect_hosts(brokers.bootstrap)}
    # The others too: a certificate may be right for a name that all share, and not for their own.
    await _ask_all(brokers, await _ask_all(brokers, named) - named)


async def _ask_all(brokers: Brokers, addresses: Iterable[Address]) -> set[Address]:
    """The brokers that these tell of.

    Raises:
        CommandError: one refuses, and none lets us in.
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
    """The brokers that this one tells of, or why it does not let us in; None if it does not answer."""
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
            # As one does, too, that is ending.
            log.warning("Kafka at %s closes the connection: perhaps %s is wrong", where, _protocol(brokers))
        return refusal
    return {(broker[1], broker[2]) for broker in answer.brokers}


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _explain(brokers: Brokers, where: str, error: BaseException) -> str | None:
    """What is wrong, if the error is of a kind that stays."""
    match error:
        case SaslAuthenticationFailed():
            username = brokers.login.username if brokers.login else ""
            return (
                f"Kafka at {where} refuses the user {username!r}: TOLLGATE_KAFKA_USERNAME or TOLLGATE_KAFKA_PASSWORD"
                f" is wrong, or TOLLGATE_KAFKA_SASL_MECHANISM is not the one that the user was made for"
            )
        case UnsupportedSaslMechanismError():
            mechanism = brokers.login.mechanism if brokers.login else ""
            return f"Kafka at {where} does not take TOLLGATE_KAFKA_SASL_MECHANISM {mechanism}"
        case IllegalSaslStateError():
            return f"Kafka at {where} takes no login: {_protocol(brokers)} is wrong"
        case ssl.SSLError():
            return _explain_tls(brokers, where, error)
        case IncompleteReadError(expected=int(length)) if length.to_bytes(4, "big").startswith(TLS_ALERT):
            return f"Kafka at {where} speaks TLS: {_protocol(brokers)} is wrong"
    return None


def _explain_tls(brokers: Brokers, where: str, error: ssl.SSLError) -> str:
    tls = brokers.tls
    assert tls is not None
    reason = error.reason or str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        about = f"the certificate of Kafka at {where} is not believed: {error.verify_message}"
        if error.verify_code in (ANOTHER_NAME, ANOTHER_ADDRESS):
            return f"{about} The names are those of TOLLGATE_KAFKA_BOOTSTRAP, and those that brokers advertise"
        return (
            f"{about}; TOLLGATE_KAFKA_CA_FILE is {tls.ca_file or 'not set: only authorities that the system knows are'}"
        )
    if "ALERT" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason):
        return (
            f"Kafka at {where} asks for a certificate of ours that it believes ({reason}):"
            f" TOLLGATE_KAFKA_CERTIFICATE_FILE is {tls.certificate_file or 'not set'}"
        )
    return f"Kafka at {where} does not speak TLS as it should ({reason}): {_protocol(brokers)} may be wrong"


def _protocol(brokers: Brokers) -> str:
    return f"TOLLGATE_KAFKA_SECURITY_PROTOCOL {brokers.security_protocol}"
