// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {IBFLLedger} from "./interfaces/IBFLLedger.sol";
import {IRewardToken} from "./interfaces/IRewardToken.sol";

contract RewardToken is ERC20, IRewardToken {
    /// @inheritdoc IRewardToken
    IBFLLedger public immutable ledger;

    /// @inheritdoc IRewardToken
    mapping(address account => uint256) public claimed;

    constructor(IBFLLedger ledger_) ERC20("BFL-MEC Reward", "BFL") {
        if (address(ledger_).code.length == 0) revert RewardTokenNotAContract(address(ledger_));
        ledger = ledger_;
    }

    /// @inheritdoc IRewardToken
    function claim(address account, uint256 cumulative, bytes32[] calldata proof) external returns (uint256 amount) {
        (bytes32 root, uint128 recorded) = ledger.rewards();
        // Hashed twice, so that no inner node of the tree can be passed off as a leaf.
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(account, cumulative))));
        if (!MerkleProof.verifyCalldata(proof, root, leaf)) revert RewardTokenInvalidProof(account, cumulative);
        uint256 before = claimed[account];
        if (cumulative <= before) revert RewardTokenAlreadyClaimed(account, before);
        amount = cumulative - before;
        // The quorum answers for the root; the supply is bounded even if it lied.
        uint256 supply = totalSupply() + amount;
        if (supply > recorded) revert RewardTokenExceedsRecorded(supply, recorded);
        claimed[account] = cumulative;
        _mint(account, amount);
        emit RewardClaimed(account, amount, cumulative);
    }
}
