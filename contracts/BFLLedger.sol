// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IBFLLedger} from "./interfaces/IBFLLedger.sol";
import {ICertificates} from "./interfaces/ICertificates.sol";
import {IParticipants} from "./interfaces/IParticipants.sol";
import {BlockArchive} from "./BlockArchive.sol";
import {PackedBlock} from "./PackedBlock.sol";

contract BFLLedger is IBFLLedger {
    /// One slot. Block numbers take 32 bits in storage: a block a second lasts 136 years.
    struct Head {
        uint32 number;
        uint32 anchor;
        uint32 anchorIndex;
        uint32 pending;
        uint128 rewardsTotal;
    }

    struct Archived {
        address store;
        uint16 transactionCount;
        uint16 rewardCount;
    }

    uint8 private constant RAW = 0x55;
    uint8 private constant DAG_PB = 0x70;
    uint256 private constant TRANSACTION_SIZE = PackedBlock.TRANSACTION_SIZE;
    uint256 private constant REWARD_SIZE = PackedBlock.REWARD_SIZE;

    /// @inheritdoc IBFLLedger
    uint64 public constant HASH_WINDOW = 64;

    IParticipants private immutable _participants;
    ICertificates private immutable _certificates;
    uint256 private immutable _difficulty;
    uint256 private immutable _target;
    uint16 private immutable _aggregationThreshold;
    uint16 private immutable _maxTransactions;
    uint96 private immutable _baseReward;
    uint96 private immutable _minerReward;
    bytes32 private immutable _rulesDigest;
    bool private immutable _archive;
    bytes32 private immutable _genesisDigest;
    uint8 private immutable _genesisCodec;

    Head private _head;
    bytes32 private _rewardsRoot;
    /// By number if archiving, else by number modulo HASH_WINDOW: to overwrite a slot costs a quarter of a new one.
    mapping(uint256 key => bytes32) private _hashes;
    /// The codec is a key, not a value, because a digest leaves no room in its slot.
    mapping(uint256 number => mapping(uint8 codec => bytes32)) private _globalDigests;
    /// Eight numbers a slot; an array of fixed length has no length to update.
    uint32[2 ** 32] private _anchors;
    mapping(uint256 number => Archived) private _archived;

    constructor(Parameters memory p) {
        _requireParameter(p.participants.code.length != 0, "participants");
        _requireParameter(p.certificates.code.length != 0, "certificates");
        _requireParameter(p.difficulty != 0 && p.difficulty <= 2 ** 64, "difficulty");
        _requireParameter(p.aggregationThreshold != 0, "aggregationThreshold");
        _requireParameter(p.maxTransactions != 0, "maxTransactions");
        uint256 mostRewards = uint256(p.aggregationThreshold) - 1 + p.maxTransactions;
        uint256 largestBlock = p.maxTransactions * TRANSACTION_SIZE + mostRewards * REWARD_SIZE;
        _requireParameter(!p.archive || largestBlock <= BlockArchive.MAX_LENGTH, "archive");
        _requireParameter(p.rulesDigest != 0, "rulesDigest");
        _requireParameter(p.genesisDigest != 0, "genesisDigest");
        _requireParameter(_isCodec(p.genesisCodec), "genesisCodec");

        _participants = IParticipants(p.participants);
        _certificates = ICertificates(p.certificates);
        _difficulty = p.difficulty;
        _target = type(uint256).max / p.difficulty;
        _aggregationThreshold = p.aggregationThreshold;
        _maxTransactions = p.maxTransactions;
        _baseReward = p.baseReward;
        _minerReward = p.minerReward;
        _rulesDigest = p.rulesDigest;
        _archive = p.archive;
        _genesisDigest = p.genesisDigest;
        _genesisCodec = p.genesisCodec;

        bytes32 genesisParent = keccak256(abi.encode(block.chainid, address(this)));
        _globalDigests[0][p.genesisCodec] = p.genesisDigest;
        _hashes[0] = genesisParent;
        if (!p.archive) {
            // Paid once, here, so that the first blocks cost no more than the later ones.
            for (uint256 i = 1; i < HASH_WINDOW; ++i) _hashes[i] = genesisParent;
        }
    }

    /// @inheritdoc IBFLLedger
    function append(
        Header calldata header,
        uint64 nonce,
        bytes calldata transactions,
        bytes calldata rewardList,
        bytes calldata certificate
    ) external {
        Head memory last = _head;
        _checkPosition(header, last);
        bytes32 hash = _hash(header);
        // Seals are strictly below the target, as in Eq. II.3.
        if (uint256(sha256(abi.encodePacked(nonce, hash))) >= _target) revert LedgerSealMissed(hash, nonce);
        _checkTransactions(header, transactions);
        uint256 pending = last.pending + header.transactionCount;
        bool isUpdate = _checkGlobalUpdate(header, last.anchor, pending);
        uint256 paid = _checkRewards(header, last.rewardsTotal, rewardList, isUpdate ? pending : 0);
        _checkCertificate(header.edgeNode, hash, certificate);

        if (paid != 0) _rewardsRoot = header.rewardsRoot;
        _hashes[_hashKey(header.number)] = hash;
        _record(header, last, pending, isUpdate);
        if (_archive) _keep(header, transactions, rewardList);
        emit BlockAppended(header.number, hash, header.edgeNode, header, nonce, transactions, rewardList);
    }

    /// @inheritdoc IBFLLedger
    function head() external view returns (bytes32 hash, uint64 number, uint64 anchor, uint32 pending) {
        Head memory last = _head;
        return (_hashes[_hashKey(last.number)], last.number, last.anchor, last.pending);
    }

    /// @inheritdoc IBFLLedger
    function latestAnchor() external view returns (uint64 number, bytes32 digest, uint8 codec) {
        number = _head.anchor;
        (digest, codec) = _globalGradient(number);
    }

    /// @inheritdoc IBFLLedger
    function anchorCount() external view returns (uint256) {
        return uint256(_head.anchorIndex) + 1;
    }

    /// @inheritdoc IBFLLedger
    function anchorAt(uint256 index) external view returns (uint64 number, bytes32 digest, uint8 codec) {
        if (index > _head.anchorIndex) revert LedgerUnknownIndex(index);
        number = _anchors[index];
        (digest, codec) = _globalGradient(number);
    }

    /// @inheritdoc IBFLLedger
    function firstTransaction(uint64 number) external view returns (bytes32 digest, uint8 codec) {
        if (number > _head.number) revert LedgerUnknownBlock(number);
        return _globalGradient(number);
    }

    /// @inheritdoc IBFLLedger
    function blockHash(uint64 number) external view returns (bytes32) {
        uint64 newest = _head.number;
        if (number > newest) revert LedgerUnknownBlock(number);
        if (!_archive && newest - number >= HASH_WINDOW) revert LedgerNotArchived(number);
        return _hashes[_hashKey(number)];
    }

    /// @inheritdoc IBFLLedger
    function rewards() external view returns (bytes32 root, uint128 total) {
        return (_rewardsRoot, _head.rewardsTotal);
    }

    /// @inheritdoc IBFLLedger
    function parameters() external view returns (Parameters memory) {
        return
            Parameters({
                participants: address(_participants),
                certificates: address(_certificates),
                difficulty: _difficulty,
                aggregationThreshold: _aggregationThreshold,
                maxTransactions: _maxTransactions,
                baseReward: _baseReward,
                minerReward: _minerReward,
                rulesDigest: _rulesDigest,
                archive: _archive,
                genesisDigest: _genesisDigest,
                genesisCodec: _genesisCodec
            });
    }

    /// @inheritdoc IBFLLedger
    function countsAt(uint64 number) external view returns (uint256 transactionCount, uint256 rewardCount) {
        Archived memory archived = _contents(number);
        return (archived.transactionCount, archived.rewardCount);
    }

    /// @inheritdoc IBFLLedger
    function transactionAt(uint64 number, uint256 index) external view returns (Transaction memory) {
        Archived memory archived = _contents(number);
        if (index >= archived.transactionCount) revert LedgerUnknownIndex(index);
        return PackedBlock.toTransaction(BlockArchive.read(archived.store, index * TRANSACTION_SIZE, TRANSACTION_SIZE));
    }

    /// @inheritdoc IBFLLedger
    function rewardAt(uint64 number, uint256 index) external view returns (Reward memory) {
        Archived memory archived = _contents(number);
        if (index >= archived.rewardCount) revert LedgerUnknownIndex(index);
        uint256 start = archived.transactionCount * TRANSACTION_SIZE + index * REWARD_SIZE;
        return PackedBlock.toReward(BlockArchive.read(archived.store, start, REWARD_SIZE));
    }

    /// keccak256(abi.encode(header)), less its decoding: dirty upper bits are refused when the event encodes it.
    function _hash(Header calldata header) private pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            let start := mload(0x40)
            calldatacopy(start, header, 352)
            hash := keccak256(start, 352)
        }
    }

    function _checkPosition(Header calldata header, Head memory last) private view {
        uint64 number = last.number + 1;
        if (header.number != number) revert LedgerNumberMismatch(number, header.number);
        bytes32 parent = _hashes[_hashKey(last.number)];
        if (header.parent != parent) revert LedgerParentMismatch(parent, header.parent);
    }

    function _checkTransactions(Header calldata header, bytes calldata transactions) private view {
        uint32 count = header.transactionCount;
        if (count == 0 || count > _maxTransactions) revert LedgerTransactionCount(count, _maxTransactions);
        if (transactions.length != TRANSACTION_SIZE * count) {
            revert LedgerTransactionsLength(TRANSACTION_SIZE * count, transactions.length);
        }
        bytes32 actual = keccak256(transactions);
        if (actual != header.transactionsHash) revert LedgerTransactionsHashMismatch(header.transactionsHash, actual);
    }

    function _checkGlobalUpdate(
        Header calldata header,
        uint64 lastAnchor,
        uint256 pending
    ) private view returns (bool isUpdate) {
        bool isDue = pending >= _aggregationThreshold;
        isUpdate = header.globalDigest != 0;
        if (isDue && !isUpdate) revert LedgerGlobalUpdateDue(pending);
        if (isUpdate && !isDue) revert LedgerGlobalUpdateNotDue(pending);
        uint64 anchor = isUpdate ? header.number : lastAnchor;
        if (header.anchor != anchor) revert LedgerAnchorMismatch(anchor, header.anchor);
        uint8 codec = header.globalCodec;
        if (isUpdate ? !_isCodec(codec) : codec != 0) revert LedgerUnknownCodec(codec);
    }

    /// @param most The longest list allowed
    /// @return paid What the block adds to the rewards total
    function _checkRewards(
        Header calldata header,
        uint256 lastTotal,
        bytes calldata rewardList,
        uint256 most
    ) private view returns (uint256 paid) {
        if (rewardList.length > most * REWARD_SIZE || rewardList.length % REWARD_SIZE != 0) {
            revert LedgerRewardsLength(rewardList.length);
        }
        paid = _minerReward;
        if (rewardList.length != 0) {
            uint256 sum = PackedBlock.sum(rewardList);
            if (sum != _baseReward) revert LedgerRewardsSumMismatch(_baseReward, sum);
            paid += sum;
        }
        uint256 total = lastTotal + paid;
        if (header.rewardsTotal != total) revert LedgerRewardsTotalMismatch(total, header.rewardsTotal);
        if (paid == 0 && header.rewardsRoot != _rewardsRoot) {
            revert LedgerRewardsRootMismatch(_rewardsRoot, header.rewardsRoot);
        }
    }

    function _checkCertificate(address miner, bytes32 hash, bytes calldata certificate) private {
        address[] memory signers = _certificates.signers(hash, certificate);
        bool isCertified = false;
        for (uint256 i = 0; i < signers.length; ++i) {
            if (signers[i] == miner) isCertified = true;
        }
        if (!isCertified) revert LedgerMinerNotCertified(miner);
        uint256 active = _participants.requireActive(signers);
        if (2 * signers.length <= active) revert LedgerQuorumMissed(signers.length, active);
    }

    function _record(Header calldata header, Head memory next, uint256 pending, bool isUpdate) private {
        next.number = uint32(header.number);
        next.anchor = uint32(header.anchor);
        next.pending = uint32(pending);
        next.rewardsTotal = header.rewardsTotal;
        if (isUpdate) {
            next.pending = 0;
            _anchors[++next.anchorIndex] = next.number;
            _globalDigests[next.number][header.globalCodec] = header.globalDigest;
        }
        _head = next;
    }

    function _keep(Header calldata header, bytes calldata transactions, bytes calldata rewardList) private {
        _archived[header.number] = Archived({
            store: BlockArchive.write(bytes.concat(transactions, rewardList)),
            transactionCount: uint16(header.transactionCount),
            rewardCount: uint16(rewardList.length / REWARD_SIZE)
        });
    }

    function _contents(uint64 number) private view returns (Archived memory) {
        if (number == 0 || number > _head.number) revert LedgerUnknownBlock(number);
        if (!_archive) revert LedgerNotArchived(number);
        return _archived[number];
    }

    function _globalGradient(uint64 number) private view returns (bytes32 digest, uint8 codec) {
        if ((digest = _globalDigests[number][RAW]) != 0) return (digest, RAW);
        if ((digest = _globalDigests[number][DAG_PB]) != 0) return (digest, DAG_PB);
    }

    function _hashKey(uint64 number) private view returns (uint256) {
        return _archive ? number : number % HASH_WINDOW;
    }

    function _isCodec(uint8 codec) private pure returns (bool) {
        return codec == RAW || codec == DAG_PB;
    }

    function _requireParameter(bool condition, string memory name) private pure {
        if (!condition) revert LedgerImpossibleParameter(name);
    }
}
