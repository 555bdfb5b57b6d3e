"""A Kafka as a managed one is: TLS, users with passwords or certificates, and an authorizer that lets nobody do more
than the access lists say."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from engines.certificates import Authority
from engines.own_kafka import running
from tollgate_common.kafka.brokers import Brokers, Login, SaslMechanism, Tls
from tollgate_local.kafka import Kafka
from tollgate_local.ports import HOST, free_port

# May do all there is.
ADMIN = "admin"
LOGINS = "org.apache.kafka.common.security"


def password_of(username: str) -> str:
    return f"{username}-secret"


class SecuredKafka:
    """How its listeners are reached, by whom."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder, "authority")
        self.strangers = Authority(folder, "strangers")
        self.sasl_port, self.mutual_port, self.plain_port = free_port(), free_port(), free_port()

    def brokers(
        self, username: str = ADMIN, mechanism: SaslMechanism = "SCRAM-SHA-512", password: str | None = None
    ) -> Brokers:
        """As a user with a password, over TLS."""
        login = Login(mechanism, username, SecretStr(password_of(username) if password is None else password))
        return Brokers(f"{HOST}:{self.sasl_port}", Tls(self.authority.ca_file), login)

    def brokers_by_certificate(self, username: str = ADMIN) -> Brokers:
        """As the user that a certificate names."""
        own = self.authority.issue(username)
        return Brokers(f"{HOST}:{self.mutual_port}", Tls(self.authority.ca_file, own.file, own.key_file))


def environment_of(brokers: Brokers) -> dict[str, str]:
    """The settings that tell a process of these brokers."""
    tls, login = brokers.tls, brokers.login
    given = {
        "BOOTSTRAP": brokers.bootstrap,
        "SECURITY_PROTOCOL": brokers.security_protocol,
        "CA_FILE": tls and tls.ca_file,
        "CERTIFICATE_FILE": tls and tls.certificate_file,
        "KEY_FILE": tls and tls.key_file,
        "SASL_MECHANISM": login and login.mechanism,
        "USERNAME": login and login.username,
        "PASSWORD": login and login.password.get_secret_value(),
    }
    return {f"TOLLGATE_KAFKA_{name}": str(value) for name, value in given.items() if value is not None}


@contextmanager
def secured_kafka(folder: Path, users: Sequence[str] = ()) -> Iterator[SecuredKafka]:
    """A running one that knows `admin` and these users; none but `admin` has any right yet."""
    secured = SecuredKafka(folder)
    controller_port, log_file = free_port(), folder / "kafka.log"
    listeners = {
        # For the launcher's look at whether it is ready, and for the node itself.
        "BROKER": ("PLAINTEXT", secured.plain_port),
        "CONTROLLER": ("PLAINTEXT", controller_port),
        "SASL": ("SASL_SSL", secured.sasl_port),
        "MUTUAL": ("SSL", secured.mutual_port),
    }
    kafka = Kafka(
        folder,
        log_file,
        secured.plain_port,
        controller_port,
        print,
        short_lived=True,
        settings=_listener_settings(listeners) | _security_settings(secured, folder, (ADMIN, *users)),
        format_options=[
            f"--add-scram={mechanism}=[name={user},password={password_of(user)}]"
            for user in (ADMIN, *users)
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
        ],
    )
    with running(kafka, log_file):
        yield secured


def _listener_settings(listeners: dict[str, tuple[str, int]]) -> dict[str, str]:
    addresses = ",".join(f"{name}://{HOST}:{port}" for name, (_, port) in listeners.items())
    return {
        "listeners": addresses,
        "advertised.listeners": addresses,
        "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, (protocol, _) in listeners.items()),
    }


def _security_settings(secured: SecuredKafka, folder: Path, users: Sequence[str]) -> dict[str, str]:
    own = secured.authority.issue("broker", HOST)
    keystore = folder / "keystore.pem"
    keystore.write_bytes(own.key_file.read_bytes() + own.file.read_bytes())
    plain_users = " ".join(f'user_{user}="{password_of(user)}"' for user in users)
    scram = f"{LOGINS}.scram.ScramLoginModule required;"
    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(keystore),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(secured.authority.ca_file),
        "listener.name.mutual.ssl.client.auth": "required",
        "listener.name.mutual.ssl.principal.mapping.rules": "RULE:^CN=(.*)$/$1/",
        "listener.name.sasl.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        "listener.name.sasl.plain.sasl.jaas.config": f"{LOGINS}.plain.PlainLoginModule required {plain_users};",
        "listener.name.sasl.scram-sha-256.sasl.jaas.config": scram,
        "listener.name.sasl.scram-sha-512.sasl.jaas.config": scram,
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:ANONYMOUS;User:{ADMIN}",
    }
