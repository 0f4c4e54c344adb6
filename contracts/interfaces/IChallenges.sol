// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBFLLedger} from "./IBFLLedger.sol";
import {IMLDSA44Verifier} from "./IMLDSA44Verifier.sol";

/// @title Stakes of edge nodes, and challenges to what they certified
/// @notice For ledgers whose clients sign with ML-DSA-44. While a block is among the newest `WINDOW`, anybody may show
/// that a transaction of it is false: then the edge nodes that signed the block lose their stake, half of it to the
/// challenger, and the other half for good. The block stays; the fault is recorded.
interface IChallenges {
    /// @notice A transaction of a block that the ledger holds.
    /// @param header The block's header
    /// @param transactions The block's transaction set, packed
    /// @param index Position of the transaction in it
    /// @param gradientHeader The local gradient header whose SHA-256 the transaction records
    struct Record {
        IBFLLedger.Header header;
        bytes transactions;
        uint256 index;
        bytes gradientHeader;
    }

    /// @notice Who is accused, and who gains.
    /// @param entries Certificate entries over the block's hash, one of each accused edge node
    /// @param beneficiary Gets the challenger's half
    /// @param salt Of the announcement
    struct Accusation {
        bytes[] entries;
        address payable beneficiary;
        bytes32 salt;
    }

    /// @notice What is wrong with a transaction: None; its header is no local gradient header of this ledger and client;
    /// its signature holds under no key that its client ever had; its sequence was recorded before.
    enum Fault {
        None,
        Header,
        Signature,
        Sequence
    }

    /// @notice Emitted when somebody adds to an edge node's stake.
    event ChallengesStakeDeposited(address indexed account, uint256 amount, uint256 stake);

    /// @notice Emitted when a retired edge node's stake begins to wait for the window.
    event ChallengesExitBegun(address indexed account, uint64 number, uint64 time);

    /// @notice Emitted when a retired edge node gets its stake back.
    event ChallengesExitFinished(address indexed account, uint256 amount);

    /// @notice Emitted when somebody announces a challenge.
    event ChallengesAnnounced(bytes32 indexed commitment);

    /// @notice Emitted when a fault is proven.
    event ChallengesFaultProven(uint64 indexed number, uint256 index, Fault fault, address beneficiary);

    /// @notice Emitted when an edge node loses its stake.
    event ChallengesStakeLost(address indexed account, uint64 indexed number, uint256 amount, uint256 rewarded);

    /// @notice Thrown when the contract is deployed with a value that it could not work with.
    error ChallengesImpossibleParameter(string name);

    /// @notice Thrown when nothing is deposited, or there is no stake to withdraw.
    error ChallengesNoStake(address account);

    /// @notice Thrown when an active edge node's stake is to be withdrawn.
    error ChallengesStillActive(address account);

    /// @notice Thrown when a stake is withdrawn whose exit was not begun since the account was last retired.
    error ChallengesExitNotBegun(address account);

    /// @notice Thrown when blocks that the account may have signed can still be challenged.
    error ChallengesExitTooEarly(address account);

    /// @notice Thrown when ether can't be sent.
    error ChallengesPaymentFailed(address account);

    /// @notice Thrown when a challenge was not announced in an earlier block of the host chain.
    error ChallengesNotAnnounced(bytes32 commitment);

    /// @notice Thrown when the ledger does not hold such a block.
    error ChallengesUnknownBlock(uint64 number);

    /// @notice Thrown when a block is no longer among the newest `WINDOW`.
    error ChallengesTooLate(uint64 number, uint64 head);

    /// @notice Thrown when bytes are shown that are not what the block recorded.
    error ChallengesNotRecorded(string what);

    /// @notice Thrown when other keys are shown than all that the client has had, in order.
    error ChallengesOtherKeys(address client);

    /// @notice Thrown when the transaction is in order.
    error ChallengesNoFault();

    /// @notice Thrown when a challenge takes nobody's stake.
    error ChallengesNobodyAccused();

    /// @notice Adds what is sent to an edge node's stake.
    function deposit(address account) external payable;

    /// @notice Lets a retired edge node's stake begin to wait. Anybody may call.
    function beginExit(address account) external;

    /// @notice Sends a retired edge node its stake, `WINDOW` blocks or `EXIT_TIME` after `beginExit`. Anybody may call.
    function finishExit(address account) external;

    /// @notice Announces a challenge without saying which: whoever copies it when it comes is too late.
    /// @param commitment From `commitmentOf`
    function announce(bytes32 commitment) external;

    /// @notice Proves that a transaction's header is not one of this chain, ledger and client.
    function challengeHeader(Record calldata record, Accusation calldata accusation) external;

    /// @notice Proves that a transaction's signature holds under no key that its client ever had.
    /// @param keys All of them, in order; none if it never had one
    /// @param signature The bytes whose SHA-256 the transaction records
    function challengeSignature(
        Record calldata record,
        bytes[] calldata keys,
        bytes calldata signature,
        Accusation calldata accusation
    ) external;

    /// @notice Proves that a transaction's client and sequence were recorded before.
    /// @param earlier The transaction that recorded them first
    function challengeSequence(
        Record calldata record,
        Record calldata earlier,
        Accusation calldata accusation
    ) external;

    /// @notice What is announced.
    function commitmentOf(uint64 number, address beneficiary, bytes32 salt) external pure returns (bytes32);

    /// @notice An edge node's stake, in wei.
    function stakeOf(address account) external view returns (uint256);

    /// @notice The fault of a transaction that was proven first.
    function faultOf(uint64 number, uint256 index) external view returns (Fault);

    /// @notice How many of the newest blocks can be challenged.
    function WINDOW() external view returns (uint64);

    /// @notice Seconds after which a stake is free although the ledger stands still.
    function EXIT_TIME() external view returns (uint64);

    /// @notice The ledger.
    function ledger() external view returns (IBFLLedger);

    /// @notice The verifier of clients' signatures.
    function verifier() external view returns (IMLDSA44Verifier);
}
