// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title The ledger of BFL-MEC: blocks of local gradients, global updates and rewards
/// @notice A block is final when it is appended. It brings a proof-of-work seal and the signatures of more than half of
/// the active edge nodes; forks and disagreement live between edge nodes, never here.
interface IBFLLedger {
    /// @notice What a seal and a certificate stand for; a block's hash is keccak256(abi.encode(header)).
    /// @param parent Hash of the block before; block 1 has keccak256(abi.encode(chain id, ledger))
    /// @param number Height, from 1
    /// @param anchor Newest block with a global update, this one included
    /// @param edgeNode Account of the edge node that found the seal
    /// @param transactionsHash keccak256 over the packed transactions
    /// @param transactionCount How many transactions there are
    /// @param bodyDigest SHA-256 of the block's body in storage
    /// @param globalDigest SHA-256 that, with the codec, names the global gradient; zero: no global update
    /// @param globalCodec Multicodec of the global gradient, 0x55 (raw) or 0x70 (dag-pb); zero: no global update
    /// @param rewardsRoot Merkle root over (account, cumulative reward) once this block is appended
    /// @param rewardsTotal All rewards recorded once this block is appended
    struct Header {
        bytes32 parent;
        uint64 number;
        uint64 anchor;
        address edgeNode;
        bytes32 transactionsHash;
        uint32 transactionCount;
        bytes32 bodyDigest;
        bytes32 globalDigest;
        uint8 globalCodec;
        bytes32 rewardsRoot;
        uint128 rewardsTotal;
    }

    /// @notice What is fixed at deployment.
    /// @param participants The registry (IParticipants)
    /// @param certificates The signature scheme of certificates (ICertificates)
    /// @param difficulty Seals are below (2^256 - 1) / difficulty; at most 2^64, the number of nonces
    /// @param aggregationThreshold Transactions since the anchor that make a global update due (the paper's phi)
    /// @param maxTransactions Largest transaction set of a block
    /// @param baseReward What a reward list sums to, in the token's smallest unit (the paper's base)
    /// @param minerReward Credited to the edge node of every block, not listed
    /// @param rulesDigest Commits to all rules by which edge nodes recompute a block
    /// @param archive Whether transactions, rewards and every block's hash stay in storage; the largest block possible,
    /// 86 bytes a transaction and 32 a reward, then has to fit 24,575 bytes
    /// @param genesisDigest Digest of the global gradient that training starts from
    /// @param genesisCodec Its multicodec
    struct Parameters {
        address participants;
        address certificates;
        uint256 difficulty;
        uint16 aggregationThreshold;
        uint16 maxTransactions;
        uint96 baseReward;
        uint96 minerReward;
        bytes32 rulesDigest;
        bool archive;
        bytes32 genesisDigest;
        uint8 genesisCodec;
    }

    /// @notice One local gradient's entry: 86 bytes when packed.
    /// @param client Sender
    /// @param receiver Edge node that received it, by id
    /// @param gradientDigest SHA-256 of the signed local gradient header
    /// @param signatureDigest SHA-256 of the client's signature
    struct Transaction {
        address client;
        uint16 receiver;
        bytes32 gradientDigest;
        bytes32 signatureDigest;
    }

    /// @notice One entry of a reward list: 32 bytes when packed.
    struct Reward {
        address account;
        uint96 amount;
    }

    /// @notice Emitted when a block is appended. These events, in order, are the whole ledger; the certificate, checked
    /// and never needed again, stays in the calldata.
    event BlockAppended(
        uint64 indexed number,
        bytes32 indexed hash,
        address indexed edgeNode,
        Header header,
        uint64 nonce,
        bytes transactions,
        bytes rewards
    );

    /// @notice Thrown when the ledger is deployed with a value that it could not work with.
    error LedgerImpossibleParameter(string name);

    /// @notice Thrown when a block does not have the number that comes next: it lost the race, or others are missing.
    error LedgerNumberMismatch(uint64 expected, uint64 actual);

    /// @notice Thrown when a block's parent is not the head.
    error LedgerParentMismatch(bytes32 expected, bytes32 actual);

    /// @notice Thrown when the nonce does not seal the header.
    error LedgerSealMissed(bytes32 hash, uint64 nonce);

    /// @notice Thrown when there is no transaction, or more than `maxTransactions`.
    error LedgerTransactionCount(uint32 count, uint256 maximum);

    /// @notice Thrown when the packed transactions do not have 86 bytes for each one that the header counts.
    error LedgerTransactionsLength(uint256 expected, uint256 actual);

    /// @notice Thrown when the packed transactions do not hash to what the header says.
    error LedgerTransactionsHashMismatch(bytes32 expected, bytes32 actual);

    /// @notice Thrown when a global update is due and missing.
    /// @param pending Transactions since the anchor, those of this block included
    error LedgerGlobalUpdateDue(uint256 pending);

    /// @notice Thrown when there is a global update that is not due.
    /// @param pending Transactions since the anchor, those of this block included
    error LedgerGlobalUpdateNotDue(uint256 pending);

    /// @notice Thrown when the header's anchor is not the newest one.
    error LedgerAnchorMismatch(uint64 expected, uint64 actual);

    /// @notice Thrown when the codec is not 0x55 or 0x70 with a global update, or not zero without one.
    error LedgerUnknownCodec(uint8 codec);

    /// @notice Thrown when a reward list comes without a global update, is no whole number of entries, or has more
    /// than there are transactions since the anchor, those of this block included.
    error LedgerRewardsLength(uint256 length);

    /// @notice Thrown when a listed reward is zero.
    error LedgerZeroReward(address account);

    /// @notice Thrown when a reward list is not empty and does not sum to `baseReward`.
    error LedgerRewardsSumMismatch(uint256 expected, uint256 actual);

    /// @notice Thrown when the header's total is not the one before plus what this block pays.
    error LedgerRewardsTotalMismatch(uint256 expected, uint256 actual);

    /// @notice Thrown when a block pays nothing and still changes the rewards root.
    error LedgerRewardsRootMismatch(bytes32 expected, bytes32 actual);

    /// @notice Thrown when the edge node that the header names is not among the certificate's signers.
    error LedgerMinerNotCertified(address edgeNode);

    /// @notice Thrown when no more than half of the active edge nodes have signed.
    error LedgerQuorumMissed(uint256 signers, uint256 active);

    /// @notice Thrown when a block number lies beyond the head.
    error LedgerUnknownBlock(uint64 number);

    /// @notice Thrown when there is no anchor, transaction or reward with that index.
    error LedgerUnknownIndex(uint256 index);

    /// @notice Thrown when contents are asked for that only an archiving ledger keeps in storage.
    error LedgerNotArchived(uint64 number);

    /// @notice Appends the next block. Anybody may relay it.
    /// @param nonce Makes sha256(nonce (8 bytes) || block hash) a seal (Eq. II.3 of the paper)
    /// @param transactions Packed, 86 bytes each: client (20), receiver (2), gradient and signature digest (32 each)
    /// @param rewardList Packed, 32 bytes each: account (20), amount (12); empty, or summing to `baseReward`
    /// @param certificate Signatures of more than half of the active edge nodes, the miner's included
    function append(
        Header calldata header,
        uint64 nonce,
        bytes calldata transactions,
        bytes calldata rewardList,
        bytes calldata certificate
    ) external;

    /// @notice The newest block.
    /// @return hash Its hash; before block 1 the parent that block 1 must name
    /// @return number Its number, 0 before block 1
    /// @return anchor The newest anchor
    /// @return pending Transactions since the anchor
    function head() external view returns (bytes32 hash, uint64 number, uint64 anchor, uint32 pending);

    /// @notice The newest global gradient and the block that holds it; block 0 stands for genesis.
    function latestAnchor() external view returns (uint64 number, bytes32 digest, uint8 codec);

    /// @notice How many anchors there are, genesis included.
    function anchorCount() external view returns (uint256);

    /// @notice The anchor of that index, 0 being genesis.
    function anchorAt(uint256 index) external view returns (uint64 number, bytes32 digest, uint8 codec);

    /// @notice The global gradient in a block's first transaction (block 0: genesis); zeros when it holds none.
    function firstTransaction(uint64 number) external view returns (bytes32 digest, uint8 codec);

    /// @notice A block's hash, or LedgerNotArchived. All are kept with `archive`, else the last `HASH_WINDOW`: an
    /// older block is proven by the parents that the younger headers name.
    function blockHash(uint64 number) external view returns (bytes32);

    /// @notice How many of the newest blocks have a readable hash when the ledger does not archive.
    function HASH_WINDOW() external view returns (uint64);

    /// @notice Merkle root over cumulative rewards, and their sum.
    function rewards() external view returns (bytes32 root, uint128 total);

    /// @notice What was fixed at deployment.
    function parameters() external view returns (Parameters memory);

    /// @notice How many transactions and rewards a block has. Archiving ledgers only.
    function countsAt(uint64 number) external view returns (uint256 transactionCount, uint256 rewardCount);

    /// @notice A transaction of a block. Archiving ledgers only.
    function transactionAt(uint64 number, uint256 index) external view returns (Transaction memory);

    /// @notice An entry of a block's reward list. Archiving ledgers only.
    function rewardAt(uint64 number, uint256 index) external view returns (Reward memory);
}
