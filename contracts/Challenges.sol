// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBFLLedger} from "./interfaces/IBFLLedger.sol";
import {ICertificates} from "./interfaces/ICertificates.sol";
import {IChallenges} from "./interfaces/IChallenges.sol";
import {IMLDSA44Verifier} from "./interfaces/IMLDSA44Verifier.sol";
import {IParticipants} from "./interfaces/IParticipants.sol";
import {PackedBlock} from "./PackedBlock.sol";

contract Challenges is IChallenges {
    struct Exit {
        uint64 number;
        uint64 time;
        uint16 id;
    }

    /// @inheritdoc IChallenges
    uint64 public constant EXIT_TIME = 30 days;

    bytes private constant CONTEXT = "BFL-MEC/v1/local-gradient";
    uint256 private constant GRADIENT_HEADER_SIZE = 136;

    /// @inheritdoc IChallenges
    uint64 public immutable WINDOW;

    /// @inheritdoc IChallenges
    IBFLLedger public immutable ledger;

    /// @inheritdoc IChallenges
    IMLDSA44Verifier public immutable verifier;

    IParticipants private immutable _participants;
    ICertificates private immutable _certificates;

    /// @inheritdoc IChallenges
    mapping(address account => uint256) public stakeOf;

    /// @inheritdoc IChallenges
    mapping(uint64 number => mapping(uint256 index => Fault)) public faultOf;

    mapping(address account => Exit) private _exits;
    mapping(bytes32 commitment => uint256) private _announcedAt;

    constructor(address ledger_, address verifier_, uint64 window) {
        if (ledger_.code.length == 0) revert ChallengesImpossibleParameter("ledger");
        if (verifier_.code.length == 0) revert ChallengesImpossibleParameter("verifier");
        ledger = IBFLLedger(ledger_);
        verifier = IMLDSA44Verifier(verifier_);
        IBFLLedger.Parameters memory parameters = ledger.parameters();
        // Hashes of older blocks are gone unless the ledger archives.
        uint64 longest = parameters.archive ? type(uint64).max / 2 : ledger.HASH_WINDOW();
        if (window == 0 || window > longest) revert ChallengesImpossibleParameter("window");
        WINDOW = window;
        _participants = IParticipants(parameters.participants);
        _certificates = ICertificates(parameters.certificates);
    }

    /// @inheritdoc IChallenges
    function deposit(address account) external payable {
        if (msg.value == 0) revert ChallengesNoStake(account);
        stakeOf[account] += msg.value;
        emit ChallengesStakeDeposited(account, msg.value, stakeOf[account]);
    }

    /// @inheritdoc IChallenges
    function beginExit(address account) external {
        _requireRetired(account);
        if (stakeOf[account] == 0) revert ChallengesNoStake(account);
        uint16 id = _participants.edgeNodeId(account);
        Exit memory exit = _exits[account];
        // Whoever begins it again must not make it last longer.
        if (exit.time != 0 && exit.id == id) return;
        uint64 number = _head();
        _exits[account] = Exit({number: number, time: uint64(block.timestamp), id: id});
        emit ChallengesExitBegun(account, number, uint64(block.timestamp));
    }

    /// @inheritdoc IChallenges
    function finishExit(address account) external {
        _requireRetired(account);
        Exit memory exit = _exits[account];
        // An account that was admitted again since may have signed since.
        if (exit.time == 0 || exit.id != _participants.edgeNodeId(account)) revert ChallengesExitNotBegun(account);
        if (_head() < exit.number + WINDOW && block.timestamp < exit.time + EXIT_TIME) {
            revert ChallengesExitTooEarly(account);
        }
        uint256 amount = stakeOf[account];
        delete stakeOf[account];
        delete _exits[account];
        emit ChallengesExitFinished(account, amount);
        _pay(payable(account), amount);
    }

    /// @inheritdoc IChallenges
    function announce(bytes32 commitment) external {
        // The first time counts, so that nobody can set another's announcement back.
        if (_announcedAt[commitment] == 0) _announcedAt[commitment] = block.number;
        emit ChallengesAnnounced(commitment);
    }

    /// @inheritdoc IChallenges
    function challengeHeader(Record calldata record, Accusation calldata accusation) external {
        (bytes32 hash, IBFLLedger.Transaction memory entry) = _recorded(record);
        bytes calldata shown = record.gradientHeader;
        bool inOrder =
            shown.length == GRADIENT_HEADER_SIZE &&
                uint8(shown[0]) == 1 &&
                uint64(bytes8(shown[1:9])) == block.chainid &&
                address(bytes20(shown[9:29])) == address(ledger) &&
                address(bytes20(shown[29:49])) == entry.client;
        if (inOrder) revert ChallengesNoFault();
        _punish(record, hash, Fault.Header, accusation);
    }

    /// @inheritdoc IChallenges
    function challengeSignature(
        Record calldata record,
        bytes[] calldata keys,
        bytes calldata signature,
        Accusation calldata accusation
    ) external {
        (bytes32 hash, IBFLLedger.Transaction memory entry) = _recorded(record);
        if (sha256(signature) != entry.signatureDigest) revert ChallengesNotRecorded("signature");
        if (keys.length != _participants.clientKeyCount(entry.client)) revert ChallengesOtherKeys(entry.client);
        for (uint256 i = 0; i < keys.length; ++i) {
            if (sha256(keys[i]) != _participants.clientKeyAt(entry.client, i)) revert ChallengesOtherKeys(entry.client);
            if (verifier.verify(keys[i], entry.gradientDigest, CONTEXT, signature)) revert ChallengesNoFault();
        }
        _punish(record, hash, Fault.Signature, accusation);
    }

    /// @inheritdoc IChallenges
    function challengeSequence(
        Record calldata record,
        Record calldata earlier,
        Accusation calldata accusation
    ) external {
        (bytes32 hash, ) = _recorded(record);
        _recorded(earlier);
        bool isEarlier =
            earlier.header.number < record.header.number ||
                (earlier.header.number == record.header.number && earlier.index < record.index);
        if (!isEarlier || _sender(record) != _sender(earlier)) revert ChallengesNoFault();
        _punish(record, hash, Fault.Sequence, accusation);
    }

    /// @inheritdoc IChallenges
    function commitmentOf(uint64 number, address beneficiary, bytes32 salt) public pure returns (bytes32) {
        return keccak256(abi.encode(number, beneficiary, salt));
    }

    /// @dev What is shown is in the ledger, and young enough.
    function _recorded(
        Record calldata record
    ) private view returns (bytes32 hash, IBFLLedger.Transaction memory entry) {
        uint64 number = record.header.number;
        uint64 head = _head();
        if (number > head || number == 0) revert ChallengesUnknownBlock(number);
        if (number + WINDOW <= head) revert ChallengesTooLate(number, head);
        hash = keccak256(abi.encode(record.header));
        if (hash != ledger.blockHash(number)) revert ChallengesNotRecorded("header");
        if (keccak256(record.transactions) != record.header.transactionsHash)
            revert ChallengesNotRecorded("transactions");
        if (record.index >= record.header.transactionCount) revert ChallengesNotRecorded("index");
        uint256 start = record.index * PackedBlock.TRANSACTION_SIZE;
        entry = PackedBlock.toTransaction(record.transactions[start:start + PackedBlock.TRANSACTION_SIZE]);
        if (sha256(record.gradientHeader) != entry.gradientDigest) revert ChallengesNotRecorded("gradientHeader");
    }

    /// @dev Client and sequence of a local gradient header.
    function _sender(Record calldata record) private pure returns (bytes28) {
        if (record.gradientHeader.length != GRADIENT_HEADER_SIZE) revert ChallengesNoFault();
        return bytes28(record.gradientHeader[29:57]);
    }

    function _punish(Record calldata record, bytes32 hash, Fault fault, Accusation calldata accusation) private {
        uint64 number = record.header.number;
        _useAnnouncement(commitmentOf(number, accusation.beneficiary, accusation.salt));
        if (faultOf[number][record.index] == Fault.None) faultOf[number][record.index] = fault;
        emit ChallengesFaultProven(number, record.index, fault, accusation.beneficiary);
        uint256 reward = 0;
        for (uint256 i = 0; i < accusation.entries.length; ++i) {
            address account = _certificates.signer(address(ledger), hash, accusation.entries[i]);
            uint256 stake = stakeOf[account];
            if (stake == 0) continue;
            // The other half stays here, out of everybody's reach: an edge node that accuses itself loses it too.
            uint256 half = stake / 2;
            delete stakeOf[account];
            reward += half;
            emit ChallengesStakeLost(account, number, stake, half);
        }
        if (reward == 0) revert ChallengesNobodyAccused();
        _pay(accusation.beneficiary, reward);
    }

    function _useAnnouncement(bytes32 commitment) private {
        uint256 announced = _announcedAt[commitment];
        if (announced == 0 || announced >= block.number) revert ChallengesNotAnnounced(commitment);
        delete _announcedAt[commitment];
    }

    function _pay(address payable account, uint256 amount) private {
        (bool success, ) = account.call{value: amount}("");
        if (!success) revert ChallengesPaymentFailed(account);
    }

    function _requireRetired(address account) private view {
        if (_participants.isActive(account)) revert ChallengesStillActive(account);
    }

    function _head() private view returns (uint64 number) {
        (, number, , ) = ledger.head();
    }
}
