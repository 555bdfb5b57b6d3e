"""What can go wrong on one machine, told to a person in one clear line.

LocalError
├── ToolMissingError      a program is missing or too old; says what to install
├── DownloadError         Kafka's jars could not be fetched whole
├── PortTakenError        somebody else listens where a part should
├── DataUnusableError     the stored data does not fit the programs found
├── ProcessError          a part ended, or was not ready in time; carries its last log lines
└── AlreadyRunningError   a second `up` beside the first
"""


class LocalError(Exception):
    """Shown as it is, without a traceback."""


class ToolMissingError(LocalError): ...


class DownloadError(LocalError): ...


class PortTakenError(LocalError): ...


class DataUnusableError(LocalError): ...


class ProcessError(LocalError): ...


class AlreadyRunningError(LocalError): ...
