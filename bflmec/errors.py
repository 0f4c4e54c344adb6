"""Every error that BFL-MEC raises on purpose.

Each class is also the builtin that a Python user would catch, and carries the exit code with which the command line
ends when the error reaches it. The codes are listed in docs/reference/errors.md.
"""

from __future__ import annotations


class BFLMECError(Exception):
    """Root of the hierarchy. The message says what was wrong and what to do next.

    `retry_after` is in how many seconds trying again makes sense, if an edge node that refused said so.
    """

    exit_code = 1
    retry_after: float | None = None


class ConfigError(BFLMECError, ValueError):
    """A configuration key is unknown, has the wrong type or an impossible value."""

    exit_code = 10


class DataError(BFLMECError, OSError):
    """A data set is missing, corrupted or could not be fetched."""

    exit_code = 11


class MissingExtraError(BFLMECError, ImportError):
    """A feature needs an optional package that is not installed."""

    exit_code = 12


class MessageError(BFLMECError, ValueError):
    """Bytes from outside are not the canonical form of a message."""

    exit_code = 20


class BlobError(BFLMECError, ValueError):
    """A gradient blob does not decode to the finite tensors of the model."""

    exit_code = 21


class GradientRejectedError(BFLMECError, ValueError):
    """A local gradient is well formed but not acceptable: wrong network, client, anchor, sequence or signature."""

    exit_code = 22


class SignatureRejectedError(GradientRejectedError):
    """A local gradient comes from no registered client, or its key or signature is not the client's."""

    exit_code = 27


class StaleSequenceError(GradientRejectedError):
    """A sequence number is so old that nobody remembers what was recorded under it; sign the next free one."""

    exit_code = 28


class ClientQuotaError(GradientRejectedError):
    """As many local gradients of one client wait as an edge node lets wait; try again after the next global update."""

    exit_code = 29


class BlockRejectedError(BFLMECError, ValueError):
    """A proposed block is not what recomputation gives, or its seal or certificate fails."""

    exit_code = 23


class MissingGradientsError(BlockRejectedError):
    """A block records local gradients that this edge node does not hold; fetch `digests` and try again."""

    exit_code = 26

    def __init__(self, digests: list[bytes]) -> None:
        super().__init__(f"the cache pool lacks {len(digests)} local gradients of the block; fetch them from peers")
        self.digests = digests


class MissingHistoryError(BlockRejectedError):
    """The global gradient or the history that a global update starts from is not at hand yet; fetch it from peers."""

    exit_code = 72


class RulesMismatchError(BFLMECError, ValueError):
    """An edge node's rules are not the ones that the ledger committed to."""

    exit_code = 24


class RecomputationError(BFLMECError, ArithmeticError):
    """This process can't compute a global update bit for bit as the other edge nodes do."""

    exit_code = 25


class ContradictionError(BFLMECError, RuntimeError):
    """The ledger holds a block that recomputation contradicts: either this edge node or the quorum is wrong."""

    exit_code = 73


class FinalityError(BFLMECError, RuntimeError):
    """A host reorganisation took away a block that an edge node had taken for final and settled."""

    exit_code = 74


class PoolFullError(BFLMECError, RuntimeError):
    """The cache pool holds as many bytes as it may; try again after the next global update."""

    exit_code = 70


class EdgeStoreError(BFLMECError, OSError):
    """An edge node's file of cache pool and journal is damaged, in use, or can't be written."""

    exit_code = 71


class EncryptionError(MessageError):
    """Bytes do not decrypt: they were made for another key, ledger or purpose, or were altered on the way."""

    exit_code = 80


class SessionError(BFLMECError, PermissionError):
    """An edge node refuses a session: not active, an unknown or expired session, or a message that was replayed."""

    exit_code = 81


class EdgeUnavailableError(BFLMECError, ConnectionError):
    """An edge node can't be reached, does not answer in time, or answers with something that is not its API."""

    exit_code = 82


class EdgeBusyError(EdgeUnavailableError):
    """An edge node takes no more for the moment: too much at a time, or it does not follow the ledger yet."""

    exit_code = 83


class MessageTooLargeError(MessageError):
    """A message is longer than anything that makes sense there."""

    exit_code = 84


class NotHeldError(BFLMECError, LookupError):
    """An edge node does not hold what was asked for."""

    exit_code = 85


class SignatureError(BFLMECError, ValueError):
    """A signature scheme is unknown, or a key or signature does not fit it."""

    exit_code = 30


class KeystoreError(BFLMECError, ValueError):
    """A keystore file is damaged, has unsafe permissions or does not open with the secret given."""

    exit_code = 31


class KeysExhaustedError(KeystoreError):
    """A tree of one-time keys is used up but for the key that names the next tree."""

    exit_code = 32


class StorageError(BFLMECError, OSError):
    """A block is missing from storage, does not match its content id, or can't be written."""

    exit_code = 40


class StorageUnavailableError(StorageError):
    """A storage daemon can't be reached, refuses this user or does not answer in time."""

    exit_code = 41


class ChainError(BFLMECError, RuntimeError):
    """The embedded chain refuses a block, a transaction or its own file."""

    exit_code = 50


class CallRevertedError(ChainError):
    """A call or an estimate ended in an error of the contract; `data` is what it returned, such as a custom error."""

    exit_code = 53

    def __init__(self, message: str, data: bytes = b"") -> None:
        super().__init__(message)
        self.data = data


class RpcError(ChainError):
    """A JSON-RPC request is refused; `code` is the JSON-RPC error code."""

    exit_code = 54

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class LedgerError(BFLMECError, RuntimeError):
    """The ledger refused a call, or what it holds contradicts what was expected."""

    exit_code = 51


class LedgerRevertedError(LedgerError):
    """A contract refused a call with one of its custom errors: `name` and `arguments` are the error's own."""

    exit_code = 55

    def __init__(self, message: str, name: str = "", arguments: tuple[object, ...] = ()) -> None:
        super().__init__(message)
        self.name = name
        self.arguments = arguments


class ArtifactError(BFLMECError, ValueError):
    """A compiled contract artifact is missing, damaged or older than its source."""

    exit_code = 52


class RunDirectoryError(BFLMECError, OSError):
    """A run directory is missing, incomplete or already in use."""

    exit_code = 60


class VerificationError(BFLMECError, ValueError):
    """An audit found something that does not hold."""

    exit_code = 61


class WalletError(BFLMECError, OSError):
    """A wallet's folder is missing, in use, damaged, of another ledger, or can't be written."""

    exit_code = 90


class NotRegisteredError(BFLMECError, PermissionError):
    """The client is not registered with the ledger, or may not register."""

    exit_code = 91


class NoEdgeNodeError(BFLMECError, ConnectionError):
    """No edge node could be reached or took the upload, which stays pending; `retry_after` is in seconds."""

    exit_code = 92

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ReceiptRejectedError(BFLMECError, ValueError):
    """What an edge node answered is not its receipt for the local gradient that was sent."""

    exit_code = 93


class DevnetError(BFLMECError, RuntimeError):
    """A devnet's directory is missing, damaged or in use, or one of its processes does not start."""

    exit_code = 95
