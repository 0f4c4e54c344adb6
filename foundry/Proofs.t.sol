// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {BFLLedger} from "../contracts/BFLLedger.sol";
import {Government} from "../contracts/Government.sol";
import {IBFLLedger} from "../contracts/interfaces/IBFLLedger.sol";
import {RewardToken} from "../contracts/RewardToken.sol";
import {vm} from "./Vm.sol";

/// @notice Says about certificates and edge nodes whatever a proof wants it to say.
contract Oracle {
    address[] private _signers;
    uint256 private _active;
    bytes32 private _root;
    uint128 private _total;

    function certify(address[] memory signers_, uint256 active) external {
        _signers = signers_;
        _active = active;
    }

    function record(bytes32 root, uint128 total) external {
        _root = root;
        _total = total;
    }

    function signers(bytes32, bytes calldata) external view returns (address[] memory) {
        return _signers;
    }

    function requireActive(address[] calldata) external view returns (uint256) {
        return _active;
    }

    function rewards() external view returns (bytes32, uint128) {
        return (_root, _total);
    }
}

/// @notice Proven by halmos for all values of the arguments, not tried with some: `make contracts-proofs`.
contract Proofs {
    uint256 private constant DIFFICULTY = 7;

    Oracle private _oracle;
    BFLLedger private _ledger;
    Government private _government;
    RewardToken private _token;

    function setUp() public {
        _oracle = new Oracle();
        _ledger = new BFLLedger(
            IBFLLedger.Parameters({
                participants: address(_oracle),
                certificates: address(_oracle),
                difficulty: DIFFICULTY,
                aggregationThreshold: 3,
                maxTransactions: 4,
                baseReward: 100,
                minerReward: 0,
                rulesDigest: bytes32(uint256(1)),
                archive: false,
                genesisDigest: bytes32(uint256(2)),
                genesisCodec: 0x55
            })
        );
        _government = new Government(address(_oracle), address(_oracle), 1);
        _token = new RewardToken(IBFLLedger(address(_oracle)));
    }

    /// @notice A block is appended exactly if its seal is below the target.
    function check_aSealIsTakenExactlyBelowTheTarget(uint64 nonce) external {
        _certify(1, 1);
        (IBFLLedger.Header memory header, bytes memory transactions) = _block();
        bytes32 hash = keccak256(abi.encode(header));
        bool isSealed = uint256(sha256(abi.encodePacked(nonce, hash))) < type(uint256).max / DIFFICULTY;
        assert(_append(header, nonce, transactions) == isSealed);
    }

    /// @notice A sealed block is appended exactly if its signers are more than half of the active edge nodes.
    function check_oneSignerAppendsForOneActive(uint64 nonce, uint256 active) external {
        _appendsExactlyAboveHalf(nonce, active, 1);
    }

    function check_twoSignersAppendForUpToThreeActive(uint64 nonce, uint256 active) external {
        _appendsExactlyAboveHalf(nonce, active, 2);
    }

    function check_threeSignersAppendForUpToFiveActive(uint64 nonce, uint256 active) external {
        _appendsExactlyAboveHalf(nonce, active, 3);
    }

    /// @notice A decision is taken exactly if its signers are more than half of the active edge nodes.
    function check_oneSignerDecidesForOneActive(uint256 active) external {
        _decidesExactlyAboveHalf(active, 1);
    }

    function check_twoSignersDecideForUpToThreeActive(uint256 active) external {
        _decidesExactlyAboveHalf(active, 2);
    }

    function check_threeSignersDecideForUpToFiveActive(uint256 active) external {
        _decidesExactlyAboveHalf(active, 3);
    }

    /// @notice Without the miner's own signature no block is appended.
    function check_theMinerIsAmongTheSigners(uint64 nonce, address signer) external {
        vm.assume(signer != address(1));
        address[] memory signers = new address[](1);
        signers[0] = signer;
        _oracle.certify(signers, 1);
        (IBFLLedger.Header memory header, bytes memory transactions) = _block();
        assert(!_append(header, nonce, transactions));
    }

    /// @notice A claim is paid exactly if its proof leads to the root, it adds something, and the total covers it; then
    /// just what was missing is paid, to the account itself.
    function check_aClaimFollowsFromTheRoot(
        address account,
        uint256 cumulative,
        bytes32 sibling,
        bytes32 root,
        uint128 total
    ) external {
        vm.assume(account != address(0));
        _oracle.record(root, total);
        bytes32[] memory proof = new bytes32[](1);
        proof[0] = sibling;
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(account, cumulative))));
        bytes32 reached =
            leaf < sibling ? keccak256(abi.encodePacked(leaf, sibling)) : keccak256(abi.encodePacked(sibling, leaf));
        (bool paid, ) = address(_token).call(abi.encodeCall(_token.claim, (account, cumulative, proof)));
        assert(paid == (reached == root && cumulative > 0 && cumulative <= total));
        assert(_token.balanceOf(account) == (paid ? cumulative : 0));
        assert(_token.totalSupply() == (paid ? cumulative : 0));
    }

    /// @notice After a claim only more can be claimed, and only the difference is paid.
    function check_aSecondClaimPaysTheDifference(address account, uint128 first, uint128 second) external {
        vm.assume(account != address(0) && first > 0);
        _claim(account, first);
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(account, uint256(second)))));
        _oracle.record(leaf, type(uint128).max);
        bytes memory data = abi.encodeCall(_token.claim, (account, second, new bytes32[](0)));
        (bool paid, ) = address(_token).call(data);
        assert(paid == (second > first));
        assert(_token.balanceOf(account) == (paid ? second : first));
    }

    function _claim(address account, uint128 amount) private {
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(account, uint256(amount)))));
        _oracle.record(leaf, type(uint128).max);
        _token.claim(account, amount, new bytes32[](0));
    }

    function _appendsExactlyAboveHalf(uint64 nonce, uint256 active, uint256 count) private {
        _certify(count, active);
        (IBFLLedger.Header memory header, bytes memory transactions) = _block();
        vm.assume(
            uint256(sha256(abi.encodePacked(nonce, keccak256(abi.encode(header))))) < type(uint256).max / DIFFICULTY
        );
        assert(_append(header, nonce, transactions) == (active < 2 * count));
    }

    function _decidesExactlyAboveHalf(uint256 active, uint256 count) private {
        _certify(count, active);
        Government.Call[] memory calls = new Government.Call[](1);
        (bool taken, ) = address(_government).call(abi.encodeCall(_government.decide, (calls, "")));
        assert(taken == (active < 2 * count));
    }

    /// @dev Signers 1, 2, …, of which 1 is the miner.
    function _certify(uint256 count, uint256 active) private {
        address[] memory signers = new address[](count);
        for (uint256 i = 0; i < count; ++i) signers[i] = address(uint160(i + 1));
        _oracle.certify(signers, active);
    }

    function _block() private view returns (IBFLLedger.Header memory header, bytes memory transactions) {
        transactions = new bytes(86);
        (bytes32 parent, , , ) = _ledger.head();
        header = IBFLLedger.Header({
            parent: parent,
            number: 1,
            anchor: 0,
            edgeNode: address(1),
            transactionsHash: keccak256(transactions),
            transactionCount: 1,
            bodyDigest: bytes32(uint256(3)),
            globalDigest: 0,
            globalCodec: 0,
            rewardsRoot: 0,
            rewardsTotal: 0
        });
    }

    function _append(
        IBFLLedger.Header memory header,
        uint64 nonce,
        bytes memory transactions
    ) private returns (bool taken) {
        (taken, ) = address(_ledger).call(abi.encodeCall(_ledger.append, (header, nonce, transactions, "", "")));
    }
}
